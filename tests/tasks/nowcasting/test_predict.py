"""Products of models whose weights follow the frames: the same as group by group, also across the turn of a period."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.frame_losses import FrameLoss
from pipeline_lib.learning.model_store import InputVariable, ModelSpec, load_model, save_model
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.nowcasting.online import follow
from pipeline_lib.tasks.nowcasting.options import OnlineOptions
from pipeline_lib.tasks.nowcasting.predict import product
from pipeline_lib.tasks.nowcasting.sequences import ends_of, packed_cells
from pipeline_lib.tasks.nowcasting.windows import FrameWindows

SEEN, LEADS, SIDE, FRAMES, TURN = 2, 3, 8, 24, 10
ONLINE = OnlineOptions(block=2, learning_rate=0.01)
OPTIONS = {"patch": 2, "kernel_input": 3, "kernel_state": 3, "widths": [3]}
SIZES = {"seen": SEEN, "leads": LEADS, "channels": 1, "height": SIDE, "width": SIDE}


@pytest.fixture
def network():
    model = MODELS.get("convlstm")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model.build(model.Options(**OPTIONS), **SIZES)


def stored(folder: Path, network: torch.nn.Module, online: OnlineOptions | None, **more: object) -> Manifest:
    return save_model(
        folder / "model.json",
        spec=ModelSpec(
            model="convlstm",
            options=OPTIONS,
            task="nowcasting",
            inputs=(InputVariable(name="echo", units="1"),),
            sizes=SIZES,
            parameters=1,
        ),
        weights=network.state_dict(),
        history=pd.DataFrame({"epoch": []}),
        inputs={},
        training={},
        code="test",
        extra={
            "step_minutes": 5.0,
            "stride": 1,
            "missing": 0.1,
            "loss": "squared",
            "online": online and online.model_dump(mode="json"),
            "known_cells": packed_cells({"echo": np.ones((SIDE, SIDE), np.bool_)}),
            **more,
        },
    )


@pytest.fixture
def ds() -> xr.Dataset:
    values = np.random.default_rng(0).random((FRAMES, SIDE, SIDE), np.float32)
    times = np.datetime64("2010-08-26", "ns") + np.arange(FRAMES) * np.timedelta64(300, "s")
    axis = np.arange(SIDE) * 1000.0
    return xr.Dataset({"echo": (("time", "y", "x"), values, {"units": "1"})}, {"time": times, "y": axis, "x": axis})


def test_an_online_product_follows_the_frames_of_its_period_and_sees_the_last_ones_before(tmp_path, network, ds):
    trained, values, times = stored(tmp_path, network, ONLINE), ds.echo.values, ds.time.values
    made = product(
        trained, ds.isel(time=slice(TURN, None)), device="cpu", threads=1, before=ds.isel(time=slice(0, TURN))
    )
    assert made.time.values.tolist() == times[TURN:].tolist()
    seen = values[TURN - SEEN + 1 :]
    starts = np.arange(SEEN - 1, len(seen))
    windows = FrameWindows(seen[:, None], times[TURN - SEEN + 1 :], starts, SEEN, LEADS)
    net = copy.deepcopy(load_model(trained.path).network)
    loss = FrameLoss("squared", logistic=net.link == "logistic", scale=None)
    expected = []
    for group in follow(net, windows, np.arange(len(seen)), ONLINE, loss, torch.device("cpu")):
        with torch.inference_mode():
            expected.append(net.forecast(windows.seen_at(starts[group])).numpy())
    np.testing.assert_allclose(made.forecast.values, np.concatenate(expected), atol=1e-6)
    alone = product(trained, ds.isel(time=slice(TURN, None)), device="cpu", threads=1)
    assert alone.sizes["time"] == made.sizes["time"] - SEEN + 1


@pytest.mark.parametrize("online", [None, ONLINE])
def test_networks_trained_in_64_bits_forecast_as_those_in_32(tmp_path, network, ds, online):
    made = []
    for number_format in (torch.float32, torch.float64):
        (folder := tmp_path / str(number_format)).mkdir()
        trained = stored(folder, copy.deepcopy(network).to(number_format), online)
        made.append(product(trained, ds, device="cpu", threads=1).forecast.values)
    np.testing.assert_allclose(made[0], made[1], atol=1e-5)
    assert (made[0] != made[1]).any()


def test_only_a_test_is_thinned_out(tmp_path, network, ds):
    trained = stored(tmp_path, network, None, stride=5)
    few, all_ = (product(trained, ds, device="cpu", threads=1, thinned=thinned) for thinned in (True, False))
    assert few.time.values.tolist() == ds.time.values[SEEN - 1 :: 5].tolist()
    assert all_.time.values.tolist() == ds.time.values[SEEN - 1 :].tolist()
    np.testing.assert_allclose(few.forecast, all_.forecast.sel(time=few.time), atol=1e-6)


def test_cells_of_another_place_are_refused_and_rounded_ones_taken(tmp_path, network, ds):
    trained = stored(tmp_path, network, None, ends=ends_of(ds.echo))
    near = ds.assign_coords(y=(ds.y + 50).astype("float32"))  # a twentieth of a cell
    assert product(trained, near, device="cpu", threads=1).sizes["time"] == FRAMES - SEEN + 1
    with pytest.raises(DataError, match=r"echo: y goes from 1000 to 8000, .* cells from 0 to 7000"):
        product(trained, ds.assign_coords(y=ds.y + 1000), device="cpu", threads=1)
    with pytest.raises(DataError, match="echo: has no y, on which"):
        product(trained, ds.rename(y="latitude"), device="cpu", threads=1)
    # Models that were stored before ends were kept say nothing of their place.
    (folder := tmp_path / "older").mkdir()
    older = stored(folder, network, None)
    assert product(older, ds.assign_coords(y=ds.y + 1000), device="cpu", threads=1).sizes["time"]
