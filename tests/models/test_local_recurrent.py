"""Recurrent networks on windows and patches: against PyTorch's own cells pixel by pixel, sizes, memory, roll-out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline_lib.models.registry import MODELS

SEEN, LEADS = 3, 4


def network(name, *, channels=1, height=7, width=9, **options):
    model = MODELS.get(name)
    torch.manual_seed(0)
    sizes = {"seen": SEEN, "leads": LEADS, "channels": channels, "height": height, "width": width}
    return model.build(model.Options(**options), **sizes)


def frames_of(channels, height, width, batch=2):
    return torch.rand(batch, SEEN, channels, height, width, generator=torch.Generator().manual_seed(1))


def torch_cell(layer):
    """PyTorch's cell with the weights of a layer; its gates are i, f, g, o, and it has two biases."""
    weight, bias = layer.map.weight.detach(), layer.map.bias.detach()
    if layer.kind == "lstm":
        order = torch.cat([torch.arange(layer.width) + gate * layer.width for gate in (0, 1, 3, 2)])
        weight, bias = weight[order], bias[order]
        cell = nn.LSTMCell(weight.shape[1] - layer.width, layer.width)
    else:
        cell = nn.RNNCell(weight.shape[1] - layer.width, layer.width)
    inputs = weight.shape[1] - layer.width
    for parameter, value in (
        (cell.weight_ih, weight[:, :inputs]),
        (cell.weight_hh, weight[:, inputs:]),
        (cell.bias_ih, bias),
        (cell.bias_hh, torch.zeros_like(bias)),
    ):
        parameter.data = value
    return cell


def forecast_by_loops(net, frames, size, step):
    """Forecast with PyTorch's cells, square by square; the first and last rows and columns are repeated beyond."""
    cells = [torch_cell(layer) for layer in net.layers]
    batch, _, _, height, width = frames.shape
    forecast = np.zeros((batch, LEADS, height, width))
    states = {}
    frame, lead = frames[:, 0].numpy(), 0
    for time in range(SEEN + LEADS - 1):
        if time < SEEN:
            frame = frames[:, time].numpy()
        made = np.zeros((batch, height, width))
        for b in range(batch):
            for row in range(0, height, step):
                for column in range(0, width, step):
                    off = (size - step) // 2
                    rows = np.clip(np.arange(row - off, row - off + size), 0, height - 1)
                    columns = np.clip(np.arange(column - off, column - off + size), 0, width - 1)
                    value = torch.from_numpy(frame[b][:, rows[:, None], columns].reshape(1, -1)).float()
                    for number, cell in enumerate(cells):
                        key = (b, row, column, number)
                        states[key] = cell(value, states.get(key))
                        value = states[key][0] if isinstance(states[key], tuple) else states[key]
                    answer = net.out(value).detach().numpy().reshape(step, step)
                    here = made[b, row : row + step, column : column + step]
                    here[...] = answer[: here.shape[0], : here.shape[1]]
        if net.residual:
            made = made + frame[:, 0]
        if time >= SEEN - 1:
            forecast[:, lead] = made
            frame, lead = np.concatenate([made[:, None], frames[:, -1, 1:].numpy()], axis=1), lead + 1
    return forecast


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
@pytest.mark.parametrize(
    ("name", "options", "size", "step"),
    [("window_lstm", {"window": 3}, 3, 1), ("patch_lstm", {"patch": 4}, 4, 4)],
)
def test_forecasts_are_those_of_torch_cells_square_by_square(name, options, size, step, cell, residual):
    net = network(name, channels=2, height=6, width=5, cell=cell, residual=residual, widths=(5, 4), **options)
    frames = frames_of(2, 6, 5)
    with torch.no_grad():
        expected = forecast_by_loops(net, frames, size, step)
        np.testing.assert_allclose(net.forecast(frames).numpy(), expected, atol=1e-5)


@settings(max_examples=20)
@given(window=st.sampled_from([1, 3, 5]), widths=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_a_layer_has_as_many_values_as_the_formula_says(window, widths):
    inputs = [2 * window**2, *widths[:-1]]
    for cell, gates in (("lstm", 4), ("rnn", 1)):
        net = network("window_lstm", channels=2, window=window, widths=widths, cell=cell)
        layers = sum(gates * h * (d + h + 1) for d, h in zip(inputs, widths, strict=True))
        assert sum(p.numel() for p in net.parameters()) == layers + widths[-1] + 1


def test_defaults_have_the_sizes_that_are_proposed():
    window = sum(p.numel() for p in network("window_lstm").parameters())
    assert window == 4 * 128 * (49 + 128 + 1) + 4 * 128 * (128 + 128 + 1) + 128 + 1
    patch = sum(p.numel() for p in network("patch_lstm").parameters())
    assert patch == 4 * 512 * (256 + 512 + 1) + 4 * 512 * (512 + 512 + 1) + 512 * 256 + 256


@pytest.mark.parametrize("name", ["window_lstm", "patch_lstm"])
def test_computing_again_changes_no_gradient(name):
    frames, found = frames_of(1, 7, 9), []
    for recompute in (False, True):
        net = network(name, recompute=recompute, widths=(6, 5))
        net(frames).square().mean().backward()
        found.append([p.grad.clone() for p in net.parameters()])
    for plain, again in zip(*found, strict=True):
        torch.testing.assert_close(plain, again)
        assert plain.any()


def test_a_window_knows_no_place_and_sees_no_farther_than_its_half_side_each_step():
    net = network("window_lstm", height=30, width=30, window=3, widths=(6,))
    frames = frames_of(1, 30, 30)
    with torch.no_grad():
        plain = net(frames)
        moved = net(frames.roll((2, 3), dims=(-2, -1)))
        inside = slice(12, 20)
        torch.testing.assert_close(moved[..., inside, inside], plain[..., 10:18, 9:17])
        # A change in the first frame reaches one cell farther at each step from then on.
        frames[:, 0, 0, 15, 15] += 1
        changed = (net(frames) - plain).abs().amax(dim=0) > 0
    for lead in range(LEADS):
        rows, columns = torch.nonzero(changed[lead], as_tuple=True)
        assert int((rows - 15).abs().max()) == int((columns - 15).abs().max()) == 1 + lead
