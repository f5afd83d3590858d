"""The recurrent networks of frames once more, as one would write them from the equations: one gate and one step at a
time, all layers of a step before the next step. They compute with the parameters of the networks they are compared to.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import conv2d, grid_sample, leaky_relu, linear


def parameters_of(module, name=""):
    """Parameters by name, without the name of the module that they belong to."""
    return {key.removeprefix(name): value for key, value in module.named_parameters() if key.startswith(name)}


def trained(net):
    """In double precision, with statistics and scales as after a training."""
    net = net.double()
    for layer in net.modules():
        if hasattr(layer, "running_var"):
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
        if hasattr(layer, "running_var") or isinstance(layer, nn.GroupNorm):
            nn.init.normal_(layer.weight)
        if getattr(layer, "bias", None) is not None:
            nn.init.normal_(layer.bias)
    return net.eval()


def lstm_step(p, x, hidden, cell, act):
    """One step of an LSTM layer; ``act(values, weight, bias)`` is a convolution or a matrix product."""
    width = hidden.shape[1]

    def gate(k):
        part = slice(k * width, (k + 1) * width)
        bias = p.get("from_input.bias", p.get("from_state.bias"))[part]
        total = act(hidden, p["from_state.weight"][part], bias)
        return total if x is None else total + act(x, p["from_input.weight"][part], None)

    w_i, w_f, w_o = p["peephole"]
    i = torch.sigmoid(gate(0) + w_i * cell)
    f = torch.sigmoid(gate(1) + w_f * cell)
    new = f * cell + i * torch.tanh(gate(3))
    o = torch.sigmoid(gate(2) + w_o * new)
    return o * torch.tanh(new), new


def same(values, weight, bias):
    return conv2d(values, weight, bias, padding=weight.shape[-1] // 2)


def lstm_hidden(net, steps, act):
    """Hidden values of all the forecaster's layers at every lead."""
    layers = range(len(net.encoder))
    encoder = [parameters_of(net, f"encoder.{k}.") for k in layers]
    forecaster = [parameters_of(net, f"forecaster.{k}.") for k in layers]
    size = steps[0].shape[2:]
    zeros = [steps[0].new_zeros(len(steps[0]), p["peephole"].shape[1], *size) for p in encoder]
    states = list(zip(zeros, zeros, strict=True))
    for x in steps:
        for k in layers:
            states[k] = lstm_step(encoder[k], x, *states[k], act)
            x = states[k][0]
    answers = []
    for _ in range(net.leads):
        x = None
        for k in layers:
            states[k] = lstm_step(forecaster[k], x, *states[k], act)
            x = states[k][0]
        answers.append([hidden for hidden, _ in states])
    return answers


def conv_lstm(net, frames):
    """ConvLSTM for frames whose sides are multiples of the patch."""
    batch, seen, channels, height, width = frames.shape
    n = net.patch
    squares = frames.reshape(batch, seen, channels, height // n, n, width // n, n).permute(1, 0, 2, 4, 6, 3, 5)
    steps = list(squares.reshape(seen, batch, channels * n * n, height // n, width // n))
    answers = []
    for hidden in lstm_hidden(net, steps, same):
        squares = conv2d(torch.cat(hidden, 1), net.out.weight, net.out.bias)
        squares = squares.reshape(batch, n, n, height // n, width // n).permute(0, 3, 1, 4, 2)
        answers.append(squares.reshape(batch, height, width))
    return torch.stack(answers, 1)


def fc_lstm(net, frames):
    steps = [frame.flatten(1) for frame in frames.unbind(1)]
    answers = [linear(hidden[-1], net.out.weight, net.out.bias) for hidden in lstm_hidden(net, steps, linear)]
    return torch.stack(answers, 1).unflatten(2, frames.shape[-2:])


def count(size, like):
    return torch.arange(size, dtype=like.dtype, device=like.device)


def from_there(values, u, v):
    """Values (batch, channels, height, width) at (y - v, x - u), zero outside; u and v (batch, height, width)."""
    height, width = values.shape[-2:]
    y, x = torch.meshgrid(count(height, values), count(width, values), indexing="ij")
    grid = torch.stack([2 * (x - u) / (width - 1) - 1, 2 * (y - v) / (height - 1) - 1], -1)
    return grid_sample(values, grid, padding_mode="zeros", align_corners=True)


def gru_step(p, x, hidden, leak, dilation):
    """One step of ConvGRU or, if the parameters have a flow, of TrajGRU."""
    width = hidden.shape[1]
    if "flow.weight" in p:
        features = same(hidden, p["flow_state.weight"], p["flow_state.bias"])
        if x is not None:
            features = features + same(x, p["flow_input.weight"], p["flow_input.bias"])
        u, v = same(leaky_relu(features, leak), p["flow.weight"], p["flow.bias"]).chunk(2, 1)
        there = torch.cat([from_there(hidden, *uv) for uv in zip(u.unbind(1), v.unbind(1), strict=True)], 1)
        weight = p["mix.weight"].reshape(3 * width, width, -1).transpose(1, 2).reshape(3 * width, -1, 1, 1)
        bias, padding = p["mix.bias"], 0
    else:
        there, weight, bias = hidden, p["from_state.weight"], p["from_state.bias"]
        padding = weight.shape[-1] // 2 * dilation

    def part(k):
        rows = slice(k * width, (k + 1) * width)
        past = conv2d(there, weight[rows], bias[rows], padding=padding, dilation=dilation)
        seen = 0.0 if x is None else same(x, p["from_input.weight"][rows], p["from_input.bias"][rows])
        return past, seen

    z, r = (torch.sigmoid(sum(part(k))) for k in (0, 1))
    past, seen = part(2)
    return (1 - z) * leaky_relu(seen + r * past, leak) + z * hidden


def ladder(net, frames):
    """ConvGRU or TrajGRU for frames that the strides divide."""
    options, levels = net.options, range(len(net.options.widths))
    dilation = getattr(options, "dilation", len(levels) * [1])
    encoder = [parameters_of(net, f"encoder.{k}.") for k in levels]
    forecaster = [parameters_of(net, f"forecaster.{k}.") for k in levels]
    batch, seen, _, height, width = frames.shape
    planes = torch.ones(batch, 3, height, width).to(frames)
    planes[:, 0] = count(width, frames) * 2 / (width - 1) - 1
    planes[:, 1] = count(height, frames)[:, None] * 2 / (height - 1) - 1
    states = [None for _ in levels]
    for step in range(seen):
        x = torch.cat([frames[:, step], planes], 1) if options.coordinates else frames[:, step]
        for k in levels:
            x = net.down[k](x)
            if states[k] is None:
                states[k] = torch.zeros(batch, options.widths[k], *x.shape[2:]).to(x)
            x = states[k] = gru_step(encoder[k], x, states[k], options.leak, dilation[k])
    answers = []
    for _ in range(net.leads):
        x = None
        for k in reversed(levels):
            states[k] = gru_step(forecaster[k], x, states[k], options.leak, dilation[k])
            x = net.up[k - 1](states[k]) if k else net.head(states[k])
        answers.append(x[:, 0])
    return torch.stack(answers, 1)
