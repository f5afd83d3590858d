"""The first states of the test with their observations and analyses: what figures of examples are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.report.context import ReportContext
from pipeline_lib.tasks.assimilation.names import ANALYSIS, POSITION, SPREAD, USED

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Analysis:
    """States that a competitor's first seed found.

    Attributes
    ----------
    title, colour, dash
        Of the competitor.
    mean, spread
        (time, component) in the unit of the states; ``spread`` is the standard deviation over the members, ``None``
        without an ensemble.
    position
        Time steps since the start of the window (time,).
    """

    title: str
    colour: str
    mean: Values
    spread: Values | None
    position: NDArray[np.int64]
    dash: str = "-"


@dataclass(frozen=True)
class Stretch:
    """The first states of the test, best analysis first.

    Attributes
    ----------
    truth
        (time, component).
    observation
        Of the same shape, NaN where there was none to use.
    unit
        Of all of them.
    analyses
        At least one.
    """

    truth: Values
    observation: Values
    unit: str
    analyses: list[Analysis]

    @property
    def times_observed(self) -> NDArray[np.int64]:
        """Time steps at which anything was observed."""
        return np.flatnonzero(np.isfinite(self.observation).any(axis=1))


def first_stretch(context: ReportContext, *, times: int, shown: int) -> Stretch | None:
    """Return the first ``times`` states of the test and the analyses of the ``shown`` best; ``None`` without any.

    All competitors that are compared had the same observations to use, so that those of the first are those of all.
    """
    if context.dataset is None:
        return None
    drawn = [c for c in context.valid if c.runs and c.runs[0].products][:shown]
    window = slice(0, times)
    found: list[Analysis] = []
    used = np.empty(0)
    for competitor in drawn:
        product = context.product(competitor.runs[0])
        if product is None:
            continue
        part = product.isel(time=window)
        used = part[USED].values if not found else used
        spread = _values(part[SPREAD]) if SPREAD in part else None
        position = part[POSITION].values.astype(np.int64)
        found.append(
            Analysis(competitor.title, competitor.colour, _values(part[ANALYSIS]), spread, position, competitor.dash)
        )
    if not found:
        return None
    truth, observation = (context.dataset[variable].isel(time=window) for variable in context.spec.inputs)
    seen = np.where(used > 0, _values(observation), np.nan)
    return Stretch(_values(truth), seen, str(truth.attrs.get("units", "1")), found)


def _values(states: xr.DataArray) -> Values:
    return np.asarray(states.values, dtype=np.float64)
