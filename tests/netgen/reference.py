"""Another way from equations to numbers: SymPy shifts, NumPy takes by index, and no step is shared."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef

from pipeline_lib.netgen.system import System


def weights(derivative: int, order: int) -> dict[int, sp.Rational]:
    """Weights by shift, from the conditions on the moments."""
    reach = (derivative + 1) // 2 - 1 + order // 2
    shifts = range(-reach, reach + 1)
    moments = sp.Matrix([[sp.Integer(k) ** j for k in shifts] for j in range(len(shifts))])
    wanted = sp.Matrix([math.factorial(derivative) if j == derivative else 0 for j in range(len(shifts))])
    return dict(zip(shifts, moments.LUsolve(wanted), strict=True))


def differenced(term: sp.Expr, order: int, spacing: Mapping[sp.Symbol, float]) -> sp.Expr:
    """Derivatives replaced by sums of shifted terms; a coordinate counts points."""
    if isinstance(term, AppliedUndef) or not term.args:
        return term
    if not isinstance(term, sp.Derivative):
        return term.func(*(differenced(argument, order, spacing) for argument in term.args))
    result = differenced(term.expr, order, spacing)
    for axis, step in spacing.items():
        count = term.variables.count(axis)
        if count:
            shifted = (w * result.subs(axis, axis + k) for k, w in weights(count, order).items())
            result = sp.Add(*shifted) / step**count
    return result


def taken(values: np.ndarray, axis: int, shift: int, wall: tuple[float | None, float | None] | None) -> np.ndarray:
    size = values.shape[axis]
    index = np.arange(size) + shift
    if wall is None:
        return np.take(values, index, axis, mode="wrap")
    beyond = np.where(index < 0, -1 - index, np.where(index >= size, 2 * size - 1 - index, index))
    mirrored = np.moveaxis(np.take(values, beyond, axis), axis, -1).copy()
    for outside, value in ((index < 0, wall[0]), (index >= size, wall[1])):
        if value is not None:
            mirrored[..., outside] = 2 * value - mirrored[..., outside]
    return np.moveaxis(mirrored, -1, axis)


def reference(
    system: System, state: np.ndarray, *, order: int, time: float = 0.0, fields: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Time derivative of a state ``(fields, n)`` or ``(fields, n, m)``."""
    shape = state.shape[1:]
    spacing = {axis: length / size for (axis, length), size in zip(system.coordinates.items(), shape, strict=True)}
    names = [f.func.__name__ for f in system.fields]
    values = {**dict(zip(names, state, strict=True)), **(fields or {})}
    numbers = {**system.constants, **system.trainable, system.time: time}
    trends = []
    for equation in system.equations:
        expression = differenced(equation.rhs, order, spacing)
        symbols, arrays = {}, []
        for call in sorted(expression.atoms(AppliedUndef), key=str):
            array = np.broadcast_to(values[call.func.__name__], shape)
            for index, axis in enumerate(system.axes):
                shift = next((int(a - axis) for a in call.args if axis in a.free_symbols), 0)
                array = taken(array, index, shift, system.wall(call.func.__name__, axis)) if shift else array
            symbols[call] = sp.Symbol(f"value{len(arrays)}")
            arrays.append(array)
        function = sp.lambdify([*symbols.values(), *numbers], expression.xreplace(symbols), "numpy")
        trends.append(np.broadcast_to(function(*arrays, *numbers.values()), shape))
    return np.stack(trends)
