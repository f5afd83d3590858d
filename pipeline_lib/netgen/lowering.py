"""From equations to steps: which field is continued, differenced, multiplied and added, in which order.

A term is wanted with a *halo*: so many points beyond the grid on each axis, for the stencils that will be laid over it.
Only fields are continued behind the boundary; what is made of them is computed there like everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef

from pipeline_lib.errors import ConfigError
from pipeline_lib.netgen.names import Names
from pipeline_lib.netgen.stencils import central_weights, half_width
from pipeline_lib.netgen.system import System
from pipeline_lib.netgen.terms import shown

Halo = tuple[int, ...]


@dataclass(frozen=True)
class Continue:
    """A field is continued by ``width`` points to both sides of an axis."""

    source: sp.Symbol
    axis: sp.Symbol
    width: int
    field: str


@dataclass(frozen=True)
class Convolve:
    """A field is convolved with a kernel along an axis."""

    source: sp.Symbol
    axis: sp.Symbol
    kernel: str


@dataclass(frozen=True)
class Network:
    """A network makes a field of others."""

    network: str
    inputs: tuple[sp.Symbol, ...]


@dataclass(frozen=True)
class Algebra:
    """An expression of fields and numbers."""

    expression: sp.Expr


Step = Continue | Convolve | Network | Algebra


@dataclass(frozen=True)
class Kernel:
    """The weights of a derivative along an axis, for unit spacing."""

    axis: sp.Symbol
    derivative: int
    weights: tuple[sp.Rational, ...]


@dataclass(frozen=True)
class Lowered:
    """A system as steps.

    Parameters
    ----------
    steps
        Steps by the name of what they make, in an order in which they can be taken.
    kernels
        Kernels by name.
    trends
        Names of the time derivatives, in the order of a state.
    least
        Least number of points along each axis.
    uniform
        Those of ``trends`` that hold no field: the same number at every point.
    """

    steps: dict[str, Step]
    kernels: dict[str, Kernel]
    trends: tuple[str, ...]
    least: tuple[int, ...]
    uniform: frozenset[str]


def lower(system: System, shape: tuple[int, ...], order: int, names: Names) -> Lowered:
    """Translate a system into steps.

    Raises
    ------
    ConfigError
        If a stencil is wider than the grid; it names the derivative.
    """
    return _Lowering(system, shape, order, names).run()


class _Lowering:
    def __init__(self, system: System, shape: tuple[int, ...], order: int, names: Names) -> None:
        self.system, self.shape, self.order, self.names = system, shape, order, names
        self.steps: dict[sp.Symbol, Step] = {}
        self.kernels: dict[str, Kernel] = {}
        self.made: dict[tuple[sp.Basic, Halo], sp.Symbol] = {}
        self.operands: dict[sp.Basic, str] = {}
        self.none: Halo = (0,) * len(shape)
        self.reach = list(self.none)
        self.loaded = {f: sp.Symbol(f.func.__name__) for f in (*system.fields, *system.exogenous)}

    def run(self) -> Lowered:
        rights = [_without_zeros(equation.rhs) for equation in self.system.equations]
        trends = []
        for unknown, right in zip(self.system.fields, rights, strict=True):
            wish = f"{unknown.func.__name__}_{self.system.time}"
            trends.append(self.make(wish, Algebra(self.algebra(right, self.none))))
        self.share()
        return Lowered(
            steps=self.sorted(trends),
            kernels=self.kernels,
            trends=tuple(symbol.name for symbol in trends),
            least=tuple(2 * reach + 1 for reach in self.reach),
            uniform=frozenset(
                trend.name for trend, right in zip(trends, rights, strict=True) if not right.atoms(AppliedUndef)
            ),
        )

    def make(self, wish: str, step: Step) -> sp.Symbol:
        symbol = sp.Symbol(self.names.fresh(wish))
        self.steps[symbol] = step
        return symbol

    def algebra(self, term: sp.Expr, halo: Halo) -> sp.Expr:
        """Return a term with symbols for everything but numbers and algebra."""
        if isinstance(term, AppliedUndef) and term in self.loaded:
            return self.continued(self.loaded[term], term.func.__name__, halo)
        if isinstance(term, AppliedUndef):
            return self.continued(self.networked(term), term.func.__name__, halo)
        if isinstance(term, sp.Derivative):
            return self.derivative(term, halo)
        if not term.args:
            return term
        return term.func(*(self.algebra(argument, halo) for argument in term.args))

    def continued(self, field: sp.Symbol, name: str, halo: Halo) -> sp.Symbol:
        if halo == self.none:
            return field
        key = (field, halo)
        if key not in self.made:
            last = max(index for index, width in enumerate(halo) if width)
            inner = self.continued(field, name, (*halo[:last], 0, *halo[last + 1 :]))
            step = Continue(inner, self.system.axes[last], halo[last], name)
            self.made[key] = self.make(field.name + self.suffix(halo), step)
        return self.made[key]

    def networked(self, call: AppliedUndef) -> sp.Symbol:
        key = (call, self.none)
        if key not in self.made:
            for argument in call.args:
                if not argument.atoms(AppliedUndef):
                    raise ConfigError(f"an argument of {shown(call)} is the same everywhere", where=self.system.name)
            inputs = tuple(self.tensor(argument, self.none) for argument in call.args)
            self.made[key] = self.make(f"{call.func.__name__}_field", Network(call.func.__name__, inputs))
        return self.made[key]

    def tensor(self, term: sp.Expr, halo: Halo) -> sp.Symbol:
        """Return the symbol of a term that must be a field of its own."""
        expression = self.algebra(term, halo)
        if expression in self.steps or expression in self.loaded.values():
            return expression
        key = (term, halo)
        if key not in self.made:
            if term not in self.operands:
                self.operands[term] = self.names.fresh("term")
            wish = self.operands[term] + self.suffix(halo)
            self.made[key] = self.make(wish, Algebra(expression))
        return self.made[key]

    def derivative(self, term: sp.Derivative, halo: Halo) -> sp.Expr:
        key = (term, halo)
        if key not in self.made:
            counts = {axis: term.variables.count(axis) for axis in self.system.axes if axis in term.variables}
            index, axis = max((self.system.axes.index(axis), axis) for axis in counts)
            count = counts.pop(axis)
            inner = sp.Derivative(term.expr, *counts.items()) if counts else term.expr
            wide = self.widened(term, halo, index, half_width(count, self.order))
            source = self.tensor(inner, wide)
            step = Convolve(source, axis, self.kernel(axis, count))
            self.made[key] = self.make(self.name_of(term) + self.suffix(halo), step)
        return self.made[key]

    def widened(self, term: sp.Derivative, halo: Halo, index: int, width: int) -> Halo:
        wide = (*halo[:index], halo[index] + width, *halo[index + 1 :])
        points = 2 * wide[index] + 1
        if points > self.shape[index]:
            what = f"{shown(term)} at order {self.order} needs {points} points along {self.system.axes[index]}"
            fix = f"the grid has {self.shape[index]}: take more, or a lower order"
            raise ConfigError(what, where=self.system.name, fix=fix)
        self.reach[index] = max(self.reach[index], wide[index])
        return wide

    def kernel(self, axis: sp.Symbol, count: int) -> str:
        for name, kernel in self.kernels.items():
            if (kernel.axis, kernel.derivative) == (axis, count):
                return name
        name = self.names.fresh(f"kernel_{axis.name * count}")
        self.kernels[name] = Kernel(axis, count, central_weights(count, self.order))
        return name

    def name_of(self, term: sp.Derivative) -> str:
        """Return ``u_xy`` for the derivative of u, and the like for a named operand."""
        letters = "".join(axis.name for axis in self.system.axes for _ in range(term.variables.count(axis)))
        if isinstance(term.expr, AppliedUndef):
            return f"{term.expr.func.__name__}_{letters}"
        if term.expr not in self.operands:
            self.operands[term.expr] = self.names.fresh("term")
        return f"{self.operands[term.expr]}_{letters}"

    def suffix(self, halo: Halo) -> str:
        more = "".join(f"{width}{axis.name}" for axis, width in zip(self.system.axes, halo, strict=True) if width)
        return f"_plus{more}" if more else ""

    def share(self) -> None:
        """Compute once what several expressions hold."""
        algebra = {symbol: step for symbol, step in self.steps.items() if isinstance(step, Algebra)}
        wishes = (sp.Symbol(name) for name in self.names.series("part"))
        shared, reduced = sp.cse([step.expression for step in algebra.values()], symbols=wishes)
        self.steps.update({symbol: Algebra(expression) for symbol, expression in shared})
        self.steps.update({symbol: Algebra(e) for symbol, e in zip(algebra, reduced, strict=True)})

    def sorted(self, trends: Iterable[sp.Symbol]) -> dict[str, Step]:
        """Return the steps that lead to the trends, each behind those that it needs."""
        found: dict[str, Step] = {}

        def visit(symbol: sp.Symbol) -> None:
            if symbol.name in found or symbol not in self.steps:
                return
            for needed in sorted(_needs(self.steps[symbol]), key=str):
                visit(needed)
            found[symbol.name] = self.steps[symbol]

        for trend in trends:
            visit(trend)
        return found


def _without_zeros(term: sp.Expr) -> sp.Expr:
    """Return a term in which derivatives of what holds no field are 0; SymPy leaves them as they are."""
    if not term.args:
        return term
    arguments = [_without_zeros(argument) if isinstance(argument, sp.Expr) else argument for argument in term.args]
    if isinstance(term, sp.Derivative) and not arguments[0].atoms(AppliedUndef):
        return sp.Integer(0)
    return term.func(*arguments)


def _needs(step: Step) -> set[sp.Symbol]:
    if isinstance(step, Algebra):
        return set(step.expression.free_symbols)
    return set(step.inputs) if isinstance(step, Network) else {step.source}
