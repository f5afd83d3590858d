"""The fairness gate: competitors are compared on the same dates, cells, mask, truth and units, or not at all.

A run whose values are missing inside the mask is *invalid*: it gets no number, and never a better one. A run that was
scored on another sample than the others stops the comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.canonical import DIMS
from pipeline_lib.errors import ScoreError

COORDINATE_TOLERANCE = 1e-6
"""Degrees, about 0.1 m: what rounding to single precision may change where coordinates are small."""
_DIGEST_DIGITS = 20


class InvalidRunError(ScoreError):
    """A product lacks values inside the mask: its run gets no score."""


@dataclass(frozen=True)
class Sample:
    """What a run was scored on. Two runs are comparable if their samples are equal."""

    times: tuple[str, ...]
    """Dates, ISO format to the minute."""
    axes: Mapping[str, tuple[float, ...]]
    """Values of each dimension but time; of one without numbers, such as the components of a state, their index."""
    cells: tuple[int, ...]
    """Scored cells of each date."""
    masks: tuple[str, ...]
    """Digest of each date's mask."""
    truths: tuple[str, ...]
    """Digest of each date's truth inside the mask."""
    units: Mapping[str, str]
    """Unit of each scored variable."""
    method: Mapping[str, Any]
    """Options that the counts depend on."""

    @classmethod
    def of(cls, truth: xr.DataArray, mask: xr.DataArray, *, method: Mapping[str, Any]) -> Self:
        """Return the sample that a truth and a mask with the same dimensions, time first, stand for."""
        inside = mask.values
        return cls(
            times=tuple(str(np.datetime_as_string(t, unit="m")) for t in truth.time.values),
            axes={str(dim): _axis(truth, str(dim)) for dim in truth.dims[1:]},
            cells=tuple(int(m.sum()) for m in inside),
            masks=tuple(_digest(np.packbits(m)) for m in inside),
            truths=tuple(_digest(v[m]) for v, m in zip(truth.values, inside, strict=True)),
            units={str(truth.name): str(truth.attrs.get("units", "1"))},
            method=dict(method),
        )

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Return the sample of consecutive dates whose parts are given."""
        found = list(parts)
        together: dict[str, Any] = vars(found[0]).copy()
        for name in ("times", "cells", "masks", "truths"):
            together[name] = tuple(value for part in found for value in getattr(part, name))
        return cls(**together)

    def to_plain(self) -> dict[str, Any]:
        """Return the sample as plain values for a manifest."""
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        return plain | {"axes": {name: list(values) for name, values in self.axes.items()}}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the sample that :meth:`to_plain` wrote."""
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in plain.items()}
        return cls(**fields | {"axes": {name: tuple(values) for name, values in plain["axes"].items()}})


def _axis(truth: xr.DataArray, dim: str) -> tuple[float, ...]:
    numbers = dim in truth.coords and np.issubdtype(truth[dim].dtype, np.number)
    return tuple(map(float, truth[dim].values if numbers else range(truth.sizes[dim])))


def _digest(values: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:_DIGEST_DIGITS]


def check_same_sample(samples: Mapping[str, Sample]) -> None:
    """Check that all competitors were scored on the same sample.

    Raises
    ------
    ScoreError
        Naming the competitor and the first date or cell in which it differs.
    """
    every_date = sorted({t for sample in samples.values() for t in sample.times})
    for name, sample in samples.items():
        missing = sorted(set(every_date) - set(sample.times))
        if missing:
            raise ScoreError(
                f"has no score on {_day(missing[0])}, where others have one",
                where=name,
                fix="predict and score the same dates for all models",
            )
    reference_name, reference = next(iter(samples.items()))
    for name, sample in samples.items():
        _check_cells(name, sample, reference_name, reference)
        _check_dates(name, sample, reference_name, reference)
        for what, ours, theirs in (
            ("variables or units", sample.units, reference.units),
            ("scoring options", sample.method, reference.method),
        ):
            if ours != theirs:
                raise ScoreError(
                    f"was scored with other {what} than {reference_name}: {dict(ours)} against {dict(theirs)}",
                    where=name,
                    fix="score all models again with one configuration",
                )


def _check_cells(name: str, sample: Sample, other_name: str, other: Sample) -> None:
    fix = "bring all products to the grid of the labels"
    if sample.axes.keys() != other.axes.keys():
        raise ScoreError(f"has axes {list(sample.axes)}, {other_name} has {list(other.axes)}", where=name, fix=fix)
    for axis in sample.axes:
        ours, theirs = np.array(sample.axes[axis]), np.array(other.axes[axis])
        if ours.size != theirs.size:
            raise ScoreError(f"has {ours.size} {axis}s, {other_name} has {theirs.size}", where=name, fix=fix)
        apart = np.flatnonzero(np.abs(ours - theirs) > COORDINATE_TOLERANCE)
        if apart.size:
            i = apart[0]
            raise ScoreError(
                f"{axis} number {i} is {ours[i]:g}, in {other_name} it is {theirs[i]:g}", where=name, fix=fix
            )


def _check_dates(name: str, sample: Sample, other_name: str, other: Sample) -> None:
    for what, ours, theirs in (
        ("another mask", sample.masks, other.masks),
        ("other labels", sample.truths, other.truths),
    ):
        for i, time in enumerate(sample.times):
            if ours[i] != theirs[i]:
                raise ScoreError(
                    f"was scored with {what} than {other_name} on {_day(time)} "
                    f"({sample.cells[i]} cells against {other.cells[i]})",
                    where=name,
                    fix="score all models again with the same dataset and labels",
                )


def check_aligned(field: xr.DataArray, truth: xr.DataArray, *, where: str, same_unit: bool = True) -> None:
    """Check that a field has the dimensions, dates, cells and (unless told otherwise) the unit of the truth.

    Raises
    ------
    ScoreError
        Naming ``where`` and the first date or cell in which the field differs.
    """
    if field.dims != DIMS:
        raise ScoreError(f"has dimensions {field.dims}, not {DIMS}", where=where)
    have, want = field.time.values, truth.time.values
    missing, extra = np.setdiff1d(want, have), np.setdiff1d(have, want)
    if missing.size or extra.size:
        first, word = (missing[0], "lacks") if missing.size else (extra[0], "holds, unlike the labels,")
        raise ScoreError(f"{word} {first:.10}", where=where, fix="make it for the dates of the labels")
    if not np.array_equal(have, want):
        raise ScoreError("dates are not in order", where=where)
    for axis in ("latitude", "longitude"):
        ours, theirs = field[axis].values, truth[axis].values
        if ours.size != theirs.size:
            raise ScoreError(f"has {ours.size} {axis}s, the labels have {theirs.size}", where=where)
        apart = np.flatnonzero(np.abs(ours - theirs) > COORDINATE_TOLERANCE)
        if apart.size:
            i = apart[0]
            raise ScoreError(f"{axis} number {i} is {ours[i]:g}, in the labels it is {theirs[i]:g}", where=where)
    unit, wanted = field.attrs.get("units", "1"), truth.attrs.get("units", "1")
    if same_unit and unit != wanted:
        raise ScoreError(f"is in {unit!r}, the labels are in {wanted!r}", where=where, fix="convert it")


def check_complete(valid: NDArray[np.bool_], mask: xr.DataArray, *, where: str) -> None:
    """Check that a product has a value wherever the mask asks for one.

    Raises
    ------
    InvalidRunError
        Naming ``where``, the first date and cell without one, and how many there are.
    """
    lacking = mask.values & ~valid
    if not lacking.any():
        return
    t, y, x = (int(i) for i in np.argwhere(lacking)[0])
    place = f"{mask.latitude.values[y]:g}N {mask.longitude.values[x]:g}E"
    raise InvalidRunError(
        f"{int(lacking.sum())} of {int(mask.values.sum())} values inside the mask are missing, "
        f"the first on {mask.time.values[t]:.10} at {place}",
        where=where,
        fix="predict every sea cell",
    )


def _day(time: str) -> str:
    return time.removesuffix("T00:00")
