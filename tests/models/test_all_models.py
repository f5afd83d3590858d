"""Every registered model: complete card, strict options, and a network that trains and predicts."""

from __future__ import annotations

import importlib
import math
import sys
import textwrap

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError

from pipeline_lib.errors import DataError
from pipeline_lib.learning.forecaster import Rollout
from pipeline_lib.models.base import AlgorithmModel, FittedModel, NetworkModel
from pipeline_lib.models.frames import FrameModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.windows import WindowModel
from pipeline_lib.registry import Registry
from pipeline_lib.tasks.registry import TASKS
from tests.models.keras_counts import keras_parameter_count

TRAINED = [name for name in MODELS.names() if issubclass(MODELS.get(name), NetworkModel)]
NETWORKS = [name for name in TRAINED if MODELS.get(name).card.task == "segmentation"]
DYNAMICS = [name for name in TRAINED if MODELS.get(name).card.task == "dynamics"]
FORECASTERS = [name for name in DYNAMICS if not issubclass(MODELS.get(name), FittedModel)]
NOWCASTERS = [name for name in TRAINED if issubclass(MODELS.get(name), FrameModel)]
FILLERS = [name for name in TRAINED if issubclass(MODELS.get(name), WindowModel)]
SHAPES = {
    "bilinear_stencil": (8,),
    "burgers_closure": (2, 12),
    "quasigeostrophic_closure": (8, 8),
    "turbulence_closure": (4, 4, 4, 4),
}
"""Of a state, where three components will not do."""
FRAMES: dict[str, dict[str, int]] = {
    "rover": {"height": 72, "width": 80},
    "storm_cnn": {"channels": 7, "height": 12, "width": 14},
}
"""Sizes of frames, where 3 frames of 40 x 48 cells will not do."""
MIXING = {"u": "a * Derivative(u, x, 2) + b * Derivative(u, x) + c * u"}
OPTIONS = {
    "convlstm": {"widths": (6, 4)},
    "fc_lstm": {"widths": (6, 4)},
    "convgru": {"widths": (6, 4, 4)},
    "trajgru": {"widths": (6, 4, 4), "links": (3, 3, 3)},
    "frame_cnn": {"width": 4},
    "storm_cnn": {"levels": 4, "widths": (6, 4), "window": 9, "hidden": 8},
    "generated_pde": {  # as many unknown numbers as the system that is published; its fields must be positive
        "system": {
            "name": "mixing",
            "coordinates": {"x": 1.0},
            "grid": [3],
            "trainable": {"a": 0.1, "b": 0.1, "c": 0.1},
            "equations": MIXING,
        }
    },
}
"""Of a model whose defaults will not do with any state, or are large."""


def test_expected_models_are_there():
    assert {"eddynet", "eddynet_s", "unet", "okubo_weiss"} <= set(MODELS.names())


@pytest.mark.parametrize("name", MODELS.names())
def test_card_is_complete_and_options_are_strict(name):
    model = MODELS.get(name)
    assert issubclass(model, NetworkModel | AlgorithmModel)
    assert model.card.title
    assert len(model.card.summary) > 40
    assert model.card.citation
    assert model.card.limits
    model.Options()
    with pytest.raises(ValidationError, match="extra"):
        model.Options(no_such_option=1)
    assert all(field.description for field in model.Options.model_fields.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_network_takes_many_channels_and_gives_finite_logits_and_gradients(name):
    model = MODELS.get(name)
    torch.manual_seed(0)
    net = model.build(model.Options(), in_channels=3, classes=4)
    size = 4 * model.size_multiple
    for mode in (True, False):
        logits = net.train(mode)(torch.randn(2, 3, size, size))
        assert logits.shape == (2, 4, size, size)
        assert torch.isfinite(logits).all()
    net.train()(torch.randn(2, 3, size, size)).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize("name", FORECASTERS)
def test_forecaster_goes_on_from_its_own_answers_and_has_the_published_size(name):
    model = MODELS.get(name)
    torch.manual_seed(0)
    shape = SHAPES.get(name, (3,))
    dimension = math.prod(shape)
    options = model.Options(**OPTIONS.get(name, {}))
    net = model.build(options, shape=shape, step=0.01, mean=8.4, scale=13.8)
    assert sum(p.numel() for p in net.parameters()) == model.card.parameters.total
    assert set(net.diagnostics) == model.diagnosed(options)
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter)  # behind an output that starts at zero nothing has a gradient
    states = torch.randn(5, dimension)
    forecasts = Rollout(net, 4)(states)
    assert forecasts.shape == (5, 4, dimension)
    assert torch.isfinite(forecasts).all()
    forecasts.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize("name", FILLERS)
def test_network_fills_a_window_and_all_its_values_are_trained(name):
    model = MODELS.get(name)
    torch.manual_seed(0)
    net = model.build(model.Options(), shape=(3,), step=0.01, mean=8.4, scale=13.8).eval()
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter)
    values, mask = torch.randn(2, 3, 24), torch.rand(2, 3, 24) < 0.3
    found = net(torch.randn(2, 3, 24), values * mask, mask)
    assert found.shape == (2, 3, 24)
    if list(net.parameters()):
        found.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in net.parameters())


def test_fourdvarnet_on_lorenz_96_has_the_published_size():
    model = MODELS.get("fourdvarnet")
    net = model.build(model.Options(prior="lorenz96", ring=True, hidden=5), shape=(40,), step=0.05, mean=2.3, scale=3.6)
    assert sum(p.numel() for p in net.parameters()) == model.card.parameters.total


@pytest.mark.parametrize("name", TRAINED)
def test_recommended_training_is_valid(name):
    model = MODELS.get(name)
    TASKS.get(model.card.task).training_options(**model.training)


def test_unet_has_the_budget_of_eddynet():
    eddynet, unet = (
        MODELS.get(name).build(MODELS.get(name).Options(), in_channels=1, classes=3) for name in ("eddynet", "unet")
    )
    count = sum(p.numel() for p in unet.parameters())
    assert count == pytest.approx(keras_parameter_count(eddynet), rel=0.03)
    assert f"{count:,}" in MODELS.get("unet").card.facts[0].text


def test_a_model_is_one_file(tmp_path, monkeypatch):
    package = tmp_path / "one_file_models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(
        textwrap.dedent(
            """
            from one_file_models_registry import MINE
            from pipeline_lib.models.base import ModelCard, NetworkModel
            from pipeline_lib.options import Options

            @MINE.register("mine")
            class Mine(NetworkModel):
                card = ModelCard(title="Mine", summary="One convolution.", task="segmentation")

                class Options(Options):
                    bias: bool = True

                @classmethod
                def build(cls, options, *, in_channels, classes):
                    import torch

                    return torch.nn.Conv2d(in_channels, classes, 3, padding=1, bias=options.bias)
            """
        )
    )
    (tmp_path / "one_file_models_registry.py").write_text(
        "from pipeline_lib.registry import Registry\nMINE = Registry('model', 'MINE', 'one_file_models')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        registry = importlib.import_module("one_file_models_registry").MINE
        assert isinstance(registry, Registry)
        assert registry.names() == ["mine"]
        model = registry.get("mine")
        net = model.build(model.Options(bias=False), in_channels=2, classes=3)
        assert net(torch.zeros(1, 2, 5, 5)).shape == (1, 3, 5, 5)
    finally:
        for module in [m for m in sys.modules if m.startswith("one_file_models")]:
            del sys.modules[module]


def vortices():
    """Two Gaussian vortices at 38 N, the western one anticyclonic, with analytic velocities."""
    lat, lon = 36 + np.arange(40) / 8, np.arange(80) / 8
    x = 111.2e3 * (lon[None] - 2.5) * np.cos(np.deg2rad(38))
    x2 = 111.2e3 * (lon[None] - 7.5) * np.cos(np.deg2rad(38))
    y = 111.2e3 * (lat[:, None] - 38.5)
    u = np.zeros((40, 80))
    v = np.zeros((40, 80))
    for sign, east in ((-1, x), (1, x2)):  # north of the equator, positive rotation is cyclonic
        spin = sign * 1e-5 * np.exp(-(east**2 + y**2) / 50e3**2)
        u, v = u - spin * y, v + spin * east
    dims = ("time", "latitude", "longitude")
    return xr.Dataset(
        {"ugos": (dims, u[None]), "vgos": (dims, v[None])},
        coords={"time": np.array(["2005-04-01"], "datetime64[ns]"), "latitude": lat, "longitude": lon},
    )


def test_okubo_weiss_finds_both_vortices_with_their_sign():
    pytest.importorskip("pipeline_lib.ocean.okubo_weiss")
    model = MODELS.get("okubo_weiss")
    ds = vortices()
    classes = model.predict(ds, model.Options())
    assert classes.dims == ("time", "latitude", "longitude")
    assert classes.dtype == np.int8
    assert classes.sel(latitude=38.5, longitude=2.5).item() == 1
    assert classes.sel(latitude=38.5, longitude=7.5).item() == 2
    west, east = classes.isel(longitude=slice(0, 40)), classes.isel(longitude=slice(40, 80))
    assert set(np.unique(west)) == {0, 1}
    assert set(np.unique(east)) == {0, 2}
    with pytest.raises(DataError, match="vgos"):
        model.predict(ds[["ugos"]], model.Options())


@pytest.mark.parametrize("name", NOWCASTERS)
def test_nowcaster_continues_frames_and_all_its_values_are_trained(name):
    model = MODELS.get(name)
    torch.manual_seed(0)
    sizes = {"seen": 3, "leads": 4, "channels": 1, "height": 40, "width": 48, **FRAMES.get(name, {})}
    net = model.build(model.Options(**OPTIONS.get(name, {})), **sizes)
    frames = torch.rand(2, sizes["seen"], sizes["channels"], sizes["height"], sizes["width"])
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)  # behind an output that starts at zero nothing has a gradient
    forecast = net.forecast(frames)
    assert forecast.shape == (2, 4, sizes["height"], sizes["width"])
    assert torch.isfinite(forecast).all()
    assert net.link == "identity" or (forecast >= 0).all() & (forecast <= 1).all()
    if list(net.parameters()):
        forecast.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in net.parameters())
