"""How often a grid can be halved; importing this loads no network."""

from __future__ import annotations

from pipeline_lib.errors import ConfigError

FEWEST_CELLS = 2
"""Rows and columns that the coarsest grid has at least."""


def deepest_level(height: int, width: int) -> int:
    """Return how often a grid can be halved while it keeps two rows and two columns; -1 if it has fewer."""
    level, smallest = -1, min(height, width)
    while smallest >= FEWEST_CELLS:
        level, smallest = level + 1, smallest // 2 + smallest % 2
    return level


def check_depth(depth: int, height: int, width: int, *, where: str) -> None:
    """Refuse to halve a grid too often.

    Parameters
    ----------
    depth
        How often it is to be halved.
    height, width
        Its size.
    where
        Option that says so.

    Raises
    ------
    ConfigError
        If fewer than two rows or columns would be left.
    """
    deepest = deepest_level(height, width)
    if depth > deepest:
        raise ConfigError(
            f"frames of {height} x {width} cells cannot be halved {depth} times",
            where=where,
            fix=f"choose at most {deepest}, or larger frames",
        )
