"""What is counted of free runs: how long they follow the truth, whether they stay with it, and at what energy."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

_LOST = 0.5
"""A run has lost the truth when the error of a state, over all its components, is this share of their spread."""
_BOUND = 3.0
"""A run is off when a component is so many times farther from the mean of the truth than the truth ever is."""

Values = NDArray[np.float64]


def count_free_runs(free: xr.DataArray, age: xr.DataArray, truth: xr.DataArray) -> dict[str, Values]:
    """Return sums over each complete run, at the time of its start and zero at all others.

    Parameters
    ----------
    free
        Free runs (time, ...), one after the other.
    age
        Time steps since the start of the run (time,).
    truth
        States at the same times.

    Returns
    -------
    dict of arrays (time,)
        ``runs``, one for each; ``steps_valid`` before it loses the truth; ``runs_stable``, one if it stays finite and
        within bounds; ``energy`` and ``energy_truth``, half the mean square over the components, summed over the
        second half of a stable run.
    """
    count, ages = len(truth), age.values
    edges = np.flatnonzero(ages == 0)
    steps = int(np.diff(edges).max(initial=0)) or count
    states, found = (np.asarray(a.values, dtype=np.float64).reshape(count, -1) for a in (truth, free))
    spread = np.sqrt(states.var(axis=0).sum())
    centre = states.mean()
    bound = _BOUND * np.abs(states - centre).max()
    names = ("runs", "steps_valid", "runs_stable", "energy", "energy_truth")
    out = {name: np.zeros(count) for name in names}
    complete = [s for s in edges if s + steps <= count and ages[s + steps - 1] == steps - 1]  # a period ends some early
    for start in complete:
        run, true = found[start : start + steps], states[start : start + steps]
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.sqrt(((run - true) ** 2).sum(axis=1))
            lost = ~(error <= _LOST * spread)
            stable = bool((np.abs(run - centre) <= bound).all())
        out["runs"][start] = 1
        out["steps_valid"][start] = np.argmax(lost) if lost.any() else steps
        out["runs_stable"][start] = stable
        if stable:
            half = steps // 2
            out["energy"][start] = 0.5 * (run[half:] ** 2).mean(axis=1).sum()
            out["energy_truth"][start] = 0.5 * (true[half:] ** 2).mean(axis=1).sum()
    return out
