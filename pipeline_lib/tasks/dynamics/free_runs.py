"""What is counted of free runs: how long they follow the truth, whether they stay with it, and at what energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.tasks.dynamics.names import FIELD
from pipeline_lib.tasks.dynamics.runs import whole_runs

_LOST = 0.5
"""A run has lost the truth when the error of a state is this share of the spread of the states: both over all
components, and where there are several fields the root mean square of each one's share."""
_BOUND = 3.0
"""A run is off when a component is so many times farther from the mean of its field in the truth than that ever is."""

Values = NDArray[np.float64]


Diagnosed = Mapping[str, tuple[Values, Values]]
"""Scalars (time,) of the states of free runs, and of the true ones, by name."""


def count_free_runs(
    free: xr.DataArray,
    age: xr.DataArray,
    truth: xr.DataArray,
    diagnosed: Diagnosed = MappingProxyType({}),
    *,
    axis: str = FIELD,
) -> dict[str, Values]:
    """Return sums over each complete run, at the time of its start and zero at all others.

    Parameters
    ----------
    free
        Free runs (time, ...), one after the other.
    age
        Time steps since the start of the run (time,); its attribute ``run_steps`` says how many a complete run has.
    truth
        States at the same times.
    diagnosed
        Diagnostics of both.
    axis
        Along it lie fields that differ in kind and size, a velocity and a height say: spread and range are those of
        each. States without it are of one kind.

    Returns
    -------
    dict of arrays (time,)
        ``runs``, one for each; ``steps_valid`` before it loses the truth; ``steps_stable`` before it leaves the numbers
        or the bounds; ``runs_stable``, one if it never does; ``energy`` and ``energy_truth``, half the mean square over
        the components, summed over the second half of a stable run. For each diagnostic ``<name>`` and
        ``<name>_truth``, summed like the energy, and ``<name>_departure``, the largest distance from its value at the
        start, and ``end_error``, the mean square error of the last state, all of stable runs.

    Raises
    ------
    DataError
        If the age has no such attribute.
    """
    count = len(truth)
    states, found = _fields(truth, axis), _fields(free, axis)
    limits = _Limits.of(states)
    names = ["runs", "steps_valid", "steps_stable", "runs_stable", "energy", "energy_truth", "end_error"]
    names += [f"{name}{what}" for name in diagnosed for what in ("", "_truth", "_departure")]
    out = {name: np.zeros(count) for name in names}
    for window in whole_runs(age):
        start, steps = window.start, window.stop - window.start
        run, true = found[window], states[window]
        within = _before(limits.off(run))
        out["runs"][start] = 1
        out["steps_valid"][start] = _before(limits.lost(run, true))
        out["steps_stable"][start] = within
        out["runs_stable"][start] = within == steps
        half = slice(start + steps // 2, start + steps)
        if within == steps:
            out["energy"][start], out["energy_truth"][start] = _energy(found[half]), _energy(states[half])
            out["end_error"][start] = np.mean((run[-1] - true[-1]) ** 2)
            for name, (values, right) in diagnosed.items():
                out[f"{name}_departure"][start] = np.abs(values[window] - values[start]).max()
                out[name][start], out[f"{name}_truth"][start] = values[half].sum(), right[half].sum()
    return out


def _fields(states: xr.DataArray, axis: str) -> Values:
    """States as (time, field, point)."""
    fields = states.sizes.get(axis, 1)
    if axis in states.dims:
        states = states.transpose("time", axis, ...)
    return np.asarray(states.values, dtype=np.float64).reshape(len(states), fields, -1)


@dataclass(frozen=True)
class _Limits:
    """What a run must keep to, by field of the truth: a small one is as easily lost as a large one.

    Attributes
    ----------
    weight
        (field,), one over the sum of the variances of its points and over the number of fields that change; 0 for one
        that does not, which tells nothing of whether a run follows.
    centre, bound
        (field, 1): the mean, and how far a run may go from it; where a field has no range, that of the widest.
    """

    weight: Values
    centre: Values
    bound: Values

    @classmethod
    def of(cls, truth: Values) -> _Limits:
        """Return those of states (time, field, point)."""
        spread = truth.var(axis=0).sum(axis=1)
        weight = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0) / max(np.count_nonzero(spread), 1)
        centre = truth.mean(axis=(0, 2))[:, None]
        reach = np.abs(truth - centre).max(axis=(0, 2))[:, None]
        return cls(weight, centre, _BOUND * np.where(reach > 0, reach, reach.max()))

    def lost(self, run: Values, truth: Values) -> NDArray[np.bool_]:
        """Return whether states (time, field, point) of a run have lost the true ones, (time,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            error = ((run - truth) ** 2).sum(axis=2) @ self.weight
            return np.asarray(~(error <= _LOST**2))

    def off(self, run: Values) -> NDArray[np.bool_]:
        """Return whether they are off, or no numbers, (time,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(~(np.abs(run - self.centre) <= self.bound).all(axis=(1, 2)))


def _before(event: NDArray[np.bool_]) -> int:
    """Steps before something happens (time,), all if it never does."""
    return int(np.argmax(event)) if event.any() else len(event)


def _energy(states: Values) -> float:
    """Half the mean square over the components of states (time, field, point), summed over time."""
    return float(0.5 * (states**2).mean(axis=(1, 2)).sum())
