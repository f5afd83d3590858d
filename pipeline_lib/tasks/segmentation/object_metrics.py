"""Metrics of eddies as objects: how many are found, and how far off place and size are.

Counts of all dates and of both polarities are pooled; errors are means over matched pairs.
"""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.metrics import METRICS, Counts, Metric, member, ratio
from pipeline_lib.tasks.segmentation.classes import CLASSES

Values = NDArray[np.float64]

_M_PER_KM = 1000.0


class _Share(Metric):
    direction = "higher"
    bounds = (0.0, 1.0)


class _MatchMean(Metric):
    """The mean of a distance over matched pairs, in km."""

    unit = "km"
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


@METRICS.register("object_f1")
@METRICS.register("object_f1_*")
class ObjectF1(_Share):
    """F1 of eddies."""

    polarity: ClassVar[int | None] = None
    """The place of the only polarity that it looks at, if there is one."""

    @classmethod
    def member(cls, argument: str) -> type[Self]:
        """Return the F1 of the eddies of one polarity.

        Raises
        ------
        ConfigError
            If there is no such polarity.
        """
        polarities = CLASSES[1:]
        if argument not in polarities:
            raise ConfigError(f"{argument!r} is no polarity", fix=closest(argument, polarities))
        return member(cls, argument, title=f"F1 of {argument} eddies.", polarity=polarities.index(argument))

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample; undefined where there was no eddy and none was predicted."""
        names = ("objects_matched", "objects_predicted", "objects_true")
        wanted = slice(None) if cls.polarity is None else slice(cls.polarity, cls.polarity + 1)
        matched, predicted, true = (counts[name][..., wanted].sum(axis=-1) for name in names)
        return ratio(2 * matched, predicted + true)


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
