"""Metrics of forecast frames.

Counts are summed over the starts of forecasts, a score is made of the sums at each lead, and the metric is the mean of
these over leads (Shi et al. 2017, arXiv:1706.03458), or the score at one lead where its name ends in ``_lead_*``.
Scores of events also come for a part of the cells: ``csi_0.5_initiation`` where there was no event around at the start,
``csi_0.5_growth`` and ``csi_0.5_advection`` where storms were growing or not, ``csi_0.5_continuation`` where there were
any (:mod:`pipeline_lib.skill.regimes`).
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS, Counts, Direction, ratio
from pipeline_lib.skill import balanced, contingency, continuous, neighbourhood
from pipeline_lib.skill.regimes import REGIMES
from pipeline_lib.tasks.lead_metrics import Arguments, LeadMetric
from pipeline_lib.tasks.nowcasting.counted import (
    BALANCED,
    ENTROPY,
    EVENTS,
    FRACTIONS,
    IN_RATES,
    PARTED,
    POWER,
    TEMPERATURE,
    suffix,
)

Values = NDArray[np.float64]
_NUMBER = r"[0-9]+(\.[0-9]+)?"
Part = tuple[str] | tuple[str, float] | tuple[str, float, int] | tuple[str, float, str]


class FrameMetric(LeadMetric):
    """A score at each lead, averaged over leads, of the counts that :mod:`pipeline_lib.skill` names."""

    part: ClassVar[Part] = ("",)
    """What it needs to be counted, and with which arguments."""


@METRICS.register("frame_mse")
@METRICS.register("frame_mse_*")
class FrameMse(FrameMetric):
    """MSE of the frames."""

    score = staticmethod(continuous.mean_squared_error)


@METRICS.register("frame_mae")
@METRICS.register("frame_mae_*")
class FrameMae(FrameMetric):
    """MAE of the frames."""

    score = staticmethod(continuous.mean_absolute_error)


@METRICS.register("rain_mse")
@METRICS.register("rain_mse_*")
class RainMse(FrameMetric):
    """MSE of the rain rate."""

    unit = "mm2 h-2"
    part = (IN_RATES,)

    score = staticmethod(continuous.mean_squared_error)

    @classmethod
    def needed(cls, counts: Counts) -> Counts:
        """Return the counts with the errors of rain rates."""
        return {**counts, "squared_error": counts["rain_squared_error"]}


@METRICS.register("correlation")
@METRICS.register("correlation_*")
class Correlation(FrameMetric):
    """Uncentred correlation.

    High even for biased fields: no mean is taken off (Shi et al. 2015, arXiv:1506.04214).
    """

    direction = "higher"
    bounds = (0.0, 1.0)

    score = staticmethod(continuous.uncentred_correlation)


@METRICS.register("temperature_rmse")
@METRICS.register("temperature_rmse_*")
class TemperatureRmse(FrameMetric):
    """RMSE of the brightness temperature."""

    unit = "K"
    part = (TEMPERATURE,)

    score = staticmethod(continuous.root_mean_squared_error)

    @classmethod
    def needed(cls, counts: Counts) -> Counts:
        """Return the counts with the errors in kelvin."""
        return {**counts, "squared_error": counts["temperature_squared_error"]}


@METRICS.register("pearson")
@METRICS.register("pearson_*")
class Pearson(FrameMetric):
    """Pearson correlation."""

    direction = "higher"
    bounds = (-1.0, 1.0)

    score = staticmethod(continuous.pearson)


@METRICS.register("std_ratio")
@METRICS.register("std_ratio_*")
class StdRatio(FrameMetric):
    """Standard deviation over that of the truth.

    1 for a forecast as varied as the truth; below it for one that smooths, whose errors may be small.
    """

    direction = "none"

    score = staticmethod(continuous.standard_deviation_ratio)


@METRICS.register("sequence_cross_entropy")
class SequenceCrossEntropy(FrameMetric):
    """Cross entropy of a sequence.

    Summed over cells and leads. Its lowest value is not 0: only differences mean something (Shi et al. 2015,
    arXiv:1506.04214).
    """

    part = (ENTROPY,)
    unit = "nat"

    @classmethod
    def by_lead(cls, counts: Counts) -> Values:
        """Return the mean over sequences (resample, lead)."""
        return ratio(counts["cross_entropy"], counts["frames"])

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return the sum over leads."""
        return np.asarray(cls.by_lead(counts).sum(axis=-1))


@METRICS.register("b_mse")
@METRICS.register("b_mse_*")
class BalancedMse(FrameMetric):
    """B-MSE.

    Squared errors weighted by rain rate, summed over the cells of a frame (Shi et al. 2017, arXiv:1706.03458).
    """

    part = (BALANCED,)

    score = staticmethod(balanced.balanced_mse)


@METRICS.register("b_mae")
@METRICS.register("b_mae_*")
class BalancedMae(FrameMetric):
    """B-MAE.

    Absolute errors weighted by rain rate, summed over the cells of a frame (Shi et al. 2017, arXiv:1706.03458).
    """

    part = (BALANCED,)

    score = staticmethod(balanced.balanced_mae)


class EventMetric(FrameMetric):
    """A score of the event "at or above a threshold", in all cells or in those of a regime."""

    direction: ClassVar[Direction] = "higher"
    bounds = (0.0, 1.0)

    @classmethod
    def with_arguments(cls, text: str) -> Arguments:
        """Take the threshold and the regime, if there is one."""
        threshold, parted, regime = text.partition("_")
        if not parted:
            return text, {"part": (EVENTS, threshold_of(text))}
        if regime not in REGIMES:
            raise ConfigError(f"{regime!r} is no regime", fix=f"known: {', '.join(REGIMES)}")
        return f"{threshold}, {regime}", {"part": (PARTED, threshold_of(threshold), regime)}

    @classmethod
    def needed(cls, counts: Counts) -> Counts:
        """Return the counts of the threshold."""
        names = ("hits", "false_alarms", "misses", "correct_negatives")
        return {name: counts[name + suffix(*cls.part[1:])] for name in names}


@METRICS.register("csi_*")
class Csi(EventMetric):
    """CSI at *."""

    score = staticmethod(contingency.csi)


@METRICS.register("pod_*")
class Pod(EventMetric):
    """POD at *."""

    score = staticmethod(contingency.pod)


@METRICS.register("far_*")
class Far(EventMetric):
    """FAR at *.

    Undefined where the event was forecast nowhere, and so is its mean over leads if that is so at one of them: a mean
    over the leads that are left would be of other leads for each competitor.
    """

    direction = "lower"

    score = staticmethod(contingency.far)


@METRICS.register("frequency_bias_*")
class FrequencyBias(EventMetric):
    """Frequency bias at *."""

    direction = "none"
    bounds = (0.0, np.inf)

    score = staticmethod(contingency.frequency_bias)


@METRICS.register("hss_*")
class Hss(EventMetric):
    """HSS at *."""

    bounds = (-1.0, 1.0)

    score = staticmethod(contingency.hss)


@METRICS.register("gss_*")
class Gss(EventMetric):
    """GSS at *."""

    bounds = (-1.0 / 3, 1.0)

    score = staticmethod(contingency.gss)


@METRICS.register("event_accuracy_*")
class EventAccuracy(EventMetric):
    """Accuracy at *."""

    score = staticmethod(contingency.accuracy)


@METRICS.register("event_f1_*")
class EventF1(EventMetric):
    """F1 at *.

    Of masks, POD is what other fields call recall, and 1 - FAR precision; this is their harmonic mean.
    """

    score = staticmethod(contingency.f1)


@METRICS.register("fss_*")
class Fss(FrameMetric):
    """FSS at *.

    Named by threshold and side of the neighbourhood in cells: ``fss_2_9``, ``fss_2_9_lead_6``.
    """

    direction = "higher"
    bounds = (0.0, 1.0)

    @classmethod
    def with_arguments(cls, text: str) -> Arguments:
        """Take threshold and window."""
        threshold, _, window = text.partition("_")
        if not window.isdigit() or int(window) % 2 == 0:
            raise ConfigError(f"{text!r} is no threshold and odd number of cells", fix="name it as in fss_2_9")
        return f"{threshold}, {window} cells", {"part": (FRACTIONS, threshold_of(threshold), int(window))}

    score = staticmethod(neighbourhood.fss)

    @classmethod
    def needed(cls, counts: Counts) -> Counts:
        """Return the counts of threshold and window."""
        end = suffix(*cls.part[1:])
        return {name: counts[name + end] for name in ("fraction_differences", "fraction_squares")}


@METRICS.register("power_left_*")
class PowerLeft(FrameMetric):
    """Power of waves up to * over that of the truth.

    Named by the longest wavelength in cells: ``power_left_8``, ``power_left_8_lead_6``. Below 1 for a forecast that
    blurs, above it for one with noise (:func:`pipeline_lib.skill.spectra.radial_spectrum`).
    """

    direction = "none"
    bounds = (0.0, np.inf)

    @classmethod
    def with_arguments(cls, text: str) -> Arguments:
        """Take the wavelength; none is shorter than two cells."""
        if re.fullmatch(_NUMBER, text) is None or float(text) < 2:
            raise ConfigError(f"{text!r} is no wavelength of two cells or more", fix="name it as in power_left_8")
        return f"{text} cells", {"part": (POWER, float(text))}

    @staticmethod
    def score(counts: Counts) -> Values:
        """Return the share."""
        return ratio(counts["forecast_power"], counts["true_power"])

    @classmethod
    def needed(cls, counts: Counts) -> Counts:
        """Return the power of waves that are no longer."""
        end = suffix(*cls.part[1:])
        return {name: counts[name + end] for name in ("forecast_power", "true_power")}


def threshold_of(text: str) -> float:
    """Return the threshold in the name of a metric.

    Raises
    ------
    ConfigError
        If it is no number.
    """
    if re.fullmatch(_NUMBER, text) is None:
        raise ConfigError(f"{text!r} is no threshold", fix="name it as in csi_0.5 or csi_2_lead_6")
    return float(text)
