"""Residual blocks against the schemes they are steps of, and the network against the published sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.scheme_resnet.blocks import (
    Implicit,
    Leapfrog,
    Multistep,
    Plain,
    Reversible,
    RungeKuttaBlock,
    SecondOrderPolynomial,
)

MODEL = MODELS.get("scheme_resnet")
KINDS = ("plain", "euler", "multistep", "leapfrog", "heun", "rk4", "poly2", "implicit", "reversible")
SHARED = ("heun", "rk4", "poly2", "implicit")


def build(in_channels=1, classes=10, **options):
    return MODEL.build(MODEL.Options(**options), in_channels=in_channels, classes=classes)


def count(**options):
    return sum(p.numel() for p in build(**options).parameters())


def linear(seed: int, size: int = 4, norm: float = 0.5) -> tuple[nn.Linear, np.ndarray]:
    """F(x) = A x with a matrix of a given spectral norm."""
    matrix = np.random.default_rng(seed).standard_normal((size, size))
    matrix *= norm / np.linalg.norm(matrix, 2)
    branch = nn.Linear(size, size, bias=False).double()
    with torch.no_grad():
        branch.weight.copy_(torch.from_numpy(matrix))
    return branch, matrix


def states(seed: int, size: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 1).standard_normal((3, size)))


def bent(channels: int, seed: int = 0) -> nn.Module:
    """A nonlinear F that is no contraction."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.Tanh()).double()


# ---- blocks are steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "coefficients"),
    [
        (Plain, [0, 1]),
        (lambda f: RungeKuttaBlock(f, "euler"), [1, 1]),
        (lambda f: RungeKuttaBlock(f, "heun"), [1, 1, 1 / 2]),
        (lambda f: RungeKuttaBlock(f, "rk4"), [1, 1, 1 / 2, 1 / 6, 1 / 24]),
        (SecondOrderPolynomial, [1, 1, 1]),
        (lambda f: Implicit(f, 1), [1, 1]),
        (lambda f: Implicit(f, 3), [1, 1, 1, 1]),
    ],
    ids=["plain", "euler", "heun", "rk4", "poly2", "one iteration", "three iterations"],
)
@given(seed=st.integers(0, 10**6))
def test_with_a_linear_f_a_block_is_the_polynomial_of_its_scheme(make, coefficients, seed):
    """Stability polynomials of Runge-Kutta schemes; of poly-2 and the iteration the Neumann series, cut off."""
    branch, matrix = linear(seed)
    x = states(seed)
    found = make(branch)(x).detach().numpy()
    power, expected = np.eye(4), np.zeros((4, 4))
    for coefficient in coefficients:
        expected, power = expected + coefficient * power, power @ matrix
    np.testing.assert_allclose(found, x.numpy() @ expected.T, rtol=0, atol=1e-12)


@given(seed=st.integers(0, 10**6), norm=st.floats(0.05, 0.9), iterations=st.integers(1, 30))
def test_the_iteration_nears_backward_euler_as_fast_as_a_contraction_must(seed, norm, iterations):
    branch, matrix = linear(seed, norm=norm)
    x = states(seed)
    found = Implicit(branch, iterations)(x).detach().numpy()
    solved = np.linalg.solve(np.eye(4) - matrix, x.numpy().T).T
    wrong = np.linalg.norm(found - solved, axis=1)
    bound = norm**iterations / (1 - norm) * np.linalg.norm(x.numpy() @ matrix.T, axis=1)
    assert (wrong <= bound + 1e-12).all()


def test_the_implicit_block_solves_y_is_x_plus_f_of_y():
    branch = bent(2)
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter.mul_(0.3)  # a contraction: the largest row sum of the weights bounds L
    assert branch[0].weight.abs().sum(dim=(1, 2, 3)).max() < 1
    x = torch.randn(3, 2, 5, 5, dtype=torch.float64)
    y = Implicit(branch, 200)(x)
    torch.testing.assert_close(y, x + branch(y), rtol=0, atol=1e-12)
    assert not torch.allclose(y, x + branch(x), atol=1e-3)


def test_without_k_a_multistep_block_is_euler_to_the_bit_and_so_is_the_first_one():
    for dtype in (torch.float32, torch.float64):
        branch = bent(3).to(dtype)
        block, euler = Multistep(branch).to(dtype), RungeKuttaBlock(branch, "euler")
        x, previous = torch.randn(2, 2, 3, 6, 6, dtype=dtype)
        assert -0.1 <= block.k.item() <= 0
        assert torch.equal(block(x), euler(x))
        assert not torch.equal(block(x, previous), euler(x))
        with torch.no_grad():
            block.k.zero_()
        assert torch.equal(block(x, previous), euler(x))


def test_a_multistep_block_weighs_the_two_states_as_written():
    block = Multistep(bent(3)).double()
    x, previous = torch.randn(2, 2, 3, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        block.k.fill_(0.3)
    torch.testing.assert_close(block(x, previous), 0.7 * x + 0.3 * previous + block.branch(x))


def test_a_leapfrog_trajectory_runs_backwards():
    blocks = [Leapfrog(bent(2, seed)) for seed in range(6)]
    path = [torch.randn(1, 2, 6, 6, dtype=torch.float64)]
    path.append(blocks[0](path[0]))
    for block in blocks[1:]:
        path.append(block(path[-1], path[-2]))
    after, x = path[-1], path[-2]
    for block in reversed(blocks[1:]):
        # The scheme is symmetric: the older state is the newer one with the step turned round.
        after, x = x, after - 2 * block.branch(x)
    torch.testing.assert_close(x, path[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(after, path[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_reversible_blocks_are_undone(dtype, tolerance):
    blocks = [Reversible(bent(2, seed).to(dtype), bent(2, seed + 9).to(dtype)) for seed in range(8)]
    x = y = torch.randn(3, 4, 6, 6, dtype=dtype)
    for block in blocks:
        y = block(y)
    assert not torch.allclose(x, y, atol=0.1)
    for block in reversed(blocks):
        y = block.inverse(y)
    torch.testing.assert_close(y, x, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_network_are_those_of_finite_differences(kind):
    torch.manual_seed(0)
    network = build(block=kind, blocks=2, widths=(4,), classes=2).double().eval()
    x = torch.randn(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    names, values = zip(*((n, p.detach().clone().requires_grad_()) for n, p in network.named_parameters()), strict=True)
    chosen = [i for i, name in enumerate(names) if name.endswith((".k", ".bias"))]

    def answer(x, *few):
        given = dict(zip(names, values, strict=True)) | {names[i]: v for i, v in zip(chosen, few, strict=True)}
        return torch.func.functional_call(network, given, (x,))

    assert torch.autograd.gradcheck(answer, (x, *(values[i] for i in chosen)), fast_mode=True)


# ---- networks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"),
    [("plain", 4914), ("euler", 4914), ("multistep", 4918), ("leapfrog", 4914), ("reversible", 2610)],
)
@pytest.mark.parametrize("normalisation", ["batch", "group"])
def test_networks_for_digits_have_the_known_sizes(kind, values, normalisation):
    assert count(block=kind, normalisation=normalisation) == values


@pytest.mark.parametrize("kind", SHARED)
def test_shared_f_costs_work_but_no_values(kind):
    assert count(block=kind) == 4914


@pytest.mark.parametrize(
    ("blocks", "printed"), [(3, 0.27), (5, 0.46), (7, 0.66), (9, 0.85), (18, 1.7)], ids=["20", "32", "44", "56", "110"]
)
def test_networks_for_cifar_have_the_printed_sizes(blocks, printed):
    """Printed to two digits, cut off rather than rounded."""
    options = {"in_channels": 3, "blocks": blocks, "widths": (16, 32, 64), "normalisation": "batch"}
    values = count(block="euler", **options)
    digits = 2 if printed < 1 else 1
    assert int(values / 1e6 * 10**digits) / 10**digits == printed
    # One k for every block but the two that change the resolution.
    assert count(block="multistep", **options) == values + 3 * blocks - 2
    if blocks == 3:
        assert values == MODEL.card.parameters.total


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_finite_logits_and_gradients_on_any_size(kind):
    torch.manual_seed(0)
    network = build(in_channels=2, classes=4, block=kind, widths=(4, 8), blocks=2)
    logits = network(torch.randn(3, 2, 9, 7))
    assert logits.shape == (3, 4)
    logits.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_history_ends_where_the_resolution_changes():
    """Turned into an Euler network by k = 0 in the second block of each stage alone, since the first has no past."""
    torch.manual_seed(0)
    network = build(block="multistep", widths=(4, 8), blocks=3).double()
    ks = [module.k for module in network.modules() if isinstance(module, Multistep)]
    assert len(ks) == 3 + 2
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    before = network(x)
    with torch.no_grad():
        ks[0].fill_(0.9)
        ks[3].fill_(0.9)
        assert torch.equal(network(x), before)
        ks[1].fill_(0.9)
        assert not torch.equal(network(x), before)


def test_a_plain_network_has_no_way_around_its_convolutions():
    network = build(block="plain", widths=(4, 8), blocks=2)
    with torch.no_grad():
        for stage in network.stages:
            for block in stage:
                block.branch[-1].weight.zero_()
    one, other = network(torch.randn(2, 1, 8, 8)), network(torch.randn(2, 1, 8, 8))
    assert torch.equal(one, other)


@pytest.mark.parametrize("kind", SHARED)
def test_batch_normalisation_of_a_shared_f_is_refused(kind):
    with pytest.raises(ValidationError, match="set normalisation to group or none"):
        MODEL.Options(block=kind, normalisation="batch")
    MODEL.Options(block=kind, normalisation="none")


def test_widths_that_cannot_be_cut_are_refused():
    with pytest.raises(ValidationError, match="a width of 6 cannot be cut into 4 equal parts"):
        MODEL.Options(block="reversible", widths=(8, 6))
    MODEL.Options(block="reversible", widths=(6,), normalisation="batch")
