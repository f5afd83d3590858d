"""Which terms a right-hand side may hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import sympy as sp
from sympy.core.function import AppliedUndef

from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.netgen.names import ELEMENTARY

if TYPE_CHECKING:
    from pipeline_lib.netgen.system import System

_LONGEST = 80
"""Characters of a term in a message."""


def shown(term: sp.Basic) -> str:
    """Return a term as one line of a message."""
    text = " ".join(str(term).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


class Known:
    """What the terms of a system may refer to.

    Parameters
    ----------
    system
        The system.
    """

    def __init__(self, system: System) -> None:
        self.time, self.axes = system.time, set(system.axes)
        self.numbers = {system.time, *system.constants, *system.trainable}
        self.fields = {function.func.__name__: function for function in (*system.fields, *system.exogenous)}
        self.closures = set(system.closures)
        self.words = sorted({s.name for s in self.numbers} | set(self.fields) | {c.__name__ for c in self.closures})


def check_term(term: sp.Basic, known: Known, *, where: str) -> None:
    """Refuse a term that cannot be translated.

    Raises
    ------
    ConfigError
        Naming the innermost term that is wrong.
    """
    if isinstance(term, sp.Expr) and term.is_number:
        if not _is_real(term):
            raise ConfigError(f"{shown(term)} is not a finite real number", where=where)
    elif isinstance(term, sp.Symbol):
        _check_symbol(term, known, where)
    elif isinstance(term, AppliedUndef):
        _check_function(term, known, where)
    elif isinstance(term, sp.Derivative):
        _check_derivative(term, known, where)
    elif isinstance(term, sp.Pow) and not isinstance(term.exp, sp.Rational | sp.Float):
        raise ConfigError(
            f"the exponent of {shown(term)} is not a number", where=where, fix="write exp(... * log(...))"
        )
    elif isinstance(term, sp.Add | sp.Mul | sp.Pow) or term.func.__name__ in ELEMENTARY:
        for argument in term.args:
            check_term(argument, known, where=where)
    else:
        kind = type(term).__name__
        fix = f"use sums, products, powers, derivatives and {', '.join(ELEMENTARY)}"
        raise ConfigError(f"{kind} in {shown(term)} is not supported", where=where, fix=fix)


def _is_real(number: sp.Expr) -> bool:
    try:
        return math.isfinite(float(number))
    except (TypeError, OverflowError):
        return False


def _check_symbol(symbol: sp.Symbol, known: Known, where: str) -> None:
    if symbol in known.axes:
        fix = "declare a field that is given (exogenous) in its place"
        raise ConfigError(f"the coordinate {symbol} stands by itself", where=where, fix=fix)
    if symbol not in known.numbers:
        raise ConfigError(f"the symbol {symbol} is not declared", where=where, fix=closest(symbol.name, known.words))


def _check_function(term: AppliedUndef, known: Known, where: str) -> None:
    name = term.func.__name__
    if term.func in known.closures:
        for argument in term.args:
            if not argument.atoms(AppliedUndef):
                raise ConfigError(f"{shown(argument)} in {shown(term)} holds no field", where=where)
            check_term(argument, known, where=where)
    elif name not in known.fields:
        what = f"{shown(term)} has no equation and is neither exogenous nor a closure"
        raise ConfigError(what, where=where, fix=f"write its equation or declare it; {closest(name, known.words)}")
    elif term != known.fields[name]:
        what = f"{shown(term)} has other arguments than {shown(known.fields[name])}"
        raise ConfigError(what, where=where, fix="fields are taken at the coordinates themselves")


def _check_derivative(term: sp.Derivative, known: Known, where: str) -> None:
    for variable in term.variables:
        if variable == known.time:
            what = f"{shown(term)} is a time derivative on the right-hand side"
            raise ConfigError(what, where=where, fix="put what it is equal to in its place")
        if variable not in known.axes:
            raise ConfigError(f"{shown(term)} is not a derivative by a coordinate", where=where)
    check_term(term.expr, known, where=where)
