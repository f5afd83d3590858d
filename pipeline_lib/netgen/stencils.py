"""Central finite differences: the weights, exactly."""

from __future__ import annotations

import sympy as sp

from pipeline_lib.errors import ConfigError

HIGHEST_ORDER = 16
"""Weights of higher orders grow so that round-off eats what they gain."""


def check_order(order: int) -> None:
    """Refuse an order of accuracy that central differences do not have.

    Raises
    ------
    ConfigError
        If it is not an even number from 2 to `HIGHEST_ORDER`.
    """
    if not isinstance(order, int) or order % 2 or not 2 <= order <= HIGHEST_ORDER:
        what = f"order {order} of accuracy is not available"
        raise ConfigError(what, fix=f"central differences have 2, 4, ... {HIGHEST_ORDER}")


def half_width(derivative: int, order: int) -> int:
    """Return how many points a central difference reaches to each side."""
    return (derivative + 1) // 2 - 1 + order // 2


def central_weights(derivative: int, order: int) -> tuple[sp.Rational, ...]:
    """Return the weights of a derivative for unit spacing, by the algorithm of Fornberg (1988, Math. Comput. 51).

    Parameters
    ----------
    derivative
        Order of the derivative, at least 1.
    order
        Order of accuracy, even.

    Returns
    -------
    tuple of sympy.Rational
        ``2 half_width + 1`` weights; those of an odd derivative are antisymmetric.
    """
    reach = half_width(derivative, order)
    points = list(range(-reach, reach + 1))
    return tuple(sp.finite_diff_weights(derivative, points, 0)[derivative][-1])
