"""Metrics of forecasts of a state, by lead in time steps.

Squared errors are summed over the starts of forecasts and the components of the state before a metric is computed.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS, Counts, Direction, member_at_lead, ratio

Values = NDArray[np.float64]


@METRICS.register("explained_variance_*")
class LeadMetric:
    """Explained variance, lead *.

    One minus the squared error of the forecasts over that of persistence, at one lead.
    """

    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, 1.0)
    has_interval: ClassVar[bool] = True
    sampled_by: ClassVar[str | None] = None
    lead: ClassVar[int] = 0
    """Time steps since the start of the forecast; of a family 0."""

    @classmethod
    def member(cls, argument: str) -> type[LeadMetric]:
        """Return this metric at one lead.

        Raises
        ------
        ConfigError
            If the lead is no whole number of steps from 1 on.
        """
        return member_at_lead(cls, argument)

    @classmethod
    def at_lead(cls, counts: Counts, name: str) -> Values:
        """Return the sum at this metric's lead, one value per resample."""
        if counts[name].shape[-1] < cls.lead:
            raise ConfigError(
                f"needs forecasts of {cls.lead} steps, there are {counts[name].shape[-1]}",
                where="scoring.metrics",
                fix="raise training.forecast_steps or leave the metric out",
            )
        return counts[name][..., cls.lead - 1]

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample: 1 - sum (forecast - truth)^2 / sum (start - truth)^2."""
        return 1 - ratio(cls.at_lead(counts, "squared_error"), cls.at_lead(counts, "persistence_error"))


@METRICS.register("rmse_*")
class LeadError(LeadMetric):
    """RMSE, lead *.

    The root mean square error over starts and components at one lead, in the unit of the states.
    """

    direction = "lower"
    bounds = (0.0, np.inf)

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return np.sqrt(ratio(cls.at_lead(counts, "squared_error"), cls.at_lead(counts, "values")))


@METRICS.register("nrmse_*")
class LeadShare(LeadMetric):
    """RMSE over the spread of the truth, lead *.

    The spread is the standard deviation of the test's states around their mean, errors and spread both over all
    components: a forecast of the mean has about 1, an independent state of the same climate about 1.4.
    """

    direction = "lower"
    bounds = (0.0, np.inf)

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return np.sqrt(ratio(cls.at_lead(counts, "squared_error"), cls.at_lead(counts, "climatology_error")))


class FreeRunMetric:
    """A ratio of sums over free runs."""

    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (0.0, np.inf)
    has_interval: ClassVar[bool] = True
    sampled_by: ClassVar[str | None] = "runs"
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


class TermMetric:
    """A score of what a closure answers to true states, before any step is taken (a-priori)."""

    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    has_interval: ClassVar[bool] = True
    sampled_by: ClassVar[str | None] = None

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
