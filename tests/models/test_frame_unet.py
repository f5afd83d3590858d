"""The U-Net over frames: sizes of the public code, its layers once more as a list of calls, frames of any size."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import batch_norm, conv2d, interpolate, max_pool2d, relu

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.registry import MODELS
from tests.models.plain_nowcasters import trained

MODEL = MODELS.get("frame_unet")


SMALL = {"widths": [4, 8]}


def network(options=SMALL, **sizes):
    torch.manual_seed(0)
    frames = {"seen": 2, "leads": 3, "channels": 1, "height": 32, "width": 32, **sizes}
    return MODEL.build(MODEL.Options(**options), **frames)


@pytest.mark.parametrize(("seen", "leads", "count"), [(4, 6, 17_268_294), (12, 1, 17_272_577)])
def test_sizes_are_those_of_the_public_code(seen, leads, count):
    with torch.device("meta"):
        net = network({}, seen=seen, leads=leads)
    assert sum(p.numel() for p in net.parameters()) == count


def twice(x, take):
    for _ in range(2):
        x = conv2d(x, take(), take(), padding=1)
        x = relu(batch_norm(x, take(), take(), take(), take()))
    return x


def in_three_levels(frames, take):
    """The network once more; ``take`` hands out its numbers."""
    fine = twice(frames.flatten(1, 2), take)
    middle = twice(max_pool2d(fine, 2), take)
    coarse = twice(max_pool2d(middle, 2), take)
    for skip in (middle, fine):
        raised = interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=True)
        coarse = twice(torch.cat([skip, raised], 1), take)
    return conv2d(coarse, take(), take())


def numbers(net):
    """Of all layers in order; of a normalisation its mean and variance first."""
    for layer in net.modules():
        if hasattr(layer, "running_mean"):
            yield from (layer.running_mean, layer.running_var)
        yield from layer.parameters(recurse=False)


def test_the_network_is_this_list_of_layers():
    net = trained(network({"widths": [4, 6, 10]}, channels=2))
    frames, rest = torch.rand(2, 2, 2, 8, 12, dtype=torch.float64), numbers(net)
    expected = in_three_levels(frames, lambda: next(rest))
    torch.testing.assert_close(net(frames), expected, rtol=1e-10, atol=1e-10)
    assert next(rest, None) is None


def test_every_frame_and_variable_is_seen():
    net = network(channels=2).eval()
    frames = torch.rand(1, 2, 2, 32, 32, requires_grad=True)
    net(frames)[..., 16, 16].sum().backward()
    assert (frames.grad.abs().sum(dim=(0, 3, 4)) > 0).all()


@pytest.mark.parametrize(("height", "width"), [(33, 47), (17, 16), (40, 64)])
def test_frames_of_any_size_and_the_frames_that_fit_are_not_padded(height, width):
    net = network({"widths": [4, 4, 4]}).eval()
    assert net(torch.rand(2, 2, 1, height, width)).shape == (2, 3, height, width)
    frames = torch.rand(1, 2, 1, 32, 36)
    wider = torch.nn.functional.pad(frames.flatten(1, 2), (0, 3, 0, 0), mode="replicate").unflatten(1, (2, 1))
    torch.testing.assert_close(net(wider[..., :36]), net(frames))


def test_a_residual_network_that_answers_nothing_is_persistence():
    net = network(SMALL | {"residual": True}).eval()
    torch.nn.init.zeros_(net.exit.weight)
    torch.nn.init.zeros_(net.exit.bias)
    frames = torch.rand(2, 2, 1, 32, 32)
    torch.testing.assert_close(net.forecast(frames), frames[:, -1:, 0].repeat(1, 3, 1, 1))


def test_a_logistic_link_keeps_values_between_0_and_1():
    net = network(SMALL | {"link": "logistic"})
    frames = torch.rand(2, 2, 1, 32, 32)
    assert net.link == "logistic"
    torch.testing.assert_close(net.forecast(frames), torch.sigmoid(net(frames)), atol=0.2, rtol=0.2)
    assert (net.forecast(100 * frames) <= 1).all()


@pytest.mark.parametrize("name", ["frame_unet", "smaat_unet"])
def test_what_cannot_be_trained_is_refused(name):
    model = MODELS.get(name)
    with pytest.raises(ValidationError, match="residual adds the last frame to values, and link: logistic has none"):
        model.Options(residual=True, link="logistic")
    sizes = {"seen": 2, "leads": 1, "channels": 1, "height": 4, "width": 4}
    net = model.build(model.Options(widths=[4, 4, 4]), **sizes).train()
    with pytest.raises(ConfigError, match="4 x 4 cells leave a single cell to normalise; take frames of more than 4"):
        net(torch.rand(1, 2, 1, 4, 4))
    net(torch.rand(2, 2, 1, 4, 4))
    net(torch.rand(1, 2, 1, 5, 4))
    net.eval()(torch.rand(1, 2, 1, 4, 4))
