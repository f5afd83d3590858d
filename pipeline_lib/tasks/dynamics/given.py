"""Whether states are such as a model was trained on: what lies on their axes, and how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pipeline_lib.data.trajectories import ages_of, require_step
from pipeline_lib.errors import DataError
from pipeline_lib.learning.model_store import ModelSpec

AXES = "axes"
"""Name, in the content of a model's manifest, of what :func:`axes_of` says of the states of its training."""
_ROUNDING = 1e-6
"""Difference of coordinates that comes from rounding, as a share of their largest."""


def axes_of(states: xr.DataArray) -> list[list[Any]]:
    """Return name and labels of each axis of states (time, ...), in order, as plain values; ``None`` without labels.

    A list, since mappings lose their order in a manifest.
    """
    return [
        [str(dim), states[dim].values.tolist() if dim in states.coords else None]
        for dim in states.dims
        if dim != "time"
    ]


def require_states(ds: xr.Dataset, spec: ModelSpec, content: Mapping[str, Any]) -> None:
    """Refuse states that a model would take for others than they are.

    Parameters
    ----------
    ds
        Holds the inputs of the model (time, ...).
    spec
        Of the model: its inputs have its ``shape`` and are its ``step`` apart, in days.
    content
        Of the model's manifest; of one that does not say what lay on the axes, the labels are not compared.

    Raises
    ------
    DataError
        If an input is missing, has another unit, another shape or another order along an axis, or if states of a
        trajectory are not one time step apart.
    """
    spec.require(ds)
    expected = tuple(spec.sizes["shape"])
    for variable in spec.inputs:
        states = ds[variable.name]
        if states.shape[1:] != expected:
            what = f"states are {states.shape[1:]}, the model was trained on {expected}"
            raise DataError(what, where=variable.name, fix="give states of that simulation, or train a model on these")
        _require_axes(dict(axes_of(states)), dict(content.get(AXES, [])), variable.name)
    require_step(ds["time"].values, ages_of(ds), spec.sizes["step"])


def _require_axes(found: Mapping[str, Any], trained: Mapping[str, Any], where: str) -> None:
    """Refuse axes, or labels along them, in another order; axes that are called otherwise are not known."""
    shared = [name for name in trained if name in found]
    if shared != [name for name in found if name in trained]:
        what = f"axes are {', '.join(found)}, the model was trained on {', '.join(trained)}"
        raise DataError(what, where=where, fix="transpose them")
    for name in shared:
        other = _first_other(found[name], trained[name])
        if other is not None:
            what = f"{name} holds {found[name][other]!r} at place {other}, in training {trained[name][other]!r}"
            raise DataError(what, where=where, fix="bring the states into the order of the training")


def _first_other(labels: Sequence[Any] | None, trained: Sequence[Any] | None) -> int | None:
    """Return the place, from 0, of the first label that is not that of the training; none where either has none."""
    if labels is None or trained is None:
        return None
    one, other = (np.asarray(values) for values in (labels, trained))
    differ = one != other
    if all(np.issubdtype(values.dtype, np.number) for values in (one, other)):
        differ = np.abs(one - other) > _ROUNDING * np.abs(other).max()
    return int(np.argmax(differ)) if np.any(differ) else None
