"""Expressions as text, read without ever running them: only what is listed here means something."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping

import sympy as sp

from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.netgen.names import ELEMENTARY
from pipeline_lib.netgen.terms import shown

LONGEST_TEXT = 4000
"""Characters of one expression."""
LARGEST_NUMBER = 10**15
"""Numbers, and numerators and denominators of fractions, in an expression."""
LARGEST_FLOAT = 1e100
LARGEST_EXPONENT = 16
LARGEST_ARGUMENT = 100
"""Of exp and the like, where it is a number."""
HIGHEST_DERIVATIVE = 8
MOST_OPERATIONS = 5000
"""How long an expression may become when derivatives are expanded."""

_OPERATORS: dict[type[ast.operator], Callable[[sp.Expr, sp.Expr], sp.Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
_FUNCTIONS: dict[str, Callable[[sp.Expr], sp.Expr]] = {name: getattr(sp, name) for name in ELEMENTARY}


def parse_expression(text: str, names: Mapping[str, sp.Expr | type[sp.Expr]], *, where: str) -> sp.Expr:
    """Read an expression in the notation of Python and SymPy.

    Numbers, declared names, ``pi``, ``+ - * / **``, parentheses, the functions of `names.ELEMENTARY`, and derivatives:
    ``Derivative(u, x)``, ``Derivative(u, x, 2)``, ``Derivative(u, x, y)`` as they stand, ``diff(...)`` expanded by the
    rules of calculus.

    Parameters
    ----------
    text
        The expression.
    names
        What names stand for: expressions, and unknown functions to be called.
    where
        Place for messages.

    Raises
    ------
    ConfigError
        If the text holds anything else, or numbers and powers that are too large; it names the term.
    """
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"an expression of {len(text)} characters", where=where, fix=f"use at most {LONGEST_TEXT}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return _Reader(names, where).read(tree.body)
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{_short(text)!r} is not an expression: {error}", where=where) from error
    except (RecursionError, MemoryError) as error:
        raise ConfigError(f"{_short(text)!r} is nested too deeply", where=where) from error


class _Reader:
    def __init__(self, names: Mapping[str, sp.Expr | type[sp.Expr]], where: str) -> None:
        self.names, self.where = names, where

    def read(self, node: ast.expr) -> sp.Expr:
        value = self.value(node)
        for number in (part for part in value.args or (value,) if isinstance(part, sp.Number)):
            fraction = isinstance(number, sp.Rational)
            if abs(number.p) > LARGEST_NUMBER or number.q > LARGEST_NUMBER if fraction else abs(number) > LARGEST_FLOAT:
                raise self.refused(node, "has a number that is too large")
        if value.has(sp.nan, sp.zoo, sp.oo, sp.I):
            raise self.refused(node, "is not a finite real number")
        return value

    def value(self, node: ast.expr) -> sp.Expr:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return self.number(node, number)
            case ast.Name(id=name):
                return self.named(node, name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.read(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.read(operand)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return self.power(node, self.read(left), self.read(right))
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                return _OPERATORS[type(operator)](self.read(left), self.read(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.call(node, name, arguments)
        raise self.refused(node, "is not supported")

    def number(self, node: ast.expr, number: float) -> sp.Expr:
        if math.isinf(number):
            raise self.refused(node, "has a number that is too large")
        return sp.Integer(number) if isinstance(number, int) else sp.Float(number)

    def named(self, node: ast.expr, name: str) -> sp.Expr:
        if name == "pi":
            return sp.pi
        known = self.names.get(name)
        if known is None:
            words = closest(name, {*self.names, *_FUNCTIONS})
            raise ConfigError(f"the symbol {name} is not declared", where=self.where, fix=words)
        if not isinstance(known, sp.Basic):
            raise self.refused(node, "is a function", "call it with fields")
        return known

    def power(self, node: ast.expr, base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        if not exponent.is_number:
            raise self.refused(node, "has an exponent that is not a number", "write exp(... * log(...))")
        if abs(exponent) > LARGEST_EXPONENT:
            raise self.refused(node, "has an exponent that is too large", f"use at most {LARGEST_EXPONENT}")
        return base ** (exponent if isinstance(exponent, sp.Rational) else sp.Float(exponent))

    def call(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> sp.Expr:
        if name in ("Derivative", "diff"):
            return self.derivative(node, name, arguments)
        function = _FUNCTIONS.get(name)
        if function is not None:
            if len(arguments) != 1:
                raise self.refused(node, f"has {len(arguments)} arguments", f"{name} takes one")
            argument = self.read(arguments[0])
            if argument.is_number and abs(argument) > LARGEST_ARGUMENT:
                raise self.refused(node, "has an argument that is too large")
            return function(argument)
        known = self.names.get(name)
        if known is None or isinstance(known, sp.Basic):
            fix = "fields are written without arguments" if known is not None else closest(name, self.functions())
            raise self.refused(node, f"calls {name}, which is no function", fix)
        if not arguments:
            raise self.refused(node, "has no argument", "call it with fields")
        return known(*(self.read(argument) for argument in arguments))

    def functions(self) -> set[str]:
        unknown = {name for name, value in self.names.items() if not isinstance(value, sp.Basic)}
        return {*unknown, *_FUNCTIONS, "Derivative", "diff"}

    def derivative(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> sp.Expr:
        if len(arguments) < 2:
            raise self.refused(node, "names no coordinate", f"write {name}(u, x)")
        expression, variables = self.read(arguments[0]), list[sp.Symbol]()
        for argument in arguments[1:]:
            by = self.read(argument)
            if isinstance(by, sp.Symbol):
                variables.append(by)
            elif isinstance(by, sp.Integer) and 1 <= by <= HIGHEST_DERIVATIVE and variables:
                variables += [variables[-1]] * (int(by) - 1)
            else:
                raise self.refused(argument, "is neither a coordinate nor the order of a derivative")
        if len(variables) > HIGHEST_DERIVATIVE:
            raise self.refused(node, f"is of order {len(variables)}", f"orders up to {HIGHEST_DERIVATIVE} are read")
        if name == "Derivative":
            return sp.Derivative(expression, *variables)
        for variable in variables:
            expression = sp.diff(expression.doit(), variable)
            if sp.count_ops(expression) > MOST_OPERATIONS:
                raise self.refused(node, "becomes too long", "write Derivative in place of diff")
            if expression.has(sp.re, sp.im, sp.sign):
                raise self.refused(node, "has a jump where Abs has its kink", "write Derivative in place of diff")
        return expression

    def refused(self, node: ast.expr, what: str, fix: str = "") -> ConfigError:
        return ConfigError(f"{_short(ast.unparse(node))} {what}", where=self.where, fix=fix)


def _short(text: str) -> str:
    return shown(sp.Symbol(text))
