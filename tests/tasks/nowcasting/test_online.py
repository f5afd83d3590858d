"""Weights that follow the frames: against a plain loop over frames, with AdaGrad written out."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from pipeline_lib.learning.frame_losses import FrameLoss
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.nowcasting.online import Follower, follow
from pipeline_lib.tasks.nowcasting.options import OnlineOptions
from pipeline_lib.tasks.nowcasting.windows import FrameWindows
from tests.scales import HKO7

SEEN, LEADS, SIDE = 2, 3, 8
LENGTHS = (14, 4, 9)
"""Frames of each episode."""
BEFORE = np.concatenate([np.arange(length) for length in LENGTHS])
OPTIONS = OnlineOptions(block=2, learning_rate=0.01, gradient_clip=2.0)
LOSS = FrameLoss("balanced", logistic=True, scale=HKO7)


def made(frames: np.ndarray, stride: int = 1) -> FrameWindows:
    starts = np.flatnonzero((BEFORE >= SEEN - 1) & ((BEFORE - (SEEN - 1)) % stride == 0))
    return FrameWindows(frames, np.arange(len(frames)), starts, SEEN, LEADS, noise_below=0.1)


@pytest.fixture(scope="module")
def network():
    model = MODELS.get("convlstm")
    options = model.Options(patch=2, kernel_input=3, kernel_state=3, widths=[3])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model.build(options, seen=SEEN, leads=LEADS, channels=1, height=SIDE, width=SIDE)


@pytest.fixture(scope="module")
def frames():
    values = np.random.default_rng(0).random((sum(LENGTHS), 1, SIDE, SIDE), np.float32)
    values[7, 0, 0, 0] = np.nan
    return values


def online(network, windows, options=OPTIONS) -> tuple[np.ndarray, list[dict[str, torch.Tensor]]]:
    network, forecasts, weights = copy.deepcopy(network), [], []
    for group in follow(network, windows, BEFORE, options, LOSS, torch.device("cpu")):
        for start in windows.starts[group]:
            with torch.inference_mode():
                forecasts.append(network.forecast(windows.seen_at(np.array([start])))[0].numpy())
            weights.append(copy.deepcopy(network.state_dict()))
    return np.stack(forecasts), weights


def reference(network, frames, options, stride=1):
    """The protocol as the public benchmark has it, frame by frame: what has arrived is in lists, nothing else is known.

    Blocks are stored as they are complete; a step is made on those that are stored before the next one joins them.
    """
    trained = copy.deepcopy(network)
    found, shown = [], torch.from_numpy(np.nan_to_num(frames))
    first = 0
    for length in LENGTHS:
        net = copy.deepcopy(trained)
        names = list(net.parameters())
        squares = [torch.zeros_like(p) for p in names]
        stored: list[int] = []
        coming: list[int] = []
        for number in range(first, first + length):
            coming.append(number)
            if (complete := len(coming) == options.block) and len(stored) >= SEEN + LEADS:
                window = stored[-(SEEN + LEADS) :]
                truth = torch.from_numpy(frames[window[SEEN:], 0]).clone()[None]
                truth[(truth > 0) & (truth < 0.1)] = torch.nan
                gradients = torch.autograd.grad(LOSS(net(shown[window[:SEEN]][None]), truth), names)
                norm = sum(float((g**2).sum()) for g in gradients) ** 0.5
                shrink = 1.0 if options.gradient_clip is None else min(1.0, options.gradient_clip / norm)
                with torch.no_grad():
                    for p, g, s in zip(names, gradients, squares, strict=True):
                        s += (shrink * g) ** 2
                        p -= options.learning_rate * shrink * g / (s.sqrt() + 1e-10)
            if complete:
                stored, coming = stored + coming, []
            arrived = stored + coming
            if len(arrived) >= SEEN and (len(arrived) - SEEN) % stride == 0:
                with torch.no_grad():
                    found.append((net.forecast(shown[arrived[-SEEN:]][None])[0].numpy(), net.state_dict()))
                    net = copy.deepcopy(net)
                    names = list(net.parameters())
        first += length
    return found


@pytest.mark.parametrize(("block", "stride", "clip"), [(2, 1, 1e-4), (5, 5, None), (3, 2, 50.0)])
def test_forecasts_and_weights_are_those_of_a_loop_over_the_frames(network, frames, block, stride, clip):
    options = OnlineOptions(block=block, learning_rate=0.01, gradient_clip=clip)
    forecasts, weights = online(network, made(frames, stride), options)
    expected = reference(network, frames, options, stride)
    assert len(forecasts) == len(expected)
    for forecast, kept, (wanted, wanted_weights) in zip(forecasts, weights, expected, strict=True):
        np.testing.assert_allclose(forecast, wanted, atol=1e-5)
        for name, value in kept.items():
            torch.testing.assert_close(value, wanted_weights[name], rtol=1e-4, atol=1e-5)


def test_no_forecast_knows_of_frames_after_its_start(network, frames):
    first, _ = online(network, made(frames))
    for cut in (5, 10, 16, 20):
        others = frames.copy()
        others[cut + 1 :] = np.random.default_rng(1).random(others[cut + 1 :].shape, np.float32)
        second, _ = online(network, made(others))
        known = made(frames).starts <= cut
        np.testing.assert_array_equal(first[known], second[known])
        assert not np.array_equal(first[~known], second[~known])


def test_episodes_begin_with_the_trained_weights_and_runs_are_equal(network, frames):
    windows = made(frames)
    first, weights = online(network, windows)
    second, _ = online(network, windows)
    np.testing.assert_array_equal(first, second)
    trained = network.state_dict()
    for start, kept in zip(windows.starts, weights, strict=True):
        fresh = BEFORE[start] + 1 < 8  # blocks of two: the third ends a window, whose step comes before the fourth
        assert all(torch.equal(kept[name], trained[name]) for name in trained) == fresh


def test_the_published_protocol_makes_its_first_step_between_the_fifth_block_and_the_sixth(monkeypatch):
    """Five seen, twenty to forecast, a forecast from each block: by hand from the loop of the public benchmark."""
    steps = []
    monkeypatch.setattr("pipeline_lib.tasks.nowcasting.online.OnlineTraining.step", lambda *_: steps.append(1))
    before = np.arange(45)
    shown = np.zeros((45, 1, SIDE, SIDE), np.float32)
    windows = FrameWindows(shown, before, np.arange(4, 45, 5), seen=5, leads=20)
    groups = follow(torch.nn.Linear(1, 1), windows, before, OnlineOptions(), LOSS, torch.device("cpu"))
    made = [(len(steps), group.stop - group.start) for group in groups]
    assert [number for number, starts in made for _ in range(starts)] == [0, 0, 0, 0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(("block", "most"), [(2, 4), (5, 3), (20, 4)])
def test_forecasts_are_the_same_to_the_byte_in_whatever_order_they_are_asked_for(network, frames, block, most):
    options, windows, cpu = OnlineOptions(block=block, learning_rate=0.01), made(frames), torch.device("cpu")
    given = copy.deepcopy(network.state_dict())

    def forecasts(net, part: slice) -> np.ndarray:
        with torch.inference_mode():
            return net.forecast(windows.seen_at(windows.starts[part])).numpy()

    net, expected = copy.deepcopy(network), []
    for group in follow(net, windows, BEFORE, options, LOSS, cpu):
        for first in range(group.start, group.stop, most):
            expected.extend(forecasts(net, slice(first, min(first + most, group.stop))))
    follower = Follower(network, windows, BEFORE, options, LOSS, cpu)
    parts = follower.parts(most)
    assert [first for first, _ in parts] + [windows.windows] == [0] + [end for _, end in parts]
    assert max(end - first for first, end in parts) <= most
    rng = np.random.default_rng(0)
    for number in [*range(len(parts)), *rng.integers(0, len(parts), 12)]:
        first, end = parts[number]
        found = [row for net, part in follower.through(first, end, most) for row in forecasts(net, part)]
        assert np.stack(found).tobytes() == np.stack(expected[first:end]).tobytes()
    assert all(torch.equal(given[name], value) for name, value in network.state_dict().items())
