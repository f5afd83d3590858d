"""SimVP: the printed size, its layers once more as a list of calls, all frames in all leads, frames of any size."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import batch_norm, conv2d, gelu, group_norm, leaky_relu, pixel_shuffle

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.registry import MODELS
from tests.models.plain_nowcasters import trained

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
    assert count == 46_769_665
    assert round(count / 1e5) == round(MODEL.card.parameters.total / 1e5)


class Calls:
    """The network for three frames seen and forecast, with three blocks, on the numbers of another one."""

    def __init__(self, net):
        self.numbers = net.state_dict()

    def conv(self, name, x, **how):
        return conv2d(x, self.numbers[f"{name}.weight"], self.numbers[f"{name}.bias"], **how)

    def normed(self, name, x, stride=1, up=False):
        x = self.conv(f"{name}.convolution", x, stride=stride, padding=1)
        x = pixel_shuffle(x, 2) if up else x
        return leaky_relu(group_norm(x, 2, *(self.numbers[f"{name}.norm.{k}"] for k in ("weight", "bias"))), 0.2)

    def batch_normed(self, name, x):
        return batch_norm(x, *(self.numbers[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))

    def attended(self, name, x):
        width = x.shape[1]
        wide = gelu(self.conv(f"{name}.enter", x))
        wide = self.conv(f"{name}.near", wide, padding=2, groups=width)
        wide = self.conv(f"{name}.far", wide, padding=9, groups=width, dilation=3)
        wide = self.conv(f"{name}.gate", wide)
        return self.conv(f"{name}.leave", wide[:, :width] * wide[:, width:].sigmoid()) + x

    def block(self, name, x):
        scales = [self.numbers[f"{name}.scales.{k}"] for k in (0, 1)]
        x = x + scales[0] * self.attended(f"{name}.attention", self.batch_normed(f"{name}.norms.0", x))
        inner = self.conv(f"{name}.perceptron.0", self.batch_normed(f"{name}.norms.1", x))
        inner = self.conv(f"{name}.perceptron.1", inner, padding=1, groups=inner.shape[1])
        return x + scales[1] * self.conv(f"{name}.perceptron.3", gelu(inner))

    def __call__(self, frames):
        first = self.normed("encoder.0", frames.flatten(0, 1))
        x = self.normed("encoder.1", first, stride=2)
        x = self.normed("encoder.2", x)
        x = self.normed("encoder.3", x, stride=2)
        x = x.reshape(len(frames), -1, *x.shape[2:])
        x = self.conv("translator.0.change", self.block("translator.0", x))
        x = self.block("translator.1", x)
        x = self.conv("translator.2.change", self.block("translator.2", x))
        x = x.reshape(len(first), -1, *x.shape[2:])
        x = self.normed("decoder.0", x, up=True)
        x = self.normed("decoder.1", x)
        x = self.normed("decoder.2", x, up=True)
        x = self.normed("decoder.3", x + first)
        return self.conv("readout", x).reshape(*frames.shape[:2], *x.shape[2:])


def test_the_network_is_this_list_of_calls():
    net = trained(network(channels=2))
    for name, value in net.named_parameters():
        if ".scales." in name:
            torch.nn.init.normal_(value)
    frames = torch.rand(2, 3, 2, 16, 20, dtype=torch.float64)
    torch.testing.assert_close(net(frames), Calls(net)(frames), rtol=1e-10, atol=1e-10)


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
