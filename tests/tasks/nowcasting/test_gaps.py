"""Gaps in what methods see that learned nothing: the last value before, or that of the nearest cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from pipeline_lib.learning.model_store import InputVariable, ModelSpec, save_model
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.nowcasting.gaps import carried_on
from pipeline_lib.tasks.nowcasting.predict import product
from pipeline_lib.tasks.nowcasting.sequences import packed_cells
from tests.motion.scenes import blobs

SEEN, LEADS, SIZE = 3, 2, (48, 56)
WAYS = {
    "last_frame": {},
    "optical_flow": {"outside": "edge"},
    "rover": {"max_level": 4},
}


def forecast(folder, name, frames):
    """The first forecast of a stored model from frames (time, y, x)."""
    model, options = MODELS.get(name), WAYS[name]
    sizes = {"seen": SEEN, "leads": LEADS, "channels": 1, "height": SIZE[0], "width": SIZE[1]}
    rules = {"step_minutes": 5.0, "stride": 1, "missing": 0.1, "loss": "squared", "online": None}
    trained = save_model(
        folder / "model.json",
        spec=ModelSpec(
            model=name,
            options=options,
            task="nowcasting",
            inputs=(InputVariable(name="echo", units="1"),),
            sizes=sizes,
            parameters=0,
        ),
        weights=model.build(model.Options(**options), **sizes).state_dict(),
        history=pd.DataFrame({"epoch": []}),
        inputs={},
        training={},
        code="test",
        extra={**rules, "known_cells": packed_cells({"echo": np.ones(SIZE, np.bool_)})},
    )
    times = np.datetime64("2010-08-26", "ns") + np.arange(len(frames)) * np.timedelta64(300, "s")
    axes = {axis: np.arange(size) * 1000.0 for axis, size in zip("yx", SIZE, strict=True)}
    ds = xr.Dataset({"echo": (("time", "y", "x"), frames, {"units": "1"})}, {"time": times, **axes})
    return product(trained, ds, device="cpu", threads=1).forecast.values[0]


@pytest.mark.parametrize("name", WAYS)
def test_a_gap_in_the_last_frame_hardly_changes_a_forecast(tmp_path, name):
    frames = np.stack([blobs((1.2 * k, -0.6 * k), SIZE, top=220.0)[0].numpy() / 255 for k in range(SEEN + LEADS)])
    frames = (0.3 + 0.5 * frames).astype(np.float32)
    seen, truth = frames[:SEEN], frames[SEEN:]
    lacking = seen.copy()
    lacking[-1, 20:30, 22:33] = np.nan  # 4 % of the cells
    whole, found = (forecast(tmp_path, name, given) for given in (seen, lacking))
    inside = (slice(None), slice(8, -8), slice(8, -8))
    errors = [float(np.sqrt(np.square(made - truth)[inside].mean())) for made in (whole, found)]
    # With zeros in the gap the second one is above 0.13.
    assert errors[1] < errors[0] + 0.02


@pytest.mark.parametrize("name", ["last_frame", "optical_flow"])
def test_a_constant_field_with_gaps_stays_constant(tmp_path, name):
    frames = np.full((SEEN, *SIZE), 285.0, np.float32)
    frames[np.random.default_rng(0).random(frames.shape) < 0.01] = np.nan
    frames[:, 10:14, 20:24] = np.nan  # at no time
    np.testing.assert_allclose(forecast(tmp_path, name, frames), 285.0, rtol=1e-5)


def test_gaps_are_filled_from_before_then_from_the_nearest_cell():
    rng = np.random.default_rng(1)
    frames = rng.random((2, 4, 2, 6, 7)).astype(np.float32)
    frames[rng.random(frames.shape) < 0.4] = np.nan
    frames[1, :, 1] = np.nan
    frames[1, 2:, 1, 3, 2] = 5.0
    filled = carried_on(frames)
    for batch, channel in np.ndindex(2, 2):
        known = np.full((6, 7), np.nan, np.float32)
        for step in range(4):
            now = frames[batch, step, channel]
            known = np.where(np.isnan(now), known, now)
            places = np.argwhere(np.isfinite(known))
            for cell in np.ndindex(6, 7):
                value = filled[batch, step, channel][cell]
                if np.isfinite(known[cell]):
                    assert value == known[cell]
                elif not len(places):
                    assert value == 0
                else:
                    distance = np.square(places - cell).sum(axis=1)
                    assert value in known[tuple(places[distance == distance.min()].T)]
    whole = np.nan_to_num(frames)
    assert carried_on(whole) is whole


def test_networks_keep_what_they_were_trained_with(tmp_path):
    """Zeros: what a network that learns sees, in training and after it, is the same."""
    from pipeline_lib.tasks.nowcasting.windows import FrameWindows

    frames = np.ones((SEEN + LEADS, 1, 4, 4), np.float32)
    frames[1, 0, 2, 2] = np.nan
    windows = FrameWindows(frames, np.arange(5).astype("datetime64[m]"), np.array([SEEN - 1]), SEEN, LEADS)
    assert windows.cut(np.array([0])).inputs[0, 1, 0, 2, 2] == 0
    assert windows.seen_at(windows.starts)[0, 1, 0, 2, 2] == 0
    assert (windows.seen_at(windows.starts, learned=False) == torch.ones(1, SEEN, 1, 4, 4)).all()
