"""ConvLSTM and FC-LSTM: sizes as published, and the same numbers as the equations written out gate by gate."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pipeline_lib.models.registry import MODELS
from tests.models import plain_nowcasters as plain

LAYERS = {"convlstm": {"widths": (3, 2)}, "fc_lstm": {"widths": (5, 4)}}
PLAIN = {"convlstm": plain.conv_lstm, "fc_lstm": plain.fc_lstm}


def build(name, *, seen=3, leads=4, channels=1, height=8, width=6, **options):
    torch.manual_seed(0)
    model = MODELS.get(name)
    sizes = {"seen": seen, "leads": leads, "channels": channels, "height": height, "width": width}
    net = model.build(model.Options(**(LAYERS[name] | options)), **sizes).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)  # peepholes start at zero, which would hide a mistake
    return net


def frames(seen=3, channels=1, height=8, width=6, batch=2):
    return torch.rand(batch, seen, channels, height, width, dtype=torch.float64, generator=generator())


def generator():
    return torch.Generator().manual_seed(1)


def size_of(name, **sizes_and_options):
    """Trainable values of a network that is never filled with numbers."""
    with torch.device("meta"):
        model = MODELS.get(name)
        sizes = {"seen": 10, "leads": 10, "channels": 1, "height": 64, "width": 64}
        sizes |= {key: sizes_and_options.pop(key) for key in list(sizes_and_options) if key in sizes}
        return sum(p.numel() for p in model.build(model.Options(**sizes_and_options), **sizes).parameters())


@pytest.mark.parametrize(
    ("kernel_input", "kernel_state", "widths", "published"),
    [
        (5, 5, (256,), 13_524_496),
        (5, 5, (128, 128), 10_042_896),
        (5, 5, (128, 64, 64), 7_585_296),
        (9, 1, (128, 128), 11_550_224),
        (9, 1, (128, 64, 64), 8_830_480),
    ],
)
def test_the_networks_of_moving_mnist_have_their_published_sizes(kernel_input, kernel_state, widths, published):
    options = {"kernel_input": kernel_input, "kernel_state": kernel_state, "widths": widths}
    assert size_of("convlstm", patch=4, **options) == published


def test_the_network_of_the_card_is_one_of_them():
    total = MODELS.get("convlstm").card.parameters.total
    assert size_of("convlstm", patch=4, kernel_input=5, kernel_state=5, widths=(128, 64, 64)) == total


def test_the_default_is_the_network_for_radar():
    assert size_of("convlstm", seen=5, leads=15, height=100, width=100) == 896_260


def test_fc_lstm_has_its_published_sizes():
    assert size_of("fc_lstm") == MODELS.get("fc_lstm").card.parameters.total == 142_667_776
    assert size_of("fc_lstm", widths=(2000, 2000), height=100, width=100) == 196_066_000


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("convlstm", {}),
        ("convlstm", {"patch": 1, "kernel_input": 5, "kernel_state": 1, "widths": (2, 3, 2)}),
        ("convlstm", {"widths": (4,), "channels": 3}),
        ("fc_lstm", {}),
        ("fc_lstm", {"widths": (3,), "channels": 2}),
    ],
)
def test_forecasts_and_gradients_are_those_of_the_equations(name, options):
    net, seen = build(name, **options), frames(channels=options.get("channels", 1))
    given = [seen.requires_grad_(), *net.parameters()]
    weight = torch.randn(2, 4, 8, 6, dtype=torch.float64, generator=generator())
    found, expected = net(seen), PLAIN[name](net, seen)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    ours = torch.autograd.grad((found * weight).sum(), given)
    theirs = torch.autograd.grad((expected * weight).sum(), given)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-11, atol=1e-11)


def test_fc_lstm_is_convlstm_on_a_frame_of_one_cell():
    ours = build("convlstm", patch=1, height=1, width=1, widths=(4,))
    vectors = build("fc_lstm", height=1, width=1, widths=(4,))
    centre = {}
    for (name, value), like in zip(ours.state_dict().items(), vectors.state_dict().values(), strict=True):
        centre[name] = (value[..., 1:2, 1:2] if value.shape[-1] == 3 else value).reshape(like.shape)
    vectors.load_state_dict(centre)
    one = frames(height=1, width=1)
    torch.testing.assert_close(ours(one), vectors(one), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_a_batch_is_its_members_and_a_longer_forecast_begins_like_a_shorter_one(name):
    net, short, seen = build(name), build(name, leads=2), frames(batch=3)
    short.load_state_dict(net.state_dict())
    found = net(seen)
    torch.testing.assert_close(found, torch.cat([net(one) for one in seen.split(1)]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[:, :2], short(seen), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_every_frame_that_was_seen_counts_and_the_forecast_is_a_grey_value(name):
    net, seen = build(name), frames().requires_grad_()
    (gradient,) = torch.autograd.grad(net.forecast(seen).square().sum(), seen)
    assert (gradient.abs().amax((0, 2, 3, 4)) > 0).all()
    forecast = net.forecast(seen)
    assert ((forecast > 0) & (forecast < 1)).all()
    torch.testing.assert_close(forecast, net(seen).sigmoid())


def test_what_a_convlstm_sees_spreads_by_its_kernels_only():
    """One kernel of 3 on the input and one on the state: 2 steps carry a change at most 1 + 1 patches to the first
    lead, and one more."""
    net = build("convlstm", seen=2, leads=1, width=32, height=32, widths=(3,), patch=2)
    seen = frames(seen=2, height=32, width=32).requires_grad_()
    (gradient,) = torch.autograd.grad(net(seen)[:, 0, 16, 16].sum(), seen)
    for step, reach in ((0, 3), (1, 2)):  # in patches: the input's kernel, then one for each step of the state
        touched = gradient[0, step, 0].abs() > 0
        expected = torch.zeros(32, 32, dtype=torch.bool)
        expected[16 - 2 * reach : 18 + 2 * reach, 16 - 2 * reach : 18 + 2 * reach] = True
        assert torch.equal(touched, expected)


def test_frames_that_the_patch_does_not_divide_are_padded_with_zeros():
    net = build("convlstm", patch=4)
    seen = frames(height=7, width=6)
    whole = torch.zeros(2, 3, 1, 8, 8, dtype=torch.float64)
    whole[..., :7, :6] = seen
    torch.testing.assert_close(net(seen), plain.conv_lstm(net, whole)[..., :7, :6], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("convlstm", {"kernel_state": 4}, "only if its size is odd, not 4"),
        ("convlstm", {"widths": ()}, "at least 1 item"),
        ("convlstm", {"patch": 0}, "greater than 0"),
        ("fc_lstm", {"widths": (0,)}, "greater than 0"),
    ],
)
def test_options_that_make_no_network_are_refused(name, option, message):
    with pytest.raises(ValidationError, match=message):
        MODELS.get(name).Options(**option)
