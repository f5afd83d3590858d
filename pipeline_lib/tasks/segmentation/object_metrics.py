"""Metrics of eddies as objects: how many are found, and how far off place and size are.

Counts of all dates and of both polarities are pooled; errors are means over matched pairs.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.metrics import METRICS, Counts, Direction, ratio

Values = NDArray[np.float64]

_M_PER_KM = 1000.0


class _Share:
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    has_interval: ClassVar[bool] = True
    sampled_by: ClassVar[str | None] = None


class _MatchMean:
    """The mean of a distance over matched pairs, in km."""

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "km"
    bounds: ClassVar[tuple[float, float]] = (0.0, np.inf)
    has_interval: ClassVar[bool] = True
    sampled_by: ClassVar[str | None] = None
    total: ClassVar[str]

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample; undefined without a match."""
        return ratio(counts[cls.total].sum(axis=-1) / _M_PER_KM, counts["objects_matched"].sum(axis=-1))


@METRICS.register("object_precision")
class ObjectPrecision(_Share):
    """Share of predicted eddies that are real."""

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample; undefined where nothing was predicted."""
        return ratio(counts["objects_matched"].sum(axis=-1), counts["objects_predicted"].sum(axis=-1))


@METRICS.register("object_recall")
class ObjectRecall(_Share):
    """Share of real eddies that are found."""

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample; undefined where there was no eddy."""
        return ratio(counts["objects_matched"].sum(axis=-1), counts["objects_true"].sum(axis=-1))


def _f1(counts: Counts) -> Values:
    return ratio(2 * counts["objects_matched"], counts["objects_predicted"] + counts["objects_true"])


@METRICS.register("object_f1")
class ObjectF1(_Share):
    """F1 of eddies."""

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample; undefined where there was no eddy and none was predicted."""
        return _f1({name: values.sum(axis=-1) for name, values in counts.items() if name.startswith("objects_")})


@METRICS.register("object_f1_anticyclonic")
class ObjectF1Anticyclonic(_Share):
    """F1 of anticyclonic eddies."""

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample; undefined where there was no eddy and none was predicted."""
        return _f1(counts)[..., 0]


@METRICS.register("object_f1_cyclonic")
class ObjectF1Cyclonic(_Share):
    """F1 of cyclonic eddies."""

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample; undefined where there was no eddy and none was predicted."""
        return _f1(counts)[..., 1]


@METRICS.register("centre_error_km")
class CentreError(_MatchMean):
    """Distance between centres of matched eddies."""

    total = "centre_error_m"


@METRICS.register("radius_error_km")
class RadiusError(_MatchMean):
    """Absolute radius error of matched eddies."""

    total = "radius_error_m"


@METRICS.register("radius_bias_km")
class RadiusBias(_MatchMean):
    """Radius error of matched eddies, predicted less true."""

    direction = "zero"
    bounds = (-np.inf, np.inf)
    total = "radius_difference_m"
