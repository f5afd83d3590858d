"""What is counted of free runs: how long they follow the truth, whether they stay with it, and at what energy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import xarray as xr
from numpy.typing import NDArray

_LOST = 0.5
"""A run has lost the truth when the error of a state, over all its components, is this share of their spread."""
_BOUND = 3.0
"""A run is off when a component is so many times farther from the mean of the truth than the truth ever is."""

Values = NDArray[np.float64]


Diagnosed = Mapping[str, tuple[Values, Values]]
"""Scalars (time,) of the states of free runs, and of the true ones, by name."""


def count_free_runs(
    free: xr.DataArray, age: xr.DataArray, truth: xr.DataArray, diagnosed: Diagnosed = MappingProxyType({})
) -> dict[str, Values]:
    """Return sums over each complete run, at the time of its start and zero at all others.

    Parameters
    ----------
    free
        Free runs (time, ...), one after the other.
    age
        Time steps since the start of the run (time,).
    truth
        States at the same times.
    diagnosed
        Diagnostics of both.

    Returns
    -------
    dict of arrays (time,)
        ``runs``, one for each; ``steps_valid`` before it loses the truth; ``steps_stable`` before it leaves the numbers
        or the bounds; ``runs_stable``, one if it never does; ``energy`` and ``energy_truth``, half the mean square over
        the components, summed over the second half of a stable run. For each diagnostic ``<name>`` and
        ``<name>_truth``, summed like the energy, and ``<name>_departure``, the largest distance from its value at the
        start, both of stable runs.
    """
    count, ages = len(truth), age.values
    edges = np.flatnonzero(ages == 0)
    steps = int(np.diff(edges).max(initial=0)) or count
    states, found = (np.asarray(a.values, dtype=np.float64).reshape(count, -1) for a in (truth, free))
    spread = np.sqrt(states.var(axis=0).sum())
    centre = states.mean()
    bound = _BOUND * np.abs(states - centre).max()
    names = ["runs", "steps_valid", "steps_stable", "runs_stable", "energy", "energy_truth"]
    names += [f"{name}{what}" for name in diagnosed for what in ("", "_truth", "_departure")]
    out = {name: np.zeros(count) for name in names}
    complete = [s for s in edges if s + steps <= count and ages[s + steps - 1] == steps - 1]  # a period ends some early
    for start in complete:
        window = slice(start, start + steps)
        run, true = found[window], states[window]
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.sqrt(((run - true) ** 2).sum(axis=1))
            lost = ~(error <= _LOST * spread)
            off = ~(np.abs(run - centre) <= bound).all(axis=1)
        within = int(np.argmax(off)) if off.any() else steps
        out["runs"][start] = 1
        out["steps_valid"][start] = np.argmax(lost) if lost.any() else steps
        out["steps_stable"][start] = within
        out["runs_stable"][start] = within == steps
        half = slice(start + steps // 2, start + steps)
        if within == steps:
            out["energy"][start], out["energy_truth"][start] = _energy(found[half]), _energy(states[half])
            for name, (values, right) in diagnosed.items():
                out[f"{name}_departure"][start] = np.abs(values[window] - values[start]).max()
                out[name][start], out[f"{name}_truth"][start] = values[half].sum(), right[half].sum()
    return out


def _energy(states: Values) -> float:
    """Half the mean square over the components of states (time, dimension), summed over time."""
    return float(0.5 * (states**2).mean(axis=1).sum())
