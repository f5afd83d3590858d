"""What cannot be translated is refused with one line that names the term."""

from __future__ import annotations

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError
from pipeline_lib.netgen.parser import parse_expression
from pipeline_lib.netgen.source import build, generate
from pipeline_lib.netgen.system import System
from pipeline_lib.netgen.system_file import read_system

t, x, y, k, other = sp.symbols("t x y k other")
D = sp.Derivative
u, v = (sp.Function(name)(t, x) for name in "uv")
C = sp.Function("C")


def system(right=u, *, name="s", **options) -> System:
    options = {"constants": {k: 1.0}, "closures": [C], **options}
    return System(name, {x: 1.0}, options.pop("equations", [sp.Eq(D(u, t), right, evaluate=False)]), **options)


def plane(field) -> System:
    p = sp.Function("p")(t, y, x)
    return System("s", {y: 1.0, x: 1.0}, [sp.Eq(D(p, t), field)], exogenous=[field])


TERMS = {
    "undeclared symbol": (u * other, "the symbol other is not declared"),
    "undeclared function": (D(v, x), r"v\(t, x\) has no equation"),
    "coordinate": (u * x, "the coordinate x stands by itself"),
    "other arguments": (u.subs(x, x**2), r"u\(t, x\*\*2\) has other arguments than u\(t, x\)"),
    "another function": (sp.gamma(u), r"gamma in gamma\(u\(t, x\)\) is not supported"),
    "piecewise": (sp.Piecewise((u, u > 0), (0, True)), "Piecewise"),
    "integral": (sp.Integral(u, x), r"Integral in Integral\(u\(t, x\), x\) is not supported"),
    "exponent": (2**u, r"the exponent of 2\*\*u\(t, x\) is not a number"),
    "exponent with a symbol": (u**k, r"the exponent of u\(t, x\)\*\*k is not a number"),
    "time derivative": (k * D(u, t), r"Derivative\(u\(t, x\), t\) is a time derivative on the right-hand side"),
    "mixed with time": (D(u, x, t), "time derivative on the right-hand side"),
    "derivative by a constant": (D(k * u, k), "not a derivative by a coordinate"),
    "infinite": (u + sp.oo, "oo is not a finite real number"),
    "imaginary": (sp.I * u, "I is not a finite real number"),
    "complex root": (u * sp.Pow(-8, sp.Rational(1, 3)), "is not a finite real number"),
    "too large": (u * sp.Integer(10) ** 400, "is not a finite real number"),
    "closure without field": (C(k), r"k in C\(k\) holds no field"),
    "within": (D(u * sp.cot(other * u), x, 2), "cot"),
}


@pytest.mark.parametrize("name", TERMS)
def test_terms(name):
    right, message = TERMS[name]
    with pytest.raises(ConfigError, match=message) as caught:
        system(right)
    assert caught.value.line.startswith("s: equation of u: ")
    assert "\n" not in caught.value.line


DECLARATIONS = {
    "two equations": (lambda: system(equations=[sp.Eq(D(u, t), u), sp.Eq(D(u, t), k)]), r"u\(t, x\) has two equations"),
    "no equation": (lambda: system(equations=[]), "there is no equation"),
    "second time derivative": (lambda: system(equations=[sp.Eq(D(u, t, 2), u)]), "is not the first time derivative"),
    "no derivative": (lambda: system(equations=[sp.Eq(u, k)]), r"u\(t, x\) is not the first time derivative"),
    "no equality": (lambda: system(equations=[u]), "is not the first time derivative"),
    "fewer coordinates": (
        lambda: System("s", {y: 1.0, x: 1.0}, [sp.Eq(D(u, t), u)]), r"u\(t, x\) is not a function of t, y, x",
    ),
    "three axes": (lambda: System("s", dict.fromkeys(sp.symbols("x y z"), 1.0), []), "3 coordinates"),
    "length": (lambda: System("s", {x: 0.0}, [sp.Eq(D(u, t), u)]), "the length 0.0 of x"),
    "constant": (lambda: system(constants={k: float("nan")}), "k is nan"),
    "declared twice": (lambda: system(trainable={k: 1.0}), "k is declared twice"),
    "field and constant": (lambda: system(constants={sp.Symbol("u"): 1.0}), "u is declared twice"),
    "keyword": (lambda: system(constants={sp.Symbol("lambda"): 1.0}), "'lambda' is taken"),
    "attribute": (lambda: system(constants={sp.Symbol("forward"): 1.0}), "'forward' is taken"),
    "code for a name": (lambda: system(constants={sp.Symbol("k = exit()"): 1.0}), "is not a name"),
    "code for a class": (lambda: system(name="s:pass"), "is not a name"),
    "wall of no coordinate": (lambda: system(walls={y: {"u": (0, 0)}}), "y is no coordinate"),
    "wall without condition": (lambda: system(walls={x: {}}), "nothing is said about u"),
    "wall of no field": (lambda: system(walls={x: {"u": (0, 0), "w": (0, 0)}}), "w is no field"),
    "wall of no number": (lambda: system(walls={x: {"u": (float("inf"), 0)}}), "of u is not a number"),
    "field of something else": (lambda: system(exogenous=[sp.Function("f")(y)]), r"f\(y\) is not a function"),
    "field of time": (lambda: system(exogenous=[sp.Function("f")(t, x)]), r"f\(t, x\) changes with time.*give f\(x\)"),
    "field of time alone": (lambda: system(exogenous=[sp.Function("f")(t)]), "changes with time.*declare a constant"),
    "field of nothing": (lambda: system(exogenous=[sp.Function("f")()]), r"f\(\) is not a function"),
    "field of one coordinate twice": (lambda: system(exogenous=[sp.Function("f")(x, x)]), "is not a function"),
    "field of another shape": (
        lambda: build(system(exogenous=[sp.Function("f")(x)]), (9,), C=torch.nn.Identity(), f=torch.ones(9, 1)),
        r"f\(x\) has shape \(9, 1\); it must end with its points, \(9,\)",
    ),
    "fewer dimensions": (
        lambda: build(plane(sp.Function("f")(y, x)), (9, 9), f=torch.ones(9)),
        r"f\(y, x\) has shape \(9,\); it must end with its points, \(9, 9\)",
    ),
    "negative points": (lambda: generate(system(), (-5,)), r"the grid \(-5,\) is not made of positive integers"),
    "half a point": (lambda: generate(system(), (4.5,)), "is not made of positive integers"),
    "order of no whole number": (lambda: generate(system(), (9,), order=2.0), r"order 2\.0 of accuracy"),
    "negative order": (lambda: generate(system(), (9,), order=-2), "order -2 of accuracy is not available"),
    "odd order": (lambda: generate(system(), (9,), order=3), "order 3 of accuracy is not available"),
    "order too high": (lambda: generate(system(), (9,), order=18), "order 18 of accuracy is not available"),
    "grid too small": (
        lambda: generate(system(D(u, x, 3)), (6,), order=4),
        r"Derivative\(u\(t, x\), \(x, 3\)\) at order 4 needs 7 points along x; the grid has 6",
    ),
    "nested on a small grid": (lambda: generate(system(D(u * D(u, x), x)), (4,)), "needs 5 points along x"),
    "closure of a number": (
        lambda: generate(system(C(u * D(u / u, x))), (9,)), r"an argument of C\(0\) is the same everywhere",
    ),
    "another grid": (lambda: generate(system(), (9, 9)), r"the grid \(9, 9\) has 2 axes, the system 1"),
    "no network": (lambda: build(system(C(u)), (9,)), "C is not given"),
    "no part": (lambda: build(system(), (9,), C=torch.nn.Identity(), w=1.0), "w is no part of the system"),
}  # fmt: skip


@pytest.mark.parametrize("name", DECLARATIONS)
def test_declarations(name):
    make, message = DECLARATIONS[name]
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in caught.value.line


@pytest.mark.parametrize("right", [(D(u, x, 3), D(v, x)), (D(u, x), D(v, x, 3))])
def test_a_grid_given_later_is_checked_as_well(right):
    equations = [sp.Eq(D(unknown, t), term) for unknown, term in zip((u, v), right, strict=True)]
    module = build(system(equations=equations, closures=[]), (9,))
    type(module)(shape=(5,))
    with pytest.raises(ValueError, match="less than the stencils need"):
        type(module)(shape=(4,))


@pytest.mark.parametrize("length", [0.0, -1.0, float("nan")])
def test_a_length_given_later_is_checked_as_well(length):
    module = build(system(closures=[]), (9,))
    with pytest.raises(ValueError, match="are not positive numbers"):
        type(module)(length=(length,))


NAMES = {"t": t, "x": x, "k": k, "u": u, "C": C}

TEXTS = {
    "u**2 + 2*k*Derivative(u, x, 2)": u**2 + 2 * k * D(u, x, 2),
    "-(+u) / 3 + 1.5e-3*C(u, Derivative(u, x))": -u / 3 + sp.Float(1.5e-3) * C(u, D(u, x)),
    "Derivative(u*k, x) - diff(u**2, x)": D(u * k, x) - 2 * u * D(u, x),
    "Derivative(u, x, x)*sqrt(u)*pi**2": D(u, x, 2) * sp.sqrt(u) * sp.pi**2,
    "u**(3/2) * sin(t)": u ** sp.Rational(3, 2) * sp.sin(t),
}


@pytest.mark.parametrize("text", TEXTS)
def test_texts(text):
    assert sp.simplify(parse_expression(text, NAMES, where="here") - TEXTS[text]) == 0


REFUSED = {
    "": "is not an expression",
    "u +": "is not an expression",
    "u; k": "is not an expression",
    "w * u": "the symbol w is not declared",
    "__import__('os').system('true')": "is not supported",
    "u.__class__": r"u\.__class__ is not supported",
    "(lambda: u)()": "is not supported",
    "[u for u in (1,)]": "is not supported",
    "exec('u')": "calls exec, which is no function",
    "u if k else x": "is not supported",
    "u == k": "is not supported",
    "'u'": "is not supported",
    "True * u": "True is not supported",
    "u // 2": "is not supported",
    "2j * u": "is not supported",
    "9**9**9": "has an exponent that is too large",
    "((9**16)**16)**16": "has a number that is too large",
    "1e999 * u": "has a number that is too large",
    "exp(exp(exp(9.0)))": "has an argument that is too large",
    "u**k": "has an exponent that is not a number",
    "u / 0": "is not a finite real number",
    "sqrt(-2) * u": "is not a finite real number",
    "C": "C is a function; call it with fields",
    "C()": "has no argument",
    "u(x)": "calls u, which is no function; fields are written without arguments",
    "sin(u, k)": "has 2 arguments; sin takes one",
    "sin": "the symbol sin is not declared",
    "Derivative(u)": "names no coordinate",
    "Derivative(u, 2)": "2 is neither a coordinate nor the order",
    "Derivative(u, x, 9)": "9 is neither a coordinate nor the order",
    "Derivative(u, x, 5, x, 5)": "is of order 10",
    "Derivative(u, x, evaluate=True)": "is not supported",
    "(" * 3000 + "u" + ")" * 3000: "an expression of 6001 characters",
    "(" * 1000 + "u" + ")" * 1000: "is not an expression",
    "-" * 3000 + "u": "is nested too deeply",
    "diff(" + "*".join(f"sin(u**{n})*tanh(u*{n})*exp(u**{n})" for n in range(1, 7)) + ", x, 8)": "becomes too long",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40])
def test_refused_texts(text):
    with pytest.raises(ConfigError, match=REFUSED[text]) as caught:
        parse_expression(text, NAMES, where="here")
    assert len(caught.value.line) < 300


words = ["**", "u", "k", "C(", "2", "0", "1e9", "sin(", "Derivative(u", "diff(", "\x00"]
pieces = st.lists(st.sampled_from([*"+-*/()., x", *words]), max_size=12)


@given(text=st.one_of(st.text(max_size=30), pieces.map("".join)))
def test_any_text_is_an_expression_or_refused(text):
    try:
        found = parse_expression(text, NAMES, where="here")
    except ConfigError:
        return
    assert isinstance(found, sp.Expr)


FILE = """\
name: heat
coordinates: {x: 1.0}
grid: [16]
constants: {k: 0.1}
equations:
  u: k * Derivative(u, x, 2)
"""

FILES = {
    "twice": (FILE + "  u: 0\n", "'u' is already on line 6"),
    "unknown": (FILE + "trainables: {a: 1}\n", "unknown key; did you mean 'trainable'"),
    "missing": (FILE.replace("grid: [16]\n", ""), "grid: field required"),
    "symbol": (FILE.replace("k * D", "kk * D"), "equations.u: the symbol kk is not declared; did you mean 'k'"),
    "clash": (FILE + "trainable: {k: 1}\n", "k is declared twice"),
    "time": (FILE.replace("u, x, 2)", "u, t)"), "time derivative on the right-hand side"),
    "axis": (FILE + "exogenous: {f: [z]}\n", "exogenous.f: z is no coordinate"),
    "no axis": (FILE + "exogenous: {f: []}\n", "exogenous.f: depends on no coordinate"),
    "time of a field": (FILE + "exogenous: {f: [t, x]}\n", r"f\(t, x\) changes with time.*give f\(x\), or advance it"),
    "negative points": (FILE.replace("[16]", "[-5]"), r"grid\.0: input should be greater than 0 \(got -5\)"),
    "no length": (FILE.replace("1.0}", "0}"), "the length 0.0 of x is not a positive number"),
    "negative length": (FILE.replace("1.0}", "-1}"), "the length -1.0 of x is not a positive number"),
    "side": (FILE + "walls: {x: {u: shut}}\n", "walls.x.u"),
    "wall": (FILE + "walls: {y: {u: 0}}\n", "y is no coordinate"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(name, tmp_path):
    text, message = FILES[name]
    path = tmp_path / "system.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_system(path)
    assert all(line.startswith(str(path)) for line in caught.value.lines)


def test_a_file_with_walls(tmp_path):
    path = tmp_path / "system.yaml"
    path.write_text(FILE + "walls: {x: {u: [1.5, zero_gradient]}}\n")
    read, grid = read_system(path)
    assert grid == (16,)
    assert read.walls == {x: {"u": (1.5, None)}}
