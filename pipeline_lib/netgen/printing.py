"""Expressions as text: as Python on tensors, and as the equations of a docstring."""

# SymPy finds the methods of a printer by the names of its own classes.
# ruff: noqa: N802, N815

from __future__ import annotations

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

_LONGEST = 96
"""Characters of an expression that stands on one line."""


class _TensorPrinter(StrPrinter):  # type: ignore[misc]  # SymPy has no types
    """Numbers at full precision; functions from torch."""

    def _print_Float(self, expr: sp.Float) -> str:
        return repr(float(expr))

    def _print_NumberSymbol(self, expr: sp.NumberSymbol) -> str:
        return repr(float(expr))

    _print_Exp1 = _print_Pi = _print_NumberSymbol

    def _print_Function(self, expr: sp.Function) -> str:
        if not expr.free_symbols:
            return self._number(expr)
        return f"torch.{expr.func.__name__.lower()}({self._print(expr.args[0])})"

    _print_Abs = _print_Function

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        if not expr.free_symbols:
            return self._number(expr)
        if expr.exp == sp.Rational(1, 2):
            return f"torch.sqrt({self._print(expr.base)})"
        if expr.exp == -sp.Rational(1, 2):
            return f"torch.rsqrt({self._print(expr.base)})"
        base, exponent = self.parenthesize(expr.base, PRECEDENCE["Pow"]), expr.exp
        if expr.exp == -1:
            return f"1/{base}"
        return f"{base}**{exponent if exponent.is_Integer and exponent > 0 else f'({self._print(exponent)})'}"

    def _number(self, expr: sp.Expr) -> str:
        return f"({float(expr)!r})"


class _EquationPrinter(StrPrinter):  # type: ignore[misc]
    """Functions without their coordinates, derivatives as indices."""

    def __init__(self, functions: frozenset[AppliedUndef]) -> None:
        super().__init__()
        self._functions = functions

    def _print_Function(self, expr: sp.Function) -> str:
        return str(expr.func.__name__ if expr in self._functions else super()._print_Function(expr))

    def _print_Derivative(self, expr: sp.Derivative) -> str:
        index = "".join(str(variable) for variable in expr.variables)
        inner = self._print(expr.expr)
        return f"{inner}_{index}" if expr.expr in self._functions else f"({inner})_{index}"


def tensor_code(expression: sp.Expr) -> str:
    """Return an expression as Python; a long sum has one term on each line, within parentheses."""
    terms = _terms(expression, _TensorPrinter())
    return terms[0] if len(terms) == 1 else "\n".join(["(", *(f"    {term}" for term in terms), ")"])


def equation_text(equation: sp.Eq, functions: frozenset[AppliedUndef]) -> str:
    """Return an equation as people write it; ``functions`` are printed without their arguments."""
    printer = _EquationPrinter(functions)
    return f"{printer.doprint(equation.lhs)} = " + "\n    ".join(_terms(equation.rhs, printer))


def _terms(expression: sp.Expr, printer: StrPrinter) -> list[str]:
    """Return an expression whole, or term by term with their signs if it is a long sum."""
    line = str(printer.doprint(expression))
    if len(line) <= _LONGEST or not isinstance(expression, sp.Add):
        return [line]
    first, *others = (str(printer.doprint(term)) for term in expression.as_ordered_terms())
    return [first, *(f"- {term[1:]}" if term.startswith("-") else f"+ {term}" for term in others)]
