"""The registry of metrics and what a metric must offer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.registry import Registry

Direction = Literal["higher", "lower", "zero", "none"]
"""Which values are better: high, low, those near zero; ``none`` says that the metric ranks nobody."""

Counts = Mapping[str, NDArray[np.float64]]
"""Counts summed over dates: the first axis of each array is the resample, further axes are the count's own."""


class Metric(Protocol):
    """A number that says how good a run is, as a function of summed counts.

    The docstring's first line is the title in tables and on the reference page. A family of metrics (a name that ends
    in ``*``, see :mod:`pipeline_lib.registry`) has a star in it, and a class method ``member``.
    """

    direction: ClassVar[Direction]
    unit: ClassVar[str]
    bounds: ClassVar[tuple[float, float]]
    """Smallest and largest value that the metric can have; intervals are cut there."""
    has_interval: ClassVar[bool]
    """Whether resampling dates says how sure the value is."""
    sampled_by: ClassVar[str | None]
    """The count of independent pieces behind the value where these are fewer than the dates: runs of many dates, say.
    Of a few pieces an interval holds the spread between seeds alone."""

    @classmethod
    def from_counts(cls, counts: Counts) -> NDArray[np.float64]:
        """Return one value per resample; NaN where the metric is undefined."""
        ...


METRICS: Registry[type[Metric]] = Registry("metric", "METRICS", "pipeline_lib.tasks")


M = TypeVar("M")


def member_at_lead(family: type[M], argument: str) -> type[M]:
    """Return a member of a family of metrics whose attribute ``lead`` is the number that the argument tells.

    Its docstring's first line, the title, has the number in place of the star.

    Raises
    ------
    ConfigError
        If the argument is no whole number from 1 on.
    """
    if re.fullmatch(r"[1-9][0-9]*", argument) is None:
        raise ConfigError(f"{argument!r} is no lead", fix="give a number of time steps, 1 or more")
    return member(family, argument, lead=int(argument))


def member(family: type[M], argument: str, **attributes: object) -> type[M]:
    """Return a subclass with these attributes; its title has the argument in place of the star."""
    title = (family.__doc__ or "").replace("*", argument, 1)
    made: type[M] = type(f"{family.__name__}_{argument}", (family,), {"__doc__": title, **attributes})
    return made


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Return the quotient, NaN (undefined, neither 0 nor 1) where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0))


def badness(values: NDArray[np.float64], direction: Direction) -> NDArray[np.float64]:
    """Return values turned so that smaller is better."""
    match direction:
        case "higher":
            return -values
        case "zero":
            return np.abs(values)
        case _:
            return values
