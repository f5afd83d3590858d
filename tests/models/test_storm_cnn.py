"""3D-SCN: sizes by hand, what is seen, and the same answers as from a window cut around each box."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError
from torch.nn import functional

from pipeline_lib.errors import ConfigError
from pipeline_lib.io.atomic import write_json
from pipeline_lib.io.manifest import Artefact
from pipeline_lib.io.zarr_store import write_zarr
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.nowcasting.options import TrainingOptions
from pipeline_lib.train.stage import Compute, Definition, train_model

MODEL = MODELS.get("storm_cnn")
SMALL = {"levels": 4, "widths": (5, 4, 3), "window": 9, "hidden": 6}
"""Convolutions leave 3 x 3 cells of the window, and one level."""


def network(options=SMALL, **sizes):
    torch.manual_seed(0)
    frames = {"seen": 2, "leads": 3, "channels": 7, "height": 12, "width": 14, **sizes}
    return MODEL.build(MODEL.Options(**options), **frames)


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_the_proposed_table_has_as_many_values_as_one_counts():
    """Three times of three volumes are 9 maps; 8 x 24 x 24 points become 6, 4, 2, 1 levels of 22, 20, 18, 16 cells."""
    with torch.device("meta"):
        net = network({"volumes": 3}, seen=3, leads=1, channels=1 + 3 * 8)
    convolutions = (9 * 27 + 1) * 32 + (32 * 27 + 1) * 64 + (64 * 27 + 1) * 64 + (64 * 18 + 1) * 128
    dense = 16 * 16 * 128 * 256 + 256
    assert count(net) == convolutions + dense + 257 == 8_710_529


def test_fewer_levels_than_kernels_leave_one():
    """4 levels become 2, then 1: kernels of 3, 2 and 1 levels; 2 times of a volume and two maps."""
    expected = (6 * 27 + 1) * 5 + (5 * 18 + 1) * 4 + (4 * 9 + 1) * 3 + (3 * 9 + 1) * 6 + (6 + 1) * 3
    assert count(network()) == expected


def test_levels_that_are_left_are_seen_by_the_dense_layer():
    """10 levels become 8, 6, 4."""
    net = network(SMALL | {"levels": 10}, channels=13)
    expected = (6 * 27 + 1) * 5 + (5 * 27 + 1) * 4 + (4 * 27 + 1) * 3 + (3 * 9 * 4 + 1) * 6 + (6 + 1) * 3
    assert count(net) == expected
    assert net.eval()(torch.rand(1, 2, 13, 12, 14)).shape == (1, 3, 12, 14)


def test_maps_alone_are_seen_as_well():
    net = network(SMALL | {"levels": 1, "volumes": 0}, channels=3).eval()
    assert net.layers[0].weight.shape == (5, 4, 1, 3, 3)
    assert net(torch.rand(1, 2, 3, 12, 14)).shape == (1, 3, 12, 14)


@pytest.mark.parametrize(("window", "before"), [(9, 4), (10, 4)])
def test_each_box_gets_the_answer_of_its_own_window(window, before):
    """Windows are cut out one by one; dense layers are products with the flattened rest."""
    net = network(SMALL | {"window": window}).eval()
    frames = torch.rand(2, 2, 7, 12, 14)
    found = net(frames)
    first, second, third, dense = (net.layers[i] for i in (0, 2, 4, 6))
    for row, column in ((4, 4), (6, 7), (5, 8)):
        rows = slice(row - before, row - before + window)
        columns = slice(column - before, column - before + window)
        cut = frames[:, :, :, rows, columns]
        levels = cut[:, :, 1:5]
        maps = [torch.stack([cut[:, :, channel]] * 4, dim=2) for channel in (5, 6)]
        cube = torch.stack([levels, *maps], dim=2).reshape(2, 6, 4, window, window)
        for layer in (first, second, third):
            cube = functional.conv3d(cube, layer.weight, layer.bias).clamp(min=0)
        assert cube.shape[1:] == (3, 1, window - 6, window - 6)
        hidden = (cube.flatten(1) @ dense.weight.flatten(1).T + dense.bias).clamp(min=0)
        answer = hidden @ net.exit.weight[:, :, 0, 0].T + net.exit.bias
        torch.testing.assert_close(found[:, :, row, column], answer)


def test_the_border_is_repeated_beyond_the_frame():
    net = network().eval()
    frames = torch.rand(1, 2, 7, 12, 14)
    wider = functional.pad(frames.flatten(1, 2), (4, 4, 4, 4), mode="replicate").unflatten(1, (2, 7))
    torch.testing.assert_close(net(wider)[..., 4:-4, 4:-4], net(frames))


@pytest.mark.parametrize(
    ("variables", "seen"),
    [(None, [1, 2, 3, 4, 5, 6]), ((1,), [1, 2, 3, 4]), ((3,), [6]), ((3, 1), [1, 2, 3, 4, 6])],
)
def test_what_is_asked_for_is_seen_and_never_the_storms_themselves(variables, seen):
    net = network(SMALL | {"variables": variables, "widths": (8, 8, 8), "hidden": 16}).eval()
    frames = torch.rand(1, 2, 7, 12, 14, requires_grad=True)
    net(frames).square().sum().backward()
    of_channel = frames.grad.abs().sum(dim=(0, 3, 4))
    for step in of_channel:
        assert step.nonzero().flatten().tolist() == seen


def test_dropout_acts_in_training_alone_and_forecasts_are_probabilities():
    net = network()
    frames = torch.rand(1, 2, 7, 12, 14)
    assert not torch.equal(net(frames), net(frames))
    net.eval()
    forecast = net.forecast(frames)
    torch.testing.assert_close(forecast, net(frames).sigmoid())
    assert torch.equal(forecast, net.forecast(frames))


@pytest.mark.parametrize(
    ("options", "channels", "says"),
    [
        ({}, 4, r"4 channels are not one to forecast and 1 volumes of 4 levels"),
        ({"volumes": 0}, 1, "1 channels are not one to forecast and 0 volumes"),
        ({"variables": (4,)}, 7, "variable 4 is to be seen, there are 3 after the first"),
    ],
)
def test_channels_that_do_not_fit_are_told(options, channels, says):
    with pytest.raises(ConfigError, match=says):
        network(SMALL | options, channels=channels)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"window": 6}, "3 convolutions leave nothing of 6 cells: give 7 or more"),
        ({"variables": (1, 1)}, "variables names one twice"),
        ({"variables": (0,)}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        MODEL.Options(**(SMALL | options))


VOLUME, MAP = (4, 12, 14), (12, 14)


@pytest.mark.parametrize(
    ("options", "shapes", "says"),
    [
        ({}, [MAP, VOLUME, MAP, MAP], ""),
        ({}, [MAP, None, MAP, None], ""),
        ({"volumes": 2}, [MAP, VOLUME, VOLUME], ""),
        ({"levels": 1, "volumes": 0}, [MAP, MAP], ""),
        ({"levels": 1}, [MAP, MAP, (1, 12, 14)], ""),
        ({}, [MAP, MAP, VOLUME, MAP], "options: input 1 has no levels, and is to have 4 levels"),
        ({}, [None, None, None, VOLUME], "options: input 3 has 4 levels, and is to have no levels"),
        ({"levels": 2, "volumes": 2}, [MAP, VOLUME], "options.volumes: is 2, and 1 inputs follow"),
        ({"levels": 2, "volumes": 2}, [MAP, VOLUME, MAP], "options: input 1 has 4 levels, and is to have 2 levels"),
        ({}, [VOLUME, VOLUME], "options: input 0 has 4 levels, and is to have no levels"),
    ],
)
def test_levels_are_where_the_layout_says(options, shapes, says):
    chosen = MODEL.Options(**(SMALL | options))
    if not says:
        MODEL.check_shapes(chosen, shapes)
        return
    with pytest.raises(ConfigError, match=says):
        MODEL.check_shapes(chosen, shapes)


def test_a_training_on_inputs_in_another_order_is_refused(tmp_path):
    """They have as many channels, and the network would be built: a catalog entry of files tells no levels."""
    inputs = ("storm", "vertical_velocity", "reflectivity")
    frames = {name: (("time", "row", "column"), np.zeros((3, 6, 6), np.float32)) for name in inputs}
    frames["reflectivity"] = (("time", "level", "row", "column"), np.zeros((3, 4, 6, 6), np.float32))
    ds = xr.Dataset(frames, {"time": np.datetime64("2000-01-01", "ns") + np.arange(3) * np.timedelta64(10, "m")})
    with Artefact(tmp_path / "2000-01.json", kind="dataset", code="test") as out:
        write_zarr(ds, out.payload("2000-01.zarr"), attrs={})
        out.content = {"period": "2000-01", "form": "frames"}
    with Artefact(tmp_path / "statistics.json", kind="statistics", code="test") as out:
        write_json(
            out.payload("statistics.values.json"), {name: {"mean": 0, "std": 1, "units": "1"} for name in inputs}
        )
    days = (date(2000, 1, 1), date(2000, 1, 1))
    definition = Definition(
        task="nowcasting",
        model="storm_cnn",
        model_options=MODEL.Options(**SMALL),
        training=TrainingOptions(seen=1, leads=1, step_minutes=10),
        inputs=inputs,
        train=days,
        validation=days,
        seed=0,
    )
    where = {"datasets": [tmp_path / "2000-01.json"], "labels": [], "statistics": tmp_path / "statistics.json"}
    compute = Compute(device="cpu", devices=1, threads=None, end=None)
    with pytest.raises(ConfigError, match="storm_cnn: options: input 1 has no levels, and is to have 4 levels"):
        train_model(definition, **where, output=tmp_path / "model/model.json", compute=compute, code="test")
