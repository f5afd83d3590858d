"""Numbers as people read them. The table's own digits stay beside them in the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_DECIMALS = {"1": 3, "km": 2, "%": 2}
"""Decimals shown, by unit."""
_DIGITS = 3
"""Significant digits of numbers of which so many decimals would leave one digit or none."""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PRINTED_DIGITS = 6
"""Significant digits that the leaderboard keeps of published numbers."""
LEARNED = ".4g"
"""Format of learned numbers."""
UNDEFINED = "–"
"""What stands for a number that does not exist."""


def show(value: float, unit: str = "1") -> str:
    """Return a number rounded for reading, with a true minus sign; a dash for NaN."""
    value = float(value)  # numpy rounds 0.9945 down where Python, and the table's own digits, go up
    if math.isnan(value):
        return UNDEFINED
    decimals = _DECIMALS.get(unit)
    if decimals is None:
        text = f"{value:.4g}"
    elif 0 < abs(value) < 10.0 ** (1 - decimals):
        text = f"{value:.{_DIGITS}g}"
    else:
        text = f"{round(value, decimals) + 0.0:.{decimals}f}"  # adding 0 after rounding turns -0 into 0
    return _with_power(text)


def as_printed(value: float) -> str:
    """Return a published number with all the digits that it was written down with."""
    return _with_power(f"{float(value):.{_PRINTED_DIGITS}g}")


def _with_power(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    power = f" × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}" if exponent else ""
    return mantissa.replace("-", "−") + power


def over_seeds(values: Sequence[float]) -> str:
    """Return the mean of a learned number over seeds, and the lowest and the highest where they are seen to differ."""
    mean, low, high = (f"{v:{LEARNED}}" for v in (sum(values) / len(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"


def with_unit(unit: str) -> str:
    """Return a unit in the form of an axis label's end; nothing for pure numbers."""
    return "" if unit in {"1", ""} else f" ({unit})"


def quantity(attrs: Mapping[Any, object], name: str) -> str:
    """Return what a variable is and its unit, as the label of an axis, from its attributes or else its name."""
    words = str(attrs.get("long_name", name.replace("_", " ")))
    return f"{words[:1].upper()}{words[1:]}{with_unit(str(attrs.get('units', '1')))}"


def listed(items: list[str]) -> str:
    """Join words as a sentence does: ``a``, ``a and b``, ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def in_text(title: str) -> str:
    """Return a title as it stands within a sentence: ``Mean Dice`` becomes ``mean Dice``, ``F1`` stays."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title
