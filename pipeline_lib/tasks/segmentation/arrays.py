"""The arrays a segmentation network is trained on, and how inputs are normalised."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.errors import DataError
from pipeline_lib.tasks.segmentation.classes import CLASSES

DIMS = ("time", "latitude", "longitude")

MIRROR_SIGNS = {
    "adt": (1.0, 1.0),
    "adt_high_pass": (1.0, 1.0),
    "sla": (1.0, 1.0),
    # Geostrophic velocity is f^-1 k x grad(h); f keeps its sign in the mirror, so u = -g/f dh/dy turns over with the
    # north-south axis and v = g/f dh/dx with the east-west axis.
    "ugos": (-1.0, 1.0),
    "vgos": (1.0, -1.0),
}
"""Sign of each variable in a north-south and in an east-west mirror image."""

ZERO_MEAN = frozenset({"ugos", "vgos"})
"""Variables that are only scaled, so that changing their sign keeps its meaning after normalisation."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and scale of each input variable, in the variable's own units.

    Attributes
    ----------
    variables
        Canonical names, in the order of the channels.
    mean, scale
        One number per variable.
    """

    variables: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def identity(cls, variables: Sequence[str]) -> Self:
        """Return the normalisation that changes nothing."""
        return cls(tuple(variables), (0.0,) * len(variables), (1.0,) * len(variables))

    @classmethod
    def from_statistics(cls, statistics: Mapping[str, Mapping[str, Any]], variables: Sequence[str]) -> Self:
        """Return the normalisation by ``{variable: {mean, std}}``; :data:`ZERO_MEAN` variables keep their zero.

        Raises
        ------
        DataError
            If there are no statistics of a variable.
        """
        missing = [name for name in variables if name not in statistics]
        if missing:
            raise DataError(f"no statistics of {missing[0]!r}", where="statistics", fix="run the statistics again")
        # About zero, the second moment takes the place of the variance.
        mean = [0.0 if n in ZERO_MEAN else float(statistics[n]["mean"]) for n in variables]
        scale = [
            float(np.hypot(statistics[n]["std"], statistics[n]["mean"] - m))
            for n, m in zip(variables, mean, strict=True)
        ]
        return cls(tuple(variables), tuple(mean), tuple(scale))

    def apply(self, ds: xr.Dataset) -> NDArray[np.float32]:
        """Return float32 (time, channel, latitude, longitude), normalised, 0 where any value is missing."""
        shape = _values(ds, self.variables[0]).shape
        out = np.empty((shape[0], len(self.variables), *shape[1:]), np.float32)
        for channel, (name, mean, scale) in enumerate(zip(self.variables, self.mean, self.scale, strict=True)):
            out[:, channel] = (_values(ds, name) - np.float32(mean)) / np.float32(scale)
        np.copyto(out, 0.0, where=np.isnan(out).any(axis=1, keepdims=True))
        return out


def sea_mask(ds: xr.Dataset, variables: Sequence[str]) -> NDArray[np.bool_]:
    """Return bool (time, latitude, longitude): whether all input variables have a value."""
    masks = [~np.isnan(_values(ds, name)) for name in variables]
    return np.asarray(np.logical_and.reduce(masks))


@dataclass(frozen=True)
class TrainingArrays:
    """Maps with their classes, in memory.

    Attributes
    ----------
    inputs
        float32 (time, channel, latitude, longitude), normalised, 0 on land.
    classes
        int8 (time, latitude, longitude), class codes from 0.
    sea
        bool (time, latitude, longitude) or (latitude, longitude): cells with data.
    times
        datetime64 (time,).
    variables
        Canonical names of the channels.
    periodic
        Whether the last longitude is the neighbour of the first.
    """

    inputs: NDArray[np.float32]
    classes: NDArray[np.int8]
    sea: NDArray[np.bool_]
    times: NDArray[np.datetime64]
    variables: tuple[str, ...]
    periodic: bool = False

    def __post_init__(self) -> None:
        t, c, h, w = self.inputs.shape
        wrong = [
            what
            for what, good in (
                ("no maps", t > 0),
                (f"{c} channels for {len(self.variables)} variables", c == len(self.variables)),
                (f"classes of shape {self.classes.shape}", self.classes.shape == (t, h, w)),
                (f"a sea mask of shape {self.sea.shape}", self.sea.shape in {(t, h, w), (h, w)}),
                (f"{len(self.times)} dates", len(self.times) == t),
                ("class codes below 0", self.classes.min(initial=0) >= 0),
            )
            if not good
        ]
        if wrong:
            raise DataError(f"{wrong[0]} with inputs of shape {self.inputs.shape}", where="training arrays")
        if self.sea.ndim == 2:
            object.__setattr__(self, "sea", np.broadcast_to(self.sea, (t, h, w)))

    @classmethod
    def from_dataset(
        cls, ds: xr.Dataset, classes: xr.DataArray, normalisation: Normalisation, *, periodic: bool = False
    ) -> Self:
        """Return the arrays of a dataset in canonical form and of its class map on the same grid and dates.

        Raises
        ------
        DataError
            If dates or grid of the two differ, or a variable is missing.
        """
        for name in DIMS:
            if not np.array_equal(ds[name].values, classes[name].values):
                raise DataError(f"{name} differs between dataset and labels", where=name, fix="make the labels again")
        return cls(
            inputs=normalisation.apply(ds),
            classes=classes.transpose(*DIMS).values.astype(np.int8),
            sea=sea_mask(ds, normalisation.variables),
            times=ds["time"].values,
            variables=normalisation.variables,
            periodic=periodic,
        )

    @property
    def identity(self) -> str:
        """SHA-256 over all values: what a checkpoint remembers of its data."""
        digest = hashlib.sha256(repr((self.inputs.shape, self.variables, self.periodic)).encode())
        for array in (self.inputs, self.classes, self.sea, self.times):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def class_weights(self) -> tuple[float, ...]:
        """Return inverse frequencies of the classes over sea cells, scaled to sum 1; absent classes get 0."""
        counts = np.bincount(self.classes[self.sea], minlength=len(CLASSES)).astype(np.float64)
        inverse = np.divide(1.0, counts, out=np.zeros_like(counts), where=counts > 0)
        return tuple(float(w) for w in inverse / inverse.sum())


def _values(ds: xr.Dataset, name: str) -> NDArray[np.float32]:
    if name not in ds:
        raise DataError(f"no variable {name!r}", where="dataset", fix=f"it holds {', '.join(map(str, ds.data_vars))}")
    return ds[name].transpose(*DIMS).values.astype(np.float32, copy=False)
