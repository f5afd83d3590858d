"""ConvGRU and TrajGRU: sizes as published, warping as scipy's, the same numbers as the equations written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import map_coordinates
from torch import nn

from pipeline_lib.models.frame_warp import Places, gathered
from pipeline_lib.models.registry import MODELS
from tests.models import plain_nowcasters as plain

HKO = {
    "stem": 8,
    "widths": (64, 192, 192),
    "down": [{"kernel": k, "stride": s} for k, s in ((7, 5), (5, 3), (3, 2))],
    "up": [{"kernel": k, "stride": s} for k, s in ((7, 5), (5, 3), (4, 2))],
}
"""The levels for HKO-7."""
SMALL = {"stem": 3, "widths": (4, 3, 5)}
OWN = {"convgru": {"kernel_state": (5, 3, 3), "dilation": (1, 2, 1)}, "trajgru": {"links": (3, 2, 4), "flow_hidden": 4}}


def generator():
    return torch.Generator().manual_seed(1)


def build(name, *, seen=3, leads=4, channels=1, height=16, width=12, fresh=False, **options):
    torch.manual_seed(0)
    model = MODELS.get(name)
    sizes = {"seen": seen, "leads": leads, "channels": channels, "height": height, "width": width}
    net = model.build(model.Options(**(SMALL | OWN[name] | options)), **sizes).double()
    for parameter in net.parameters() if not fresh else ():
        nn.init.normal_(parameter, std=0.25)  # flows that move
    return net


def frames(seen=3, channels=1, height=16, width=12, batch=2):
    return torch.rand(batch, seen, channels, height, width, dtype=torch.float64, generator=generator())


def size_of(net):
    return sum(p.numel() for p in net.parameters())


def empty(name, size, leads, options):
    """The network without memory for its values."""
    with torch.device("meta"):
        model = MODELS.get(name)
        return model.build(model.Options(**options), seen=5, leads=leads, channels=1, height=size, width=size)


CONVGRU = [1576, 321_408, 307_392, 3_761_280, 331_968, 1_991_808]
CONVGRU += [995_904, 589_824, 3_761_280, 921_600, 639_360, 25_088, 593]
TRAJGRU = [1576, 252_442, 307_392, 2_762_266, 331_968, 2_313_490]
TRAJGRU += [1_163_954, 589_824, 2_762_266, 921_600, 717_594, 25_088, 593]


@pytest.mark.parametrize(
    ("name", "options", "sizes", "total"),
    [
        ("convgru", {"kernel_state": (5, 5, 3)}, CONVGRU, 13_649_081),
        ("trajgru", {"links": (13, 13, 9)}, TRAJGRU, 12_150_053),
    ],
)
def test_every_part_of_the_network_for_hko_7_has_its_published_size(name, options, sizes, total):
    net = empty(name, 480, 20, HKO | options)
    parts = [part for level in range(3) for part in (net.down[level], net.encoder[level])]
    parts += [net.forecaster[2], net.up[1], net.forecaster[1], net.up[0], net.forecaster[0], net.head[0], net.head[1:]]
    assert [size_of(part) for part in parts] == sizes
    assert size_of(net) == total == MODELS.get(name).card.parameters.total


def test_the_levels_of_hko_7_have_the_published_sides():
    net, sides = empty("convgru", 480, 20, HKO), []
    for part in [*net.down, *reversed(net.up), net.head[0]]:
        part.register_forward_hook(lambda _module, _given, answer: sides.append(answer.shape[-1]))
    assert net(torch.zeros(1, 5, 1, 480, 480, device="meta")).shape == (1, 20, 480, 480)
    assert sides == [96, 32, 16, 32, 96, 480]


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        ("convgru", {"kernel_state": (3, 3, 3), "dilation": (2, 2, 2)}, 2_604_817),
        ("convgru", {}, 4_767_505),
        ("convgru", {"kernel_state": (7, 7, 7)}, 8_011_537),
        ("trajgru", {"links": (5, 5, 5)}, 2_842_157),
        ("trajgru", {"links": (9, 9, 9)}, 3_421_277),
        ("trajgru", {}, 4_000_397),
        ("trajgru", {"links": (17, 17, 17)}, 4_579_517),
    ],
)
def test_the_networks_of_moving_mnist_plus_plus_have_their_published_sizes(name, options, published):
    assert size_of(empty(name, 64, 10, options)) == published
    assert any(f"{published:,}" in fact.text for fact in MODELS.get(name).card.facts)


@given(seed=st.integers(0, 2**32 - 1), height=st.integers(2, 9), width=st.integers(2, 9), links=st.integers(1, 4))
@settings(max_examples=40)
def test_a_warp_is_scipy_s_interpolation_with_zeros_around(seed, height, width, links):
    rng = np.random.default_rng(seed)
    values, flow = rng.normal(size=(2, 3, height, width)), rng.normal(scale=3, size=(2, 2 * links, height, width))
    found = Places(torch.from_numpy(values)).warp(torch.from_numpy(values), torch.from_numpy(flow))
    y, x = np.mgrid[:height, :width]
    for b, c, k in np.ndindex(2, 3, links):
        # Scipy calls all beyond the outermost middles outside; here the last half way to zero is bilinear.
        there = [y - flow[b, links + k] + 1, x - flow[b, k] + 1]
        expected = map_coordinates(np.pad(values[b, c], 1), there, order=1, mode="constant")
        np.testing.assert_allclose(found[b, c * links + k], expected, atol=1e-12)


def test_a_warp_by_whole_cells_moves_along_its_flow():
    values = torch.zeros(1, 1, 5, 6, dtype=torch.float64)
    values[0, 0, 1, 2] = 1.0
    flow = torch.tensor([2.0, 0.0, 1.0, -1.0], dtype=torch.float64)[None, :, None, None].expand(1, 4, 5, 6)
    moved = Places(values).warp(values, flow)[0]
    assert moved[0].argmax() == 2 * 6 + 4  # u = 2, v = 1
    assert moved[1].argmax() == 0 * 6 + 2  # u = 0, v = -1
    torch.testing.assert_close(moved.sum((1, 2)), torch.ones(2, dtype=torch.float64))


def test_all_links_of_a_step_are_sampled_at_once(monkeypatch):
    grids = []

    def counted(values, grid, **how):
        grids.append((tuple(values.shape), tuple(grid.shape)))
        return nn.functional.grid_sample(values, grid, **how)

    monkeypatch.setattr("pipeline_lib.models.frame_warp.grid_sample", counted)
    build("trajgru", links=(13, 13, 13))(frames())
    # Three levels, of 16 x 12 cells and by halves, in three steps of the encoder and then four of the forecaster.
    levels = [((2, width, 16 // n, 12 // n), (2, 13 * 16 // n, 12 // n, 2)) for width, n in ((4, 1), (3, 2), (5, 4))]
    assert grids == [level for level in levels for _ in range(3)] + [lv for lv in levels[::-1] for _ in range(4)]


def test_a_warp_has_gradients():
    values = torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=generator(), requires_grad=True)
    flow = torch.randn(1, 4, 4, 5, dtype=torch.float64, generator=generator(), requires_grad=True)
    assert torch.autograd.gradcheck(Places(values).warp, (values, flow))


def test_gathering_in_a_fixed_order_is_the_library_s_sampling_and_has_its_gradients():
    values = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=generator(), requires_grad=True)
    grid = (1.3 * torch.randn(2, 6, 7, 2, dtype=torch.float64, generator=generator())).requires_grad_()
    weight = torch.randn(2, 3, 6, 7, dtype=torch.float64, generator=generator())
    found, expected = gathered(values, grid), nn.functional.grid_sample(values, grid, align_corners=True)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    ours = torch.autograd.grad((found * weight).sum(), (values, grid))
    theirs = torch.autograd.grad((expected * weight).sum(), (values, grid))
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-11, atol=1e-11)


def test_places_that_are_no_numbers_make_values_that_are_none():
    grid = torch.zeros(1, 1, 3, 2)
    grid[0, 0, 0, 0], grid[0, 0, 1, 1] = torch.nan, torch.inf
    found = gathered(torch.ones(1, 1, 3, 3), grid)[0, 0, 0]
    assert found[0].isnan()
    assert not found[1].isfinite() or found[1] == 0
    assert found[2] == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("convgru", {}),
        ("convgru", {"coordinates": False, "channels": 2, "leak": 0.1}),
        (
            "convgru",
            {"widths": (4,), "down": HKO["down"][2:], "up": HKO["up"][2:], "kernel_state": (3,), "dilation": (1,)},
        ),
        ("trajgru", {}),
        ("trajgru", {"flow_kernel": 3, "kernel_input": 1, "channels": 2}),
    ],
)
def test_forecasts_and_gradients_are_those_of_the_equations(name, options):
    net, seen = build(name, **options), frames(channels=options.get("channels", 1))
    arguments = [seen.requires_grad_(), *net.parameters()]
    weight = torch.randn(2, 4, 16, 12, dtype=torch.float64, generator=generator())
    found, expected = net(seen), plain.ladder(net, seen)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    ours = torch.autograd.grad((found * weight).sum(), arguments)
    theirs = torch.autograd.grad((expected * weight).sum(), arguments)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-9)


def test_fresh_trajectories_do_not_move():
    """All links then see a cell's own past, as ConvGRU does with kernels of one cell that are their sum."""
    moving = build("trajgru", fresh=True, links=(2, 3, 2))
    still = build("convgru", kernel_state=(1, 1, 1), dilation=(1, 1, 1))
    values = {}
    for name, value in moving.state_dict().items():
        if "mix.weight" in name:
            width = value.shape[0] // 3
            value = value.reshape(3 * width, width, -1).sum(2)[..., None, None]
        if ".flow" not in name:
            values[name.replace("mix", "from_state")] = value
    still.load_state_dict(values)
    torch.testing.assert_close(moving(frames()), still(frames()), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", OWN)
def test_a_batch_is_its_members_and_a_longer_forecast_begins_like_a_shorter_one(name):
    net, short, seen = build(name), build(name, leads=2), frames(batch=3)
    short.load_state_dict(net.state_dict())
    found = net(seen)
    torch.testing.assert_close(found, torch.cat([net(one) for one in seen.split(1)]), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(found[:, :2], short(seen), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", OWN)
def test_every_frame_that_was_seen_counts(name):
    net, seen = build(name), frames().requires_grad_()
    (gradient,) = torch.autograd.grad(net(seen).square().sum(), seen)
    assert (gradient.abs().amax((0, 2, 3, 4)) > 0).all()


@pytest.mark.parametrize("name", OWN)
def test_frames_that_the_strides_do_not_divide_are_padded_and_the_network_knows_it(name):
    net, seen = build(name, height=13, width=10), frames(height=13, width=10)
    found = net(seen)
    assert found.shape == (2, 4, 13, 10)
    whole = torch.zeros(2, 3, 4, 16, 12, dtype=torch.float64)  # the planes end with the frame
    whole[:, :, :1, :13, :10] = seen
    whole[:, :, 1, :13, :10] = torch.linspace(-1, 1, 10, dtype=torch.float64)
    whole[:, :, 2, :13, :10] = torch.linspace(-1, 1, 13, dtype=torch.float64)[:, None]
    whole[:, :, 3, :13, :10] = 1
    without = build(name, channels=4, coordinates=False)
    without.load_state_dict(net.state_dict())
    torch.testing.assert_close(found, plain.ladder(without, whole)[..., :13, :10], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", OWN)
def test_fresh_weights_have_the_spread_of_the_public_code(name):
    """MXNet counts both ends of a layer: the two first sides of a weight, times the cells of its kernel."""
    net, leak = build(name, fresh=True, **(HKO | {"widths": (16, 24, 24)})), 0.2
    for label, value in net.state_dict().items():
        if label.endswith("bias") or ".flow." in label:
            assert not value.any(), label
            continue
        cells = value.shape[2] * value.shape[3]
        expected = 2 / (1 + leak**2) / ((value.shape[0] * cells + value.shape[1] * cells) / 2)
        # The mean of n squares of a normal variable strays from its variance by sqrt(2 / n) of it.
        assert float(value.square().mean()) == pytest.approx(expected, rel=4 * (2 / value.numel()) ** 0.5), label


@pytest.mark.parametrize("name", OWN)
def test_gates_in_few_digits_leave_the_memory_in_many(name):
    net, seen = build(name).float(), frames().float()
    exact = net(seen).detach()
    with torch.autocast("cpu", torch.bfloat16):
        found = net(seen)
        assert net.encoder[0]([torch.zeros(1, 3, 4, 4)], torch.zeros(1, 4, 4, 4), 1)[0].dtype == torch.float32
    assert float((found.detach() - exact).abs().max()) < 0.1 * float(exact.abs().max())


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("convgru", {"kernel_state": (5, 5)}, "kernel_state has 2 values, widths has 3"),
        ("convgru", {"dilation": (1,)}, "dilation has 1 values"),
        ("trajgru", {"links": (3,)}, "links has 1 values"),
        ("trajgru", {"widths": (8, 8)}, "one entry for each level"),
        ("trajgru", {"down": [{"kernel": 2, "stride": 1}] * 3}, r"down\[0\] does not divide by its stride"),
        ("trajgru", {"up": HKO["up"]}, r"up\[0\] does not undo down\[0\]"),
        ("trajgru", {"flow_kernel": 4}, "only if its size is odd"),
    ],
)
def test_options_that_make_no_network_are_refused(name, option, message):
    with pytest.raises(ValidationError, match=message):
        MODELS.get(name).Options(**option)
