"""Stencils: exact where they claim to be, and not beyond."""

from __future__ import annotations

import math

import pytest
import sympy as sp

from pipeline_lib.netgen.stencils import central_weights, half_width
from tests.netgen.reference import weights


def applied(derivative: int, order: int, power: int) -> sp.Rational:
    reach = half_width(derivative, order)
    points = range(-reach, reach + 1)
    return sum(w * sp.Integer(k) ** power for w, k in zip(central_weights(derivative, order), points, strict=True))


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("derivative", [1, 2, 3, 4])
def test_polynomials_are_differentiated_exactly_up_to_the_order_and_not_beyond(derivative, order):
    exact = [math.factorial(derivative) if power == derivative else 0 for power in range(derivative + order)]
    assert [applied(derivative, order, power) for power in range(derivative + order)] == exact
    assert applied(derivative, order, derivative + order) != 0


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("derivative", [1, 2, 3, 5])
def test_weights_are_those_of_the_conditions_on_the_moments(derivative, order):
    assert central_weights(derivative, order) == tuple(weights(derivative, order).values())
