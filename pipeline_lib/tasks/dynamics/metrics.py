"""Metrics of forecasts of a state, by lead in time steps.

Squared errors are summed over the starts of forecasts and the components of the state before a metric is computed.
"""

from __future__ import annotations

import re
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS, Counts, Direction, Metric, member, ratio
from pipeline_lib.tasks.lead_metrics import LeadMetric

Values = NDArray[np.float64]


class StateMetric(LeadMetric):
    """A score of the forecast states at one lead."""

    leads_option = "training.forecast_steps"

    @classmethod
    def member(cls, argument: str) -> type[Self]:
        """Return this metric at one lead, a number of time steps.

        Raises
        ------
        ConfigError
            If the lead is no whole number of steps from 1 on.
        """
        if re.fullmatch(r"[1-9][0-9]*", argument) is None:
            raise ConfigError(f"{argument!r} is no lead", fix="give a number of time steps, 1 or more")
        return member(cls, argument, lead=int(argument))


@METRICS.register("explained_variance_*")
class ExplainedVariance(StateMetric):
    """Explained variance, lead *.

    One minus the squared error of the forecasts over that of persistence, at one lead.
    """

    direction = "higher"
    bounds = (-np.inf, 1.0)

    @staticmethod
    def score(counts: Counts) -> Values:
        """Return 1 - sum (forecast - truth)^2 / sum (start - truth)^2."""
        return 1 - ratio(counts["squared_error"], counts["persistence_error"])


@METRICS.register("rmse_*")
class Rmse(StateMetric):
    """RMSE, lead *.

    The root mean square error over starts and components at one lead, in the unit of the states.
    """

    @staticmethod
    def score(counts: Counts) -> Values:
        """Return the root of the mean over starts and components."""
        return np.sqrt(ratio(counts["squared_error"], counts["values"]))


@METRICS.register("nrmse_*")
class NormalisedRmse(StateMetric):
    """RMSE over the spread of the truth, lead *.

    The spread is the standard deviation of the test's states around their mean, errors and spread both over all
    components: a forecast of the mean has about 1, an independent state of the same climate about 1.4.
    """

    @staticmethod
    def score(counts: Counts) -> Values:
        """Return the root of the share."""
        return np.sqrt(ratio(counts["squared_error"], counts["climatology_error"]))


class FreeRunMetric(Metric):
    """A ratio of sums over free runs."""

    direction: ClassVar[Direction] = "higher"
    sampled_by = "runs"
    above: ClassVar[str]
    below: ClassVar[str] = "runs"
    needs: ClassVar[str] = "free runs"

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        if cls.above not in counts:
            raise ConfigError(
                f"needs {cls.needs}", where="scoring.metrics", fix="set training.free_run or leave the metric out"
            )
        return ratio(counts[cls.above], counts[cls.below])


@METRICS.register("valid_steps")
class ValidSteps(FreeRunMetric):
    """Time steps until a free run loses the truth (error over half the spread of the states, by field)."""

    above = "steps_valid"


@METRICS.register("stable_share")
class StableShare(FreeRunMetric):
    """Share of free runs that stay finite and within three times the range of the truth, in each of its fields."""

    bounds = (0.0, 1.0)
    above = "runs_stable"


@METRICS.register("stable_steps")
class StableSteps(FreeRunMetric):
    """Time steps until a free run leaves the numbers or three times the range of the truth, in any of its fields."""

    above = "steps_stable"


@METRICS.register("end_rmse")
class EndRmse(FreeRunMetric):
    """RMSE over the components of the last states of stable free runs, in the unit of the states."""

    direction = "lower"
    above, below = "end_error", "runs_stable"

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return np.sqrt(super().from_counts(counts))


@METRICS.register("energy_drift")
class EnergyDrift(FreeRunMetric):
    """Relative error of the mean energy of stable free runs, over their second half."""

    direction = "zero"
    bounds = (-1.0, np.inf)
    above, below = "energy", "energy_truth"

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample: energy / energy of the truth - 1."""
        return super().from_counts(counts) - 1


@METRICS.register("kinetic_energy_drift")
class KineticEnergyDrift(EnergyDrift):
    """Relative error of the mean kinetic energy of stable free runs, over their second half."""

    above, below = "kinetic_energy", "kinetic_energy_truth"
    needs = "free runs of models that know their kinetic energy"


@METRICS.register("mean_height_drift")
class MeanHeightDrift(FreeRunMetric):
    """Largest distance of the mean height from its value at the start, in free runs that are stable."""

    direction = "lower"
    unit = "m"
    above, below = "mean_height_departure", "runs_stable"
    needs = "free runs of models that know their mean height"


class TermMetric(Metric):
    """A score of what a closure answers to true states, before any step is taken (a-priori)."""

    direction: ClassVar[Direction] = "higher"
    bounds = (-1.0, 1.0)

    @staticmethod
    def needed(counts: Counts) -> Counts:
        """Return the counts, which must hold those of the terms."""
        if "term_values" not in counts:
            raise ConfigError(
                "needs the exact answer of a closure",
                where="scoring.metrics",
                fix="take a source that makes subgrid, or leave the metric out",
            )
        return counts


@METRICS.register("subgrid_correlation")
class SubgridCorrelation(TermMetric):
    """Correlation of the closure's term with the exact one, over true states.

    Over all cells, fields and states together. Of no closure, whose term is zero everywhere, it is undefined.
    """

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        found = cls.needed(counts)
        count, mean, truth = found["term_values"], found["term"], found["term_truth"]
        shared = count * found["term_product"] - mean * truth
        spreads = (count * found["term_square"] - mean**2) * (count * found["term_truth_square"] - truth**2)
        return ratio(shared, np.sqrt(np.maximum(spreads, 0)))


@METRICS.register("subgrid_nrmse")
class SubgridError(TermMetric):
    """RMSE of the closure's term on true states, over the root mean square of the exact one: 1 of no closure."""

    direction = "lower"
    bounds = (0.0, np.inf)

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        found = cls.needed(counts)
        # Without answers nothing is counted, and nothing is defined.
        return np.sqrt(ratio(found["term_error"], found["term_truth_square"]))
