"""The recurrent networks of frames once more, as one would write them from the equations: one gate and one step at a
time, all layers of a step before the next step. They compute with the parameters of the networks they are compared to.
"""

from __future__ import annotations

import torch
from torch.nn.functional import conv2d, linear


def parameters_of(module, name=""):
    """Parameters by name, without the name of the module that they belong to."""
    return {key.removeprefix(name): value for key, value in module.named_parameters() if key.startswith(name)}


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
