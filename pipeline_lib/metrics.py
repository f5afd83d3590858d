"""The registry of metrics and what a metric must offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.registry import Registry

Direction = Literal["higher", "lower", "zero", "none"]
"""Which values are better: high, low, those near zero; ``none`` says that the metric ranks nobody."""

Counts = Mapping[str, NDArray[np.float64]]
"""Counts summed over dates: the first axis of each array is the resample, further axes are the count's own."""


class Metric:
    """A number that says how good a run is, as a function of summed counts; without more said, an error.

    The docstring's first line is the title in tables and on the reference page. A family of metrics (a name that ends
    in ``*``, see :mod:`pipeline_lib.registry`) has a class method ``member``, which makes its members with
    :func:`member`.
    """

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (0.0, np.inf)
    """Smallest and largest value that the metric can have; intervals are cut there."""
    has_interval: ClassVar[bool] = True
    """Whether resampling dates says how sure the value is."""
    sampled_by: ClassVar[str | None] = None
    """The count of independent pieces behind the value where these are fewer than the dates: runs of many dates, say.
    Of a few pieces an interval holds the spread between seeds alone."""

    @classmethod
    def from_counts(cls, counts: Counts) -> NDArray[np.float64]:
        """Return one value per resample; NaN where the metric is undefined."""
        raise NotImplementedError


METRICS: Registry[type[Metric]] = Registry("metric", "METRICS", "pipeline_lib.tasks")


M = TypeVar("M", bound=Metric)


def member(family: type[M], argument: str, *, title: str | None = None, **attributes: object) -> type[M]:
    """Return a subclass with these attributes; without a title, the family's has the argument in place of the star."""
    text = title or first_line(family).replace("*", argument, 1)
    made: type[M] = type(f"{family.__name__}_{argument}", (family,), {"__doc__": text, **attributes})
    return made


def first_line(metric: type[Metric]) -> str:
    """Return the title of a metric, with its full stop."""
    return (metric.__doc__ or "").splitlines()[0]


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
