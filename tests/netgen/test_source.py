"""Generated modules: the numbers of an independent evaluation, in every shape a system may have."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline_lib.netgen.description import example_names, find_system
from pipeline_lib.netgen.source import build, class_name, generate
from pipeline_lib.netgen.system import System
from pipeline_lib.netgen.system_file import read_system
from tests.netgen.reference import reference

ROOT = Path(__file__).parents[2]
t, x, y, k, c = sp.symbols("t x y k c")
D = sp.Derivative
u, v = (sp.Function(name)(t, x) for name in "uv")
p, q = (sp.Function(name)(t, y, x) for name in "pq")
f, g = sp.Function("f")(x), sp.Function("g")(y)


def line(**right: sp.Expr) -> System:
    """A system on a periodic line of length 2 from right-hand sides by name."""
    equations = [sp.Eq(D(sp.Function(name)(t, x), t), term) for name, term in right.items()]
    exogenous = [f] if any(term.has(f) for term in right.values()) else []
    return System("line", {x: 2.0}, equations, constants={k: 0.3}, trainable={c: -1.7}, exogenous=exogenous)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Values between 1 and 2, which may be divided by."""
    return 1 + torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_close(found: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=1e-12 * max(1, abs(expected).max()))


class Weighted(nn.Module):
    """An unknown function: the first argument, plus twice the second, and so on."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return sum(i * part for i, part in enumerate(inputs.unbind(1), start=1)).unsqueeze(1)


def with_known_closures(system: System) -> System:
    """The same system with what :class:`Weighted` computes in place of each unknown function."""

    def known(*arguments: sp.Expr) -> sp.Expr:
        return sp.Add(*(i * argument for i, argument in enumerate(arguments, start=1)))

    def written_out(term: sp.Expr) -> sp.Expr:
        for closure in system.closures:
            term = term.replace(closure, known)
        return term

    equations = [sp.Eq(equation.lhs, written_out(equation.rhs)) for equation in system.equations]
    return replace(system, equations=equations, closures=())


def assert_is_the_reference(system: System, shape: tuple[int, ...], order: int) -> None:
    sizes = list(zip(system.axes, shape, strict=True))
    fields = {
        field.func.__name__: random(*(size for axis, size in sizes if axis in field.args), seed=7)
        for field in system.exogenous
    }
    state = random(len(system.fields), *shape)
    networks = {closure.__name__: Weighted() for closure in system.closures}
    module = build(system, shape, order=order, **fields, **networks)
    whole = {f.func.__name__: [n if axis in f.args else 1 for axis, n in sizes] for f in system.exogenous}
    known = {name: field.reshape(whole[name]).numpy() for name, field in fields.items()}
    expected = reference(with_known_closures(system), state.numpy(), order=order, time=0.4, fields=known)
    assert_close(module(state, 0.4), expected)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("name", example_names())
def test_examples(name, order):
    system, grid = read_system(find_system(name))
    assert len(grid) == len(system.axes)
    assert_is_the_reference(system, (17,) if len(grid) == 1 else (8, 9), order)


class PublishedClosure(nn.Module):
    """The closure of burgers_uncertainty for locally Gaussian errors, times nu^2."""

    def forward(self, fields):
        return fields[:, :1] + 0.75 - 2 * fields[:, 1:2]


@pytest.mark.parametrize("order", [2, 4])
def test_the_example_with_an_unknown_function_is_the_one_with_numbers_where_that_is_known(order):
    (unknown, grid), (known, same) = (
        read_system(find_system(name)) for name in ("burgers_uncertainty_network", "burgers_uncertainty")
    )
    assert grid == same
    state = random(3, 17).abs() + 0.5
    found = build(unknown, (17,), order=order, C=PublishedClosure())(state, 0.0)
    torch.testing.assert_close(found, build(known, (17,), order=order)(state, 0.0).detach(), rtol=1e-11, atol=1e-9)


SYSTEMS = {
    "third and fourth derivatives": line(u=-u * D(u, x) - D(u, x, 2) - k * D(u, x, 3) - c * D(u, x, 4)),
    "fluxes within fluxes": line(u=D(k * u * D(v**2 / u, x), x), v=D(D(u * v, x) * D(u, x) * f, x, 2)),
    "functions and powers": line(u=sp.sqrt(u) + u ** sp.Rational(-3, 2) + sp.tanh(c * u) * sp.sin(sp.pi * t / 3)),
    "more functions": line(u=sp.exp(-u) * sp.log(v) / 3 + sp.Abs(u - v), v=sp.sin(2) * sp.sqrt(3) * 0.1 * sp.cos(v)),
    "nothing but a number": line(u=k**2 - sp.Rational(1, 3), v=sp.Integer(0)),
    "derivatives of numbers": line(u=D(k * t, x) + u, v=D(u * D(u / u, x), x) + D(u * D(c, x) + v, x)),
    "a name that a step would take": System(
        "taken", {x: 1.0}, [sp.Eq(D(u, t), sp.Symbol("u_x") * D(u, x) * sp.Symbol("part1") + u**2 * sp.exp(u**2))],
        constants={sp.Symbol("u_x"): 2.0, sp.Symbol("part1"): 3.0, sp.Symbol("kernel_x"): 4.0},
    ),
    "mixed derivatives": System(
        "mixed", {y: 2.0, x: 3.0},
        [sp.Eq(D(p, t), D(p, x, y) * q + D(p, x, 2, y)), sp.Eq(D(q, t), D(p * D(q, x), y) + D(f * g * q, y, 2))],
        exogenous=[f, g],
    ),
    "walls": System(
        "walled", {y: 2.0, x: 3.0},
        [sp.Eq(D(p, t), D(p, x, y) * q + D(p * q, x, 2, y)), sp.Eq(D(q, t), D(p * D(q, x), y) + D(g * q, y))],
        exogenous=[g],
        walls={y: {"p": (None, None), "q": (0.5, -2.0), "g": (1.0, None)}, x: {"p": (3.0, None), "q": (0.0, 0.0)}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("order", [2, 6])
@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_of_all_kinds(name, order):
    system = SYSTEMS[name]
    shape = (21,) if len(system.axes) == 1 else (15, 17)
    assert_is_the_reference(system, shape, order)


leaves = st.sampled_from([u, v, f, k, c, D(u, x), D(v, x, 2), D(u * v, x), sp.Integer(2), sp.Rational(1, 3)])
terms = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a: a / (1 + u**2), inner),
        st.builds(lambda a: D(a * u, x), inner),
        st.builds(lambda a: sp.tanh(a) ** 2, inner),
    ),
    max_leaves=5,
)


@settings(max_examples=25)
@given(first=terms, second=terms)
def test_any_terms(first, second):
    # Wide enough for six fluxes within fluxes.
    assert_is_the_reference(line(u=first, v=second), (15,), 2)


areas = st.recursive(
    st.sampled_from([p, q, g, D(p, x), D(p, x, y), D(q, y, 2), D(p * q, x, y), D(g, y)]),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a: D(a * p, y), inner),
        st.builds(lambda a: D(a / q, x), inner),
    ),
    max_leaves=4,
)


@settings(max_examples=10)
@given(first=areas, second=areas)
def test_any_terms_between_walls(first, second):
    walls = {y: {"p": (None, 1.0), "q": (0.5, -2.0)}, x: {"p": (3.0, None), "q": (1.0, 0.0)}}
    equations = [sp.Eq(D(p, t), first), sp.Eq(D(q, t), second)]
    system = System("area", {y: 2.0, x: 3.0}, equations, exogenous=[g], walls=walls)
    assert_is_the_reference(system, (15, 17), 2)


@settings(max_examples=15)
@given(shift=st.integers(-40, 40), seed=st.integers(0, 100))
@pytest.mark.parametrize("name", ["burgers", "burgers_uncertainty"])
def test_a_shift_before_is_a_shift_after(name, shift, seed):
    system, _ = read_system(find_system(name))
    module = build(system, (24,), order=4)
    state = random(2, len(system.fields), 24, seed=seed)
    torch.testing.assert_close(module(state.roll(shift, -1), 0.0), module(state, 0.0).roll(shift, -1), rtol=0, atol=0)


def test_leading_dimensions_are_a_batch_also_of_constants_and_fields():
    system = SYSTEMS["mixed derivatives"]
    state, many = random(4, 3, 2, 15, 17), random(3, 17, seed=5)
    whole = build(system, (15, 17), f=many, g=random(15))(state, 0.0)
    for i in range(3):
        one = build(system, (15, 17), f=many[i], g=random(15))(state[2, i], 0.0)
        torch.testing.assert_close(whole[2, i], one, rtol=0, atol=0)
    heat = line(u=k * D(u, x, 2))
    many = torch.tensor([[0.1], [0.2]], dtype=torch.float64)
    state = random(2, 1, 9)
    torch.testing.assert_close(build(heat, (9,), k=many)(state, 0.0)[1], build(heat, (9,), k=0.2)(state[1], 0.0))


@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_field_lies_along_the_coordinates_of_its_declaration(batch):
    fields = [sp.Function("a")(x), sp.Function("b")(y), sp.Function("e")(x, y)]
    equations = [sp.Eq(D(p, t), fields[0]), sp.Eq(D(q, t), fields[1] + 10 * fields[2])]
    system = System("given", {y: 1.0, x: 1.0}, equations, exogenous=fields)
    a, b, e = random(*batch, 5, seed=1), random(*batch, 5, seed=2), random(*batch, 5, 5, seed=3)
    found = build(system, (5, 5), a=a, b=nn.Parameter(b), e=e)(random(*batch, 2, 5, 5), 0.0)
    for row in range(5):
        for column in range(5):
            torch.testing.assert_close(found[..., 0, row, column], a[..., column])
            torch.testing.assert_close(found[..., 1, row, column], b[..., row] + 10 * e[..., column, row])


def test_single_precision():
    system, _ = read_system(find_system("burgers_uncertainty"))
    module, state = build(system, (24,)), random(3, 24)
    with torch.no_grad():
        double = module(state, 0.0)
        single = module.float()(state.float(), 0.0)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4 * float(double.abs().max()))


def test_kernels_are_buffers_and_unknowns_are_the_only_parameters():
    system, grid = read_system(find_system("burgers_uncertainty"))
    module = build(system, grid)
    assert module.kernel_x.tolist() == [-120.5, 0.0, 120.5]
    assert module.kernel_xx.tolist() == [58081.0, -116162.0, 58081.0]
    assert sorted(name for name, _ in module.named_parameters()) == ["a", "b", "c"]
    assert sorted(module.state_dict()) == ["a", "b", "c"]


class Product(nn.Module):
    """Of two channels."""

    def forward(self, inputs):
        return inputs[:, :1] * inputs[:, 1:]


def test_a_network_is_a_term_like_any_other():
    C = sp.Function("C")
    closed = [sp.Eq(D(u, t), C(u, D(v, x)) * k - D(C(u, v), x)), sp.Eq(D(v, t), C(u**2, v))]
    system = System("closed", {x: 2.0}, closed, constants={k: 0.3}, closures=[C])
    state = random(2, 5, 2, 16)
    found = build(system, (16,), C=Product())(state, 0.0)
    expected = build(line(u=u * D(v, x) * k - D(u * v, x), v=u**2 * v), (16,))(state, 0.0)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_a_network_of_another_shape_is_refused():
    C = sp.Function("C")
    module = build(System("s", {x: 1.0}, [sp.Eq(D(u, t), C(u))], closures=[C]), (9,), C=nn.Conv1d(1, 2, 1).double())
    with pytest.raises(ValueError, match=r"returned \(1, 2, 9\), not \(1, 1, 9\)"):
        module(random(1, 9), 0.0)


@pytest.mark.parametrize("shape", [(1, 8), (2, 9), (9,)])
def test_a_state_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"must end with \(1, 9\)"):
        build(line(u=-D(u, x)), (9,))(random(*shape), 0.0)


def gradients_agree(module: nn.Module, inputs: dict[str, torch.Tensor], state: torch.Tensor) -> bool:
    names = list(inputs)

    def run(state, *values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (state, 0.3))

    leaves = [value.detach().clone().requires_grad_() for value in (state, *inputs.values())]
    return torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("name", ["burgers", "burgers_uncertainty", "diffusion", "shallow_water"])
def test_gradients(name):
    system, grid = read_system(find_system(name))
    shape = (5,) * len(grid)
    fields = {field.func.__name__: random(*shape, seed=2) for field in system.exogenous}
    module = build(system, shape, **fields)
    inputs = {**dict(module.named_parameters()), **fields}
    inputs |= {symbol.name: getattr(module, symbol.name) for symbol in system.constants}
    assert gradients_agree(module, inputs, random(2, len(system.fields), *shape))


def test_gradients_of_networks():
    C = sp.Function("C")
    system = System("s", {x: 1.0}, [sp.Eq(D(u, t), D(C(u, D(u, x)), x))], closures=[C])
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular"), nn.Tanh(), nn.Conv1d(2, 1, 1))
    module = build(system, (6,), C=network.double())
    assert gradients_agree(module, dict(module.named_parameters()), random(2, 1, 6))


def test_a_field_may_be_trained():
    field = nn.Parameter(random(9))
    module = build(line(u=f * D(u, x)), (9,), f=field)
    assert {name for name, _ in module.named_parameters()} == {"c", "f"}
    module(random(1, 9), 0.0).sum().backward()
    assert field.grad is not None


ALONE = """
import sys, torch
import written
state = torch.linspace(1, 2, 3 * 24, dtype=torch.float64).sin().abs().add(1).reshape(3, 24)
print(written.BurgersUncertainty(shape=(24,))(state, 0.0).tolist())
assert "pipeline_lib" not in sys.modules
"""


def test_the_source_stands_alone_in_a_file(tmp_path):
    system, grid = read_system(find_system("burgers_uncertainty"))
    (tmp_path / "written.py").write_text(generate(system, grid), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
    )
    state = torch.linspace(1, 2, 3 * 24, dtype=torch.float64).sin().abs().add(1).reshape(3, 24)
    assert done.stdout.strip() == str(build(system, (24,))(state, 0.0).tolist())


def test_the_source_is_the_same_whatever_the_order_of_hashes():
    names = ("burgers_uncertainty", "shallow_water")
    code = (
        "import sys; from pipeline_lib.netgen.description import find_system\n"
        "from pipeline_lib.netgen.system_file import read_system; from pipeline_lib.netgen.source import generate\n"
        f"for name in {names}: sys.stdout.write(generate(*read_system(find_system(name))))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}  # here it is another one
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    assert done.stdout == "".join(generate(*read_system(find_system(name))) for name in names)


@pytest.mark.parametrize("name", example_names())
def test_the_source_is_readable(name):
    system, grid = read_system(find_system(name))
    source = generate(system, grid, order=4)
    assert max(map(len, source.splitlines())) <= 120
    assert f"class {class_name(system)}(nn.Module):" in source
    assert " ".join(system.title.split()) in source


def test_numbers_keep_all_their_digits():
    module = build(line(u=u * sp.Float(0.1 + 0.2)), (5,))
    assert module(torch.ones(1, 5, dtype=torch.float64), 0.0).unique().item() == 0.1 + 0.2


def test_free_text_cannot_end_the_docstring():
    title = 'end""" + __import__("os").abort() + """ \\N{no} \\x \\'
    system = System("s", {x: 1.0}, [sp.Eq(D(u, t), u)], title=title, notes=title)
    assert build(system, (5,))(random(1, 5), 0.0).shape == (1, 5)
