"""SimVP: the printed size, all frames in all leads, frames of any size."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.registry import MODELS

MODEL = MODELS.get("simvp")
SMALL = {"width": 8, "hidden": 16, "blocks": 3, "expansion": 2}


def network(options=SMALL, **sizes):
    torch.manual_seed(0)
    frames = {"seen": 3, "leads": 3, "channels": 1, "height": 16, "width": 16, **sizes}
    return MODEL.build(MODEL.Options(**options), **frames)


def test_size_is_the_printed_one():
    with torch.device("meta"):
        net = network({}, seen=10, leads=10, height=64, width=64)
    count = sum(p.numel() for p in net.parameters())
    assert round(count / 1e5) == round(MODEL.card.parameters.total / 1e5)


@pytest.mark.parametrize("leads", [2, 3, 5])
def test_every_frame_and_variable_is_seen_by_every_lead(leads):
    net = network(leads=leads, channels=2).eval()
    frames = torch.rand(1, 3, 2, 16, 16, requires_grad=True)
    output = net(frames)
    assert output.shape == (1, leads, 16, 16)
    for lead in range(leads):
        (gradient,) = torch.autograd.grad(output[0, lead].sum(), frames, retain_graph=True)
        assert (gradient.abs().sum(dim=(0, 3, 4)) > 0).all()


def test_the_skip_is_that_of_the_frame_of_the_same_number():
    net = network(leads=5).eval()
    for block in net.translator:
        for scale in block.scales:
            torch.nn.init.zeros_(scale)
        for layer in [block.change] if hasattr(block.change, "weight") else []:
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    frames = torch.rand(1, 3, 1, 16, 16)
    output = net(frames)
    torch.testing.assert_close(output[0, 4], output[0, 2])
    assert not torch.allclose(output[0, 0], output[0, 1])
    swapped = net(frames[:, [1, 0, 2]])
    torch.testing.assert_close(swapped[0, [1, 0, 2]], output[0, :3])


def test_frames_of_any_size():
    assert network().eval()(torch.rand(2, 3, 1, 18, 21)).shape == (2, 3, 18, 21)


def test_what_torch_would_refuse_is_told_before():
    with pytest.raises(ValidationError, match="7 channels are not two groups to normalise; choose an even number"):
        MODEL.Options(width=7)
    with pytest.raises(ValidationError, match=r"expansion 0\.01 leaves no channel of hidden 16; choose a larger one"):
        MODEL.Options(**SMALL | {"expansion": 0.01})
    with pytest.raises(ConfigError, match=r"expansion 0\.1 leaves no channel of 3 x 2"):
        network(SMALL | {"width": 2, "expansion": 0.1})
    net = network(height=4, width=3).train()
    with pytest.raises(ConfigError, match="4 x 3 cells leave a single cell to normalise; take frames of more than 4"):
        net(torch.rand(1, 3, 1, 4, 3))
    net(torch.rand(2, 3, 1, 4, 3))
    net(torch.rand(1, 3, 1, 5, 3))
    net.eval()(torch.rand(1, 3, 1, 4, 3))
