"""What a system of partial differential equations is made of, and the checks of its declaration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.netgen.names import check_name
from pipeline_lib.netgen.terms import Known, check_term, shown

Wall = tuple[float | None, float | None]
"""The value of a field at the lower and at the upper wall of an axis; ``None`` stands for a vanishing gradient."""

MOST_AXES = 2


@dataclass(frozen=True)
class System:
    """Evolution equations on a line or a rectangle.

    Right-hand sides hold numbers, the names declared here, sums, products, powers with a number for exponent, the
    functions of `names.ELEMENTARY`, and derivatives in space, of any order, also mixed. A derivative of a field becomes
    one stencil. A derivative of an expression that is not expanded, ``Derivative(u * h, x)``, is taken of the values of
    the expression: the flux form, which conserves sums where the axis is periodic or nothing passes the walls.
    ``.doit()`` expands it by the rules of calculus.

    Parameters
    ----------
    name
        Names the class that is generated.
    coordinates
        Length of the domain along each coordinate, in the order of the axes of a state.
    equations
        ``Eq(Derivative(u, t), ...)`` for each prognostic function u of time and all coordinates; their order is that
        of the fields in a state.
    time
        The symbol of time; a right-hand side may hold it.
    constants
        Known numbers by symbol.
    trainable
        Initial values of unknown numbers by symbol; parameters of the module.
    exogenous
        Fields that are given, such as ``k(x, y)``: functions of coordinates, constant in time, without equation. Their
        values have a dimension for each coordinate, in the order in which it stands here.
    closures
        Unknown functions, ``C = Function("C")``. In a right-hand side, ``C(u, v)`` is a field that a network makes of
        the fields u and v; the arguments may be any expressions. Its derivatives see it as it lies on the grid.
    walls
        Coordinates with walls in place of a period, and for each the condition of every prognostic field, and of other
        fields where the gradient does not vanish. Walls lie half a spacing before the first point and behind the last:
        points are centres of cells. Fields continue behind a wall as in a mirror, even for a vanishing gradient and odd
        about the imposed value otherwise, and terms are made of the continued fields. Unless the solution has that
        symmetry itself, its error is of second order whatever the order of the stencils. Behind a corner, the first
        axis is continued first.
    title
        One line about the system.
    notes
        More lines, such as the source of the equations and of the constants.

    Raises
    ------
    ConfigError
        If something is declared twice or not at all, or a term cannot be translated; it names the term.
    """

    name: str
    coordinates: Mapping[sp.Symbol, float]
    equations: Sequence[sp.Eq]
    time: sp.Symbol = field(default_factory=lambda: sp.Symbol("t"))
    constants: Mapping[sp.Symbol, float] = field(default_factory=dict)
    trainable: Mapping[sp.Symbol, float] = field(default_factory=dict)
    exogenous: Sequence[AppliedUndef] = ()
    closures: Sequence[UndefinedFunction] = ()
    walls: Mapping[sp.Symbol, Mapping[str, Wall]] = field(default_factory=dict)
    title: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        self._check_axes()
        self._check_equations()
        self._check_names()
        self._check_walls()
        known = Known(self)
        for unknown, equation in zip(self.fields, self.equations, strict=True):
            check_term(equation.rhs, known, where=f"{self.name}: equation of {unknown.func.__name__}")

    @property
    def fields(self) -> tuple[AppliedUndef, ...]:
        """The prognostic functions, in the order of a state."""
        return tuple(equation.lhs.expr for equation in self.equations)

    @property
    def axes(self) -> tuple[sp.Symbol, ...]:
        """The coordinates, in the order of the axes of a state."""
        return tuple(self.coordinates)

    def wall(self, name: str, axis: sp.Symbol) -> Wall | None:
        """Return the condition of a field at the walls of an axis, ``None`` if the axis is periodic."""
        return self.walls[axis].get(name, (None, None)) if axis in self.walls else None

    def _check_axes(self) -> None:
        if not 1 <= len(self.coordinates) <= MOST_AXES:
            raise ConfigError(f"{len(self.coordinates)} coordinates", where=self.name, fix="declare one or two")
        for axis, length in self.coordinates.items():
            if not (math.isfinite(length) and length > 0):
                raise ConfigError(f"the length {length} of {axis} is not a positive number", where=self.name)

    def _check_equations(self) -> None:
        if not self.equations:
            raise ConfigError("there is no equation", where=self.name, fix="write one for each prognostic function")
        seen: set[str] = set()
        for equation in self.equations:
            lhs = equation.lhs if isinstance(equation, sp.Eq) else equation
            of_time = isinstance(lhs, sp.Derivative) and lhs.variables == (self.time,)
            if not (isinstance(equation, sp.Eq) and of_time and isinstance(lhs.expr, AppliedUndef)):
                what = f"{shown(lhs)} is not the first time derivative of a function"
                raise ConfigError(what, where=self.name, fix=f"write Eq(Derivative(u, {self.time}), right-hand side)")
            unknown, name = lhs.expr, lhs.expr.func.__name__
            if name in seen:
                raise ConfigError(f"{shown(unknown)} has two equations", where=self.name, fix="keep one")
            if set(unknown.args) != {self.time, *self.axes} or len(unknown.args) != 1 + len(self.axes):
                needs = ", ".join(map(str, (self.time, *self.axes)))
                raise ConfigError(f"{shown(unknown)} is not a function of {needs}", where=self.name)
            seen.add(name)

    def _check_names(self) -> None:
        check_name(self.name, where=self.name)
        seen: set[str] = set()
        for name in self._names():
            check_name(name, where=self.name)
            if name in seen:
                raise ConfigError(f"{name} is declared twice", where=self.name, fix="give each its own name")
            seen.add(name)
        for symbol, value in (*self.constants.items(), *self.trainable.items()):
            if not math.isfinite(value):
                raise ConfigError(f"{symbol} is {value}, not a number", where=self.name)
        for given in self.exogenous:
            self._check_exogenous(given)

    def _check_exogenous(self, given: AppliedUndef) -> None:
        space = [argument for argument in given.args if argument != self.time]
        if not set(space) <= set(self.axes) or len(set(given.args)) < len(given.args) or not given.args:
            raise ConfigError(f"{shown(given)} is not a function of the coordinates", where=self.name)
        if len(space) < len(given.args):
            what = f"{shown(given)} changes with time, a field that is given does not"
            still = f"give {shown(given.func(*space))}" if space else "declare a constant"
            raise ConfigError(what, where=self.name, fix=f"{still}, or advance it by an equation of its own")

    def _names(self) -> Iterator[str]:
        for symbol in (self.time, *self.axes, *self.constants, *self.trainable):
            yield symbol.name
        for function in (*self.fields, *self.exogenous):
            yield function.func.__name__
        for closure in self.closures:
            yield closure.__name__

    def _check_walls(self) -> None:
        prognostic = [unknown.func.__name__ for unknown in self.fields]
        others = [*(f.func.__name__ for f in self.exogenous), *(c.__name__ for c in self.closures)]
        for axis, conditions in self.walls.items():
            place = f"{self.name}: walls of {axis}"
            if axis not in self.coordinates:
                raise ConfigError(f"{axis} is no coordinate", where=place, fix=closest(str(axis), map(str, self.axes)))
            for name in conditions:
                if name not in (*prognostic, *others):
                    raise ConfigError(f"{name} is no field", where=place, fix=closest(name, (*prognostic, *others)))
            for name in prognostic:
                if name not in conditions:
                    fix = "give a value, or None (in a file zero_gradient) for a gradient that vanishes"
                    raise ConfigError(f"nothing is said about {name}", where=place, fix=fix)
            for name, values in conditions.items():
                if not all(value is None or math.isfinite(value) for value in values):
                    raise ConfigError(f"the value {values} of {name} is not a number", where=place)
