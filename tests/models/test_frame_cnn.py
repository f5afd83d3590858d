"""Convolutions over frames: sizes as the authors' options give them, and the layers once more as a list of calls."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv3d, conv_transpose3d, leaky_relu

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.frame_cnn.network import shortening, stretching
from pipeline_lib.models.registry import MODELS
from tests.models.plain_nowcasters import trained

HKO = {"coarsening": 15}


def build(*, seen=5, leads=20, channels=1, height=120, width=200, maps=2, **options):
    torch.manual_seed(0)
    model = MODELS.get("frame_cnn")
    sizes = {"seen": seen, "leads": leads, "channels": channels, "height": height, "width": width}
    return model.build(model.Options(width=maps, **options), **sizes)


def frames(seen=5, channels=1, height=120, width=200, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, seen, channels, height, width, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(
    ("options", "seen", "leads", "size", "exact", "published"),
    [
        (HKO | {"maps": 70}, 5, 20, 480, 6_679_630, 6.68),
        (HKO | {"maps": 128, "kind": "3d"}, 5, 20, 480, 66_420_521, 66.4),
        ({"maps": 70}, 10, 10, 64, 5_042_880, 5.04),
        ({"maps": 70, "kind": "3d"}, 10, 10, 64, 19_767_511, 19.77),
    ],
)
def test_sizes_are_those_of_the_authors_options(options, seen, leads, size, exact, published):
    with torch.device("meta"):
        net = build(seen=seen, leads=leads, height=size, width=size, **options)
        sides = []
        for layer in net.layers:
            layer.register_forward_hook(lambda _layer, _given, answer: sides.append(answer.shape[-1]))
        assert net(torch.zeros(1, seen, 1, size, size)).shape == (1, leads, size, size)
    count = sum(p.numel() for p in net.parameters())
    assert count == exact
    assert count / 1e6 == pytest.approx(published, rel=1e-3)
    assert min(sides) == 4


def leaky(x):
    return leaky_relu(x, 0.2)


def norm(x, take):
    mean, variance, gain, shift = (take()[None, :, None, None, None] for _ in range(4))
    return leaky((x - mean) / (variance + 1e-5).sqrt() * gain + shift)


def in_space_and_time(x, take):
    """The 3D network for MovingMNIST++, 10 to 10 frames; ``take`` hands out its numbers."""
    x = leaky(conv3d(x, take(), take(), stride=2, padding=1))
    x = norm(conv3d(x, take(), stride=2, padding=1), take)
    x = norm(conv3d(x, take(), stride=2, padding=1), take)
    x = norm(conv3d(x, take(), stride=2, padding=(2, 1, 1)), take)
    x = leaky(conv_transpose3d(x, take(), take()))
    x = norm(conv_transpose3d(x, take(), stride=2, padding=1), take)
    x = norm(conv_transpose3d(x, take(), stride=2, padding=(2, 1, 1)), take)
    x = norm(conv_transpose3d(x, take(), stride=2, padding=(2, 1, 1)), take)
    return conv_transpose3d(x, take(), take(), stride=(1, 2, 2), padding=1)[:, 0]


def in_space(x, take):
    """The 2D network for HKO-7, as convolutions in a time of one step."""

    def weight():
        return take()[:, :, None]

    x, pad = x[:, :, None], (0, 1, 1)
    x = leaky(conv3d(x, weight(), take(), stride=(1, 5, 5), padding=pad))
    x = leaky(conv3d(x, weight(), take(), stride=(1, 3, 3), padding=pad))
    for _ in range(3):
        x = norm(conv3d(x, weight(), stride=(1, 2, 2), padding=pad), take)
    x = leaky(conv_transpose3d(x, weight(), take()))
    for _ in range(3):
        x = norm(conv_transpose3d(x, weight(), stride=(1, 2, 2), padding=pad), take)
    x = conv_transpose3d(x, weight(), take(), stride=(1, 3, 3), padding=pad)
    x = conv_transpose3d(x, weight(), take(), stride=(1, 5, 5), padding=pad)
    return conv_transpose3d(x, weight(), take(), padding=pad)[:, :, 0]


def numbers(net):
    """Of all layers in order; of a normalisation its mean and variance first."""
    for layer in net.layers:
        if hasattr(layer, "running_mean"):
            yield from (layer.running_mean, layer.running_var)
        yield from layer.parameters()


def test_the_3d_network_is_this_list_of_layers():
    net = trained(build(seen=10, leads=10, channels=2, height=32, width=48, kind="3d"))
    seen, rest = frames(10, 2, 32, 48), numbers(net)
    expected = in_space_and_time(seen.transpose(1, 2), lambda: next(rest))
    torch.testing.assert_close(net(seen), expected, rtol=1e-10, atol=1e-10)
    assert next(rest, None) is None


def test_the_2d_network_is_this_list_of_layers():
    net = trained(build(seen=3, leads=2, channels=2, height=120, width=240, **HKO))
    seen, rest = frames(3, 2, 120, 240), numbers(net)
    expected = in_space(seen.flatten(1, 2), lambda: next(rest))
    torch.testing.assert_close(net(seen), expected, rtol=1e-10, atol=1e-10)
    assert next(rest, None) is None


@pytest.mark.parametrize("kind", ["2d", "3d"])
@pytest.mark.parametrize(("seen", "leads"), [(1, 1), (3, 7), (10, 10), (12, 30)])
def test_any_number_of_frames_goes_in_and_comes_out(kind, seen, leads):
    net = trained(build(kind=kind, seen=seen, leads=leads, height=20, width=33))
    given = frames(seen, 1, 20, 33).requires_grad_()
    found = net(given)
    assert found.shape == (2, leads, 20, 33)
    torch.testing.assert_close(found[1:], net(given[1:]), rtol=1e-10, atol=1e-10)
    (gradient,) = torch.autograd.grad(found.square().sum(), given)
    assert (gradient.abs().amax((0, 2, 3, 4)) > 0).all()


def test_in_3d_time_becomes_one_step_and_as_many_as_are_asked_for():
    for seen in range(1, 32):
        left = seen
        for kernel, stride, padding in shortening(seen, 2):
            left = (left + 2 * padding - kernel) // stride + 1
        assert left == 1
    for leads in range(1, 31):
        steps = 2
        for padding in stretching(leads):
            steps = (steps - 1) * 2 + 4 - 2 * padding
        assert leads <= steps <= leads + 1


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"kind": "3d", "seen": 32}, "32 frames are more than the 31 that can be seen"),
        ({"kind": "3d", "seen": 64, **HKO}, "64 frames are more than the 63"),
        ({"kind": "3d", "leads": 31}, "31 frames are too many to forecast"),
        ({"height": 16, "width": 16}, "16 x 16 cells leave a single cell to normalise"),
    ],
)
def test_frames_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(ConfigError, match=message):
        build(**sizes)


@pytest.mark.parametrize("leads", [2, 3, 6, 10])
def test_gradients_in_bfloat16_are_those_of_all_digits_whatever_was_in_the_memory(leads):
    net = build(seen=3, leads=leads, height=24, width=24, kind="3d")
    given = frames(3, height=24, width=24, batch=4).float()

    def gradient(*, short):
        spoilt = [torch.full((4**power,), torch.nan) for power in range(2, 10) for _ in range(20)]
        del spoilt  # memory that is given back keeps what it held
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=short):
            found = net(given)
        found.float().square().mean().backward()
        return torch.cat([p.grad.flatten() for p in net.parameters()])

    exact = gradient(short=False)
    for _ in range(4):
        assert (gradient(short=True) - exact).norm() < 0.1 * exact.norm()
