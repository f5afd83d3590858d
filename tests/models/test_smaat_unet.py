"""SmaAt-UNet: sizes of the public code, its two layers against numpy, where attention acts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.smaat_unet.network import Attention, SeparableConvolution

MODEL = MODELS.get("smaat_unet")
SMALL = {"widths": [4, 8], "reduction": 2}


def network(options=SMALL, **sizes):
    torch.manual_seed(0)
    frames = {"seen": 2, "leads": 3, "channels": 1, "height": 16, "width": 16, **sizes}
    return MODEL.build(MODEL.Options(**options), **frames)


def logistic(values):
    return 1 / (1 + np.exp(-values))


@pytest.mark.parametrize(("seen", "leads", "count"), [(4, 6, 4_032_678), (12, 1, 4_033_537)])
def test_sizes_are_those_of_the_public_code(seen, leads, count):
    with torch.device("meta"):
        net = network({}, seen=seen, leads=leads)
    assert sum(p.numel() for p in net.parameters()) == count
    if (seen, leads) == (4, 6):
        assert MODEL.card.parameters.total == count


def test_a_separable_convolution_is_one_per_channel_and_a_mixture():
    torch.manual_seed(0)
    layer = SeparableConvolution(3, 5, kernels=2)
    maps = torch.randn(1, 3, 6, 7)
    kernels, shifts, mixture, shift = (p.detach().numpy() for p in layer.parameters())
    planes = [correlate(np.pad(maps[0, k // 2].numpy(), 1), kernels[k, 0], mode="valid") + shifts[k] for k in range(6)]
    expected = np.array([sum(mixture[o, k, 0, 0] * planes[k] for k in range(6)) + shift[o] for o in range(5)])
    np.testing.assert_allclose(layer(maps)[0].detach().numpy(), expected, atol=1e-5)


def test_attention_weighs_channels_then_places():
    torch.manual_seed(0)
    layer = Attention(6, reduction=3, kernel=3).eval()
    maps = torch.randn(2, 6, 5, 4)
    first, _, second = layer.channels
    w1, b1, w2, b2 = (p.detach().numpy() for p in (*first.parameters(), *second.parameters()))
    kernel = layer.places[0].weight.detach().numpy()[0]
    spread = np.sqrt(1 + layer.places[1].eps)
    for sample, answer in zip(maps.numpy(), layer(maps).detach().numpy(), strict=True):
        flat = sample.reshape(6, -1)
        told = sum(w2 @ np.maximum(w1 @ seen + b1, 0) + b2 for seen in (flat.mean(axis=1), flat.max(axis=1)))
        weighted = sample * logistic(told)[:, None, None]
        planes = (weighted.mean(axis=0), weighted.max(axis=0))
        place = sum(correlate(np.pad(p, 1), k, mode="valid") for p, k in zip(planes, kernel, strict=True))
        np.testing.assert_allclose(answer, weighted * logistic(place / spread), atol=1e-5)


def test_few_channels_leave_one_hidden_value_and_kernels_are_odd():
    assert Attention(4, reduction=16, kernel=7).channels[0].out_features == 1
    with pytest.raises(ValueError, match="only if its size is odd"):
        MODEL.Options(attention_kernel=4)


def test_attention_acts_on_what_goes_over_and_not_on_what_goes_down():
    net = network({"widths": [4, 4, 4], "reduction": 2}).eval()
    seen: dict[str, torch.Tensor] = {}
    net.entry.register_forward_hook(lambda *call: seen.update(entry=call[2]))
    net.down[0].register_forward_pre_hook(lambda _, given: seen.update(down=given[0]))
    net.up[-1].register_forward_pre_hook(lambda _, given: seen.update(up=given[0]))
    net(torch.rand(1, 2, 1, 16, 16))
    torch.testing.assert_close(seen["down"], torch.nn.functional.max_pool2d(seen["entry"], 2))
    torch.testing.assert_close(seen["up"][:, :4], net.attention[0](seen["entry"]))
    assert not torch.allclose(seen["up"][:, :4], seen["entry"])


def test_frames_of_any_size_and_every_frame_is_seen():
    net = network(height=17, width=21).eval()
    frames = torch.rand(2, 2, 1, 17, 21, requires_grad=True)
    answer = net(frames)
    assert answer.shape == (2, 3, 17, 21)
    answer[..., 8, 8].sum().backward()
    assert (frames.grad.abs().sum(dim=(0, 2, 3, 4)) > 0).all()
