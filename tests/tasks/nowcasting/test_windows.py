"""Windows of frames and the losses over them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

from pipeline_lib.brightness import TemperatureScale
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.learning.frame_losses import balanced_loss
from pipeline_lib.tasks.nowcasting.options import TrainingOptions
from pipeline_lib.tasks.nowcasting.problem import NowcastingProblem
from pipeline_lib.tasks.nowcasting.windows import FrameWindows, _wet, scaling_of, stacked
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.share import Share
from tests.scales import HKO7

SEEN, LEADS, SIDE = 3, 2, 4


def windows(frames: np.ndarray, starts: list[int]) -> FrameWindows:
    times = np.datetime64("2010-08-26", "ns") + np.arange(len(frames)) * np.timedelta64(300, "s")
    return FrameWindows(frames.astype(np.float32), times, np.array(starts), SEEN, LEADS)


def test_a_window_is_what_was_seen_and_what_follows():
    frames = np.arange(8)[:, None, None, None] + np.zeros((8, 2, SIDE, SIDE))
    frames[:, 1] += 100
    frames[3, 0, 0, 0] = frames[3, 1, 0, 1] = np.nan
    batch = windows(frames, [2, 4]).cut(np.array([0, 1]))
    assert batch.inputs[:, :, 0, 1, 1].tolist() == [[0, 1, 2], [2, 3, 4]]
    assert batch.inputs[:, :, 1, 1, 1].tolist() == [[100, 101, 102], [102, 103, 104]]
    assert batch.target[:, :, 1, 1].tolist() == [[3, 4], [5, 6]]
    assert batch.inputs[1, 1, 0, 0, 0] == batch.inputs[1, 1, 1, 0, 1] == 0  # a network sees no gap
    assert batch.target[0, 0, 0, 0].isnan()  # and is not asked about one
    assert windows(frames, [2, 4]).describe(batch.samples) == "2010-08-26T00:10:00; 2010-08-26T00:20:00"


def test_noise_is_seen_but_nothing_is_asked_about_it():
    frames = np.full((6, 1, SIDE, SIDE), 0.5)
    frames[:, 0, 0, 0], frames[:, 0, 0, 1] = 0.2, 0.0
    noisy = windows(frames, [2])
    batch = dataclasses.replace(noisy, noise_below=0.28).cut(np.array([0]))
    assert batch.inputs[0, 0, 0, 0, 0] == np.float32(0.2)
    assert batch.target[0, :, 0, 0].isnan().all()
    assert batch.target.isnan().sum() == LEADS
    assert not noisy.cut(np.array([0])).target.isnan().any()
    assert noisy.identity != dataclasses.replace(noisy, noise_below=0.28).identity


def test_variables_become_channels_levels_too():
    rng = np.random.default_rng(0)
    echo, wind = rng.random((5, SIDE, SIDE)), rng.random((5, 3, SIDE, SIDE))
    ds = xr.Dataset({"echo": (("time", "y", "x"), echo), "w": (("time", "level", "y", "x"), wind)})
    scaling = scaling_of(["echo", "w"], {"echo": {"mean": 9.0, "std": 9.0}, "w": {"mean": 0.5, "std": 2.0}})
    made = stacked(ds, scaling)
    assert made.shape == (5, 4, SIDE, SIDE)
    np.testing.assert_allclose(made[:, 0], echo, rtol=1e-6)  # what is forecast keeps its values
    np.testing.assert_allclose(made[:, 1:], (wind - 0.5) / 2, rtol=1e-5, atol=1e-7)
    with pytest.raises(DataError, match=r"w: has shape .* the frames are \(4, 4\)"):
        stacked(ds.assign(w=("time", np.zeros(5))), scaling)


def test_dry_windows_are_left_out():
    frames = np.zeros((8, SIDE, SIDE), np.float32)
    frames[7, :2] = 0.3
    frames[0, 0, 0] = np.nan
    options = TrainingOptions(seen=SEEN, leads=LEADS, wet=0.5)
    echo = xr.DataArray(frames, dims=("time", "y", "x"))
    for stored in (echo, echo.chunk(time=3)):
        assert _wet(stored, np.array([2, 3, 4, 5]), options).tolist() == [False, False, False, True]
        assert _wet(stored, np.array([2, 5]), TrainingOptions(seen=SEEN, leads=LEADS)).all()


def test_noise_is_no_echo():
    frames = np.zeros((7, SIDE, SIDE), np.float32)
    frames[2:] = 0.2  # everywhere, but below 0.28: weak echoes that HKO-7 takes for noise
    frames[6, :2] = 0.28
    options = TrainingOptions(seen=SEEN, leads=LEADS, wet=0.5)
    echo = xr.DataArray(frames, dims=("time", "y", "x"))
    assert _wet(echo, np.array([2, 4]), options).tolist() == [True, True]
    assert _wet(echo.assign_attrs(noise_below=0.28), np.array([2, 4]), options).tolist() == [False, True]


def test_temperatures_are_no_echoes():
    """Nearly every share of a temperature is above 0: no window would be too dry."""
    frames = xr.DataArray(np.full((7, SIDE, SIDE), 0.2), dims=("time", "y", "x"), name="cloud_top")
    frames.attrs = TemperatureScale(180, 320).attributes()
    with pytest.raises(ConfigError, match=r"training\.wet: cloud_top holds temperatures, .*; leave it out"):
        _wet(frames, np.array([2, 4]), TrainingOptions(seen=SEEN, leads=LEADS, wet=0.5))
    assert _wet(frames, np.array([2, 4]), TrainingOptions(seen=SEEN, leads=LEADS)).all()


LOSSES = ("squared", "absolute", "cross_entropy", "balanced", "balanced_off")


@pytest.mark.parametrize(
    ("loss", "logistic"), [(n, link) for n in LOSSES for link in (False, True) if link or n != "cross_entropy"]
)
def test_losses_know_nothing_of_cells_without_truth(loss, logistic):
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(2, LEADS, SIDE, SIDE, generator=generator, requires_grad=True)
    target = torch.rand(2, LEADS, SIDE, SIDE, generator=generator)
    target[0, 1, 2, 3] = torch.nan
    some = windows(np.zeros((6, 1, SIDE, SIDE)), [2])
    options = TrainingOptions(loss=loss, batch_size=1)
    problem = NowcastingProblem(options, some, some, logistic=logistic, scale=HKO7, seed=0)
    batch = Batch(torch.zeros(2), target, torch.zeros(2, 1, dtype=torch.int64))
    value = problem.loss(output, batch)
    value.backward()
    assert output.grad.isfinite().all()
    assert output.grad[0, 1, 2, 3] == 0
    values, valid = problem.values(output).detach().double().numpy(), target.isfinite().numpy()
    truth, share = target.double().numpy(), output.detach().double().sigmoid().numpy()
    expected = {
        "squared": np.mean((values - truth)[valid] ** 2),
        "absolute": np.mean(abs(values - truth)[valid]),
        "cross_entropy": -np.sum((truth * np.log(share) + (1 - truth) * np.log(1 - share))[valid]) / 2,
        "balanced": float(balanced_loss(torch.tensor(values), target, HKO7, target.isfinite())),
        "balanced_off": 5e-5 * np.sum((abs(values - truth) + (values - truth) ** 2)[valid]) / (2 * LEADS),
    }[loss]
    assert value.item() == pytest.approx(expected, rel=1e-5)
    scores = problem.new_scores()
    scores.update(output, batch)
    assert scores.result()["loss"] == pytest.approx(expected, rel=1e-5)
    assert scores.result()["mse"] == pytest.approx(np.mean((values - truth)[valid] ** 2), rel=1e-5)


def test_an_epoch_has_every_window_once():
    some = windows(np.zeros((20, 1, SIDE, SIDE)), list(range(2, 18)))
    problem = NowcastingProblem(TrainingOptions(batch_size=4), some, some, logistic=False, scale=None, seed=0)
    drawn = [int(n) for batch in problem.training_batches(0, Share()) for n in batch.samples]
    assert sorted(drawn) == list(range(2, 18))
    assert drawn != sorted(drawn)
