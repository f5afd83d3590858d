"""Prediction of whole maps: tiles that do not show, any size, the globe without a seam."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError, DataError, StoreError
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.learning.model_store import InputVariable, ModelSpec, load_model, save_model
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.segmentation import predict
from pipeline_lib.tasks.segmentation.predict import class_map, is_periodic, network_function, predict_dataset
from pipeline_lib.tasks.segmentation.tiles import Tiling, plan_axis, predict_map
from tests.models.keras_counts import keras_parameter_count

SMALL = Tiling(tile=32, overlap=16, margin=4, batch_size=3)
WHOLE = Tiling(tile=4096, overlap=16, margin=4)


def neighbours():
    """A translation-equivariant network of reach 2 that gives one linear channel, as a function on arrays."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Conv2d(4, 3, 3, padding=1)).double()

    def predict(inputs):
        with torch.no_grad():
            return net(torch.from_numpy(inputs).double()).numpy().astype(np.float32)

    return predict


def ramp(height, width, slope):
    rows, columns = np.mgrid[:height, :width]
    return (1 + slope * (0.3 * rows - 0.2 * columns))[None].astype(np.float32)


@given(st.integers(1, 120), st.integers(1, 120), st.sampled_from([0.0, 0.1]), st.sampled_from([1, 8, 16]))
@settings(max_examples=40)
def test_tiled_prediction_equals_that_of_the_whole_field(height, width, slope, multiple):
    field, predict = ramp(height, width, slope), neighbours()
    tiled = predict_map(field, predict, SMALL, multiple=multiple, periodic=False)
    whole = predict_map(field, predict, WHOLE, multiple=multiple, periodic=False)
    assert tiled.shape == (3, height, width)
    np.testing.assert_allclose(tiled, whole, atol=2e-5)


@given(st.integers(1, 400), st.sampled_from([1, 8, 16]))
@settings(max_examples=60)
def test_tiles_cover_the_axis_with_positive_weight(cells, multiple):
    axis = plan_axis(cells, SMALL, multiple)
    total = np.zeros(axis.padded)
    for start, weight in zip(axis.starts, axis.weights, strict=True):
        assert start % multiple == 0
        assert start + axis.length <= axis.padded
        total[start : start + axis.length] += weight
    assert total.min() > 0.3
    assert axis.padded - cells < multiple


def test_random_field_is_predicted_without_a_trace_of_tiles():
    field = np.random.default_rng(0).normal(size=(1, 70, 150)).astype(np.float32)
    tiled = predict_map(field, neighbours(), SMALL, multiple=8, periodic=False)
    whole = predict_map(field, neighbours(), WHOLE, multiple=8, periodic=False)
    np.testing.assert_allclose(tiled, whole, atol=2e-5)  # the margin is wider than the reach


@pytest.mark.parametrize("shift", [8, 24, 40, 72])
def test_periodic_map_has_no_seam(shift):
    field = np.random.default_rng(0).normal(size=(1, 24, 80)).astype(np.float32)

    def go(x, tiles):
        return predict_map(x, neighbours(), tiles, multiple=8, periodic=True)

    for tiles in (SMALL, WHOLE):
        turned = go(np.roll(field, shift, axis=-1), tiles)
        np.testing.assert_allclose(turned, np.roll(go(field, tiles), shift, axis=-1), atol=2e-5)
    apart = predict_map(np.roll(field, shift, axis=-1), neighbours(), WHOLE, multiple=8, periodic=False)
    assert np.abs(apart - np.roll(go(field, WHOLE), shift, axis=-1)).max() > 0.01  # the seam is there otherwise


@pytest.mark.parametrize("size", [(8, 8), (5, 3), (37, 51), (128, 344)])
@pytest.mark.parametrize("name", ["eddynet", "eddynet_s", "unet"])
def test_networks_give_probabilities_on_maps_of_any_size(name, size):
    model = MODELS.get(name)
    torch.manual_seed(0)
    small = {"widths": (4, 4, 4, 4, 4)} if name == "unet" else {"filters": 4}
    net = model.build(model.Options(**small), in_channels=1, classes=3)
    field = np.random.default_rng(0).normal(size=(1, *size)).astype(np.float32)
    predict = network_function(net, torch.device("cpu"), "float32")
    out = predict_map(field, predict, Tiling(), multiple=model.size_multiple, periodic=False)
    assert out.shape == (3, *size)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.sum(axis=0), 1, atol=1e-5)


def test_prediction_of_real_network_hardly_depends_on_tiles():
    model = MODELS.get("unet")
    torch.manual_seed(0)
    net = model.build(model.Options(widths=(4, 4, 4, 4, 4)), in_channels=1, classes=3)
    field = np.random.default_rng(0).normal(size=(1, 96, 240)).astype(np.float32)
    predict = network_function(net, torch.device("cpu"), "float32")
    tiled, whole = (
        predict_map(field, predict, tiling, multiple=16, periodic=False)
        for tiling in (Tiling(tile=96, overlap=48, margin=16), WHOLE)
    )
    assert np.abs(tiled - whole).mean() < 0.01


@pytest.mark.parametrize(
    "options", [{"tile": 100}, {"overlap": 20}, {"margin": 40}, {"overlap": 256}, {"tile": 64, "overlap": 64}]
)
def test_tiles_that_do_not_fit_are_refused(options):
    with pytest.raises(ConfigError, match="tiles"):
        plan_axis(500, Tiling(**options), 8)


def test_globe_is_recognised():
    assert is_periodic(np.arange(-180, 180, 0.25))
    assert is_periodic(np.arange(1440) * 0.25 - 179.875)
    assert not is_periodic(np.arange(-6, 36, 0.125))
    assert not is_periodic(np.array([3.0]))


HISTORY = pd.DataFrame({"epoch": [1, 2], "val_loss": [0.5, 0.25]})


# ---- stored models -------------------------------------------------------------------------------------------


def dataset(units="m", days=2):
    rng = np.random.default_rng(0)
    dims = ("time", "latitude", "longitude")
    height = rng.normal(size=(days, 20, 36)).astype(np.float32)
    height[:, :4, :10] = np.nan
    return xr.Dataset(
        {
            "adt": (dims, height, {"units": units}),
            "ugos": (dims, rng.normal(size=height.shape).astype(np.float32), {"units": "m s-1"}),
        },
        coords={
            "time": np.datetime64("2005-06-06", "ns") + np.arange(days) * np.timedelta64(1, "D"),
            "latitude": 30 + np.arange(20) / 8,
            "longitude": np.arange(36) / 8,
        },
    )


@pytest.fixture
def stored(tmp_path):
    model = MODELS.get("eddynet")
    torch.manual_seed(3)
    net = model.build(model.Options(filters=4), in_channels=2, classes=3).eval()
    spec = ModelSpec(
        model="eddynet",
        options={"filters": 4},
        task="segmentation",
        inputs=(
            InputVariable(name="adt", units="m", mean=0.1, scale=2.0),
            InputVariable(name="ugos", units="m s-1", scale=0.5),
        ),
        classes=("none", "anticyclonic", "cyclonic"),
        sizes={"in_channels": 2, "classes": 3},
        parameters=keras_parameter_count(net),
    )
    path = tmp_path / "model.json"
    save_model(path, spec=spec, weights=net.state_dict(), history=HISTORY, inputs={}, training={"seed": 0}, code="abc")
    return path, net


def test_stored_model_predicts_as_the_one_that_was_stored(stored):
    path, net = stored
    ds = dataset()
    out = predict_dataset(load_model(path), ds, device="cpu", precision="float32")
    inputs = np.stack([(ds.adt.values - 0.1) / 2, ds.ugos.values / 0.5], axis=1).astype(np.float32)
    sea = ~np.isnan(ds.adt.values)
    inputs = np.where(sea[:, None], inputs, 0)
    inputs = np.pad(inputs, ((0, 0), (0, 0), (0, 4), (0, 4)))
    with torch.no_grad():
        expected = torch.softmax(net(torch.from_numpy(inputs)), dim=1).numpy()[..., :20, :36]
    assert out.dims == ("time", "class", "latitude", "longitude")
    assert list(out["class"].values) == ["none", "anticyclonic", "cyclonic"]
    np.testing.assert_allclose(out.values, np.where(sea[:, None], expected, np.nan), atol=1e-6)
    codes = class_map(out)
    assert codes.dims == ("time", "latitude", "longitude")
    assert codes.dtype == np.int8
    np.testing.assert_array_equal(codes.values, np.where(sea, expected.argmax(axis=1), 0))


def test_a_product_is_made_block_by_block_and_does_not_depend_on_the_blocks(stored, monkeypatch):
    trained, ds = read_manifest(stored[0]), dataset(days=5)
    trained.content.setdefault("precision", "float32")
    whole = predict.product(trained, ds, device="cpu", threads=1)
    assert whole.chunks["time"] == (5,)
    monkeypatch.setattr(predict, "time_chunk", lambda **_: 2)
    blocks = predict.product(trained, ds, device="cpu", threads=1)
    assert blocks.chunks["time"] == (2, 2, 1)
    xr.testing.assert_identical(whole.compute(), blocks.compute())
    np.testing.assert_array_equal(whole.eddy_class == -1, np.isnan(ds.adt))


def test_storing_twice_gives_the_same_bytes(stored, tmp_path):
    path, net = stored
    spec = load_model(path).spec
    again = tmp_path / "again" / "model.json"
    save_model(again, spec=spec, weights=net.state_dict(), history=HISTORY, inputs={}, training={"seed": 0}, code="abc")
    assert again.read_bytes() == path.read_bytes()


def test_inputs_that_are_missing_or_in_other_units_are_refused(stored):
    model = load_model(stored[0])
    with pytest.raises(DataError, match=r"adt.*'cm'.*trained in 'm'"):
        predict_dataset(model, dataset(units="cm"))
    with pytest.raises(DataError, match="needs 'ugos'"):
        predict_dataset(model, dataset()[["adt"]])


def test_changed_weights_or_an_unfitting_network_are_refused(stored):
    path, _ = stored
    weights = path.parent / "best.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(StoreError, match="SHA-256"):
        load_model(path)


def test_weights_of_another_architecture_are_refused(stored, tmp_path):
    path, net = stored
    spec = load_model(path).spec.model_copy(update={"options": {"filters": 8}})
    other = tmp_path / "other" / "model.json"
    save_model(other, spec=spec, weights=net.state_dict(), history=HISTORY, inputs={}, training={}, code="abc")
    with pytest.raises(StoreError, match="does not fit eddynet as it is today"):
        load_model(other)
