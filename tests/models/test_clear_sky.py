"""What networks see beyond the border of frames of brightness temperature: a warm clear sky."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

from pipeline_lib.models.registry import MODELS
from pipeline_lib.preparations.temperature_frames import TemperatureFrames
from pipeline_lib.simulations.cold_clouds import ColdClouds

SEEN, ROWS, COLUMNS = 2, 19, 21  # what strides and patches do not divide
OPTIONS = TemperatureFrames.Options(variable="seen")
GROUND = ColdClouds.Options().ground
NETWORKS = [
    ("convlstm", {"patch": 2, "widths": (4,)}),
    ("convgru", {"widths": (4, 4, 4), "stem": 4, "coordinates": False}),
    ("frame_unet", {}),
    ("simvp", {}),
    ("smaat_unet", {}),
]


def shares(kelvin: float) -> Tensor:
    """Return frames (1, seen, 1, rows, columns) of one temperature, as networks see them."""
    dims = ("time", "y", "x")
    ds = xr.Dataset({"seen": (dims, np.full((SEEN, ROWS, COLUMNS), kelvin), {"units": "K"})})
    return torch.from_numpy(TemperatureFrames.prepare(ds, OPTIONS).cloud_top.values)[None, :, None]


def border(network: nn.Module, frames: Tensor) -> float:
    """Return by how much the first convolution's answer to uniform frames differs within them, at most."""
    answers: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output: answers.append(output))
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    with torch.inference_mode():
        network(frames)
    for hook in hooks:
        hook.remove()
    first = answers[0]
    return float((first.amax((-2, -1)) - first.amin((-2, -1))).max())


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_beyond_the_border_lies_a_clear_sky(name, options):
    model = MODELS.get(name)
    torch.manual_seed(0)
    sizes = {"seen": SEEN, "leads": 2, "channels": 1, "height": ROWS, "width": COLUMNS}
    network = model.build(model.Options(**options), **sizes).eval()
    coldest = border(network, shares(OPTIONS.lowest))
    assert coldest > 1e-3
    # The warmest sky goes on beyond the border; the ground of the generated clouds nearly does.
    assert border(network, shares(OPTIONS.highest)) <= 1e-6
    span = OPTIONS.highest - OPTIONS.lowest
    assert border(network, shares(GROUND)) == pytest.approx((OPTIONS.highest - GROUND) / span * coldest, rel=1e-3)
    assert OPTIONS.highest - GROUND < 0.3 * (GROUND - OPTIONS.lowest)
