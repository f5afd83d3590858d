"""The closed table of units that are accepted, with their conversion to SI.

A unit that is not in the table is refused: guessing what a provider meant has cost more than adding a line here.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline_lib.errors import DataError


@dataclass(frozen=True)
class Unit:
    """``value_in_canonical = factor * value + offset``."""

    canonical: str
    factor: float = 1.0
    offset: float = 0.0


_SPELLINGS: dict[Unit, tuple[str, ...]] = {
    Unit("m"): ("m", "metre", "metres", "meter", "meters"),
    Unit("m", 1e-2): ("cm", "centimeter", "centimeters", "centimetre", "centimetres"),
    Unit("m", 1e-3): ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    Unit("m", 1e3): ("km", "kilometer", "kilometers", "kilometre", "kilometres"),
    Unit("m s-1"): ("m s-1", "m/s", "m.s-1", "m s**-1", "m s^-1", "meter second-1", "meters/second"),
    Unit("m s-1", 1e-2): ("cm s-1", "cm/s", "cm.s-1"),
    Unit("m s-2"): ("m s-2", "m/s2", "m s**-2"),
    Unit("K"): ("K", "kelvin", "Kelvin", "degK"),
    Unit("K", 1.0, 273.15): ("degC", "degree_Celsius", "degrees_Celsius", "celsius", "Celsius", "deg_C", "°C", "C"),
    Unit("Pa"): ("Pa", "pascal", "pascals"),
    Unit("Pa", 1e2): ("hPa", "mbar", "millibar", "millibars", "mb"),
    Unit("1"): ("1", "", "dimensionless", "unitless"),
    Unit("1", 1e-2): ("%", "percent"),
    Unit("kg m-3"): ("kg m-3", "kg/m3", "kg m**-3"),
    Unit("kg m-3", 1e-6): ("mg m-3", "mg/m3", "milligram m-3", "mg m^-3"),
    Unit("kg m-2"): ("kg m-2", "kg m**-2", "kg/m2"),
    Unit("kg m-2 s-1"): ("kg m-2 s-1", "kg m**-2 s**-1"),
    Unit("kg m-2 s-1", 1 / 3600): ("mm/h", "mm h-1", "mm hr-1", "mm/hr"),
    Unit("kg m-2 s-1", 1 / 86400): ("mm/day", "mm d-1", "mm day-1"),
    Unit("s"): ("s", "second", "seconds"),
    Unit("s-1"): ("s-1", "1/s", "s**-1"),
    Unit("m2 s-2"): ("m2 s-2", "m**2 s**-2", "m^2/s^2"),
    Unit("W m-2"): ("W m-2", "W/m2", "W m**-2"),
    Unit("dBZ"): ("dBZ", "dbz"),
    Unit("degree"): ("degree", "degrees", "deg"),
}

_TABLE = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}


def parse_unit(text: str, *, where: str = "") -> Unit:
    """Return the unit that ``text`` spells; raise :class:`DataError` if it is not in the table."""
    unit = _TABLE.get(" ".join(text.split()))
    if unit is None:
        raise DataError(f"unknown unit {text!r}", where=where, fix="correct it or add it to pipeline_lib/data/units.py")
    return unit


def same_unit(one: str, other: str) -> bool:
    """Return whether two texts spell the same unit; of units that are not in the table, whether they are equal."""
    return one == other or (one in _TABLE and _TABLE[one] == _TABLE.get(other))


def conversion(delivered: str, wanted: str, *, where: str = "") -> Unit:
    """Return how values in ``delivered`` become values in ``wanted``.

    Returns
    -------
    Unit
        ``wanted_value = factor * delivered_value + offset``.

    Raises
    ------
    DataError
        If either unit is unknown, or they measure different things.
    """
    source, target = parse_unit(delivered, where=where), parse_unit(wanted, where=where)
    if source.canonical != target.canonical:
        raise DataError(
            f"unit {delivered!r} cannot become {wanted!r}",
            where=where,
            fix="convert the values, or correct what is said of them",
        )
    return Unit(wanted, source.factor / target.factor, (source.offset - target.offset) / target.factor)
