"""Options of forecasts at a site."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline_lib.distinct import DIFFERENT
from pipeline_lib.options import refuse_unused
from pipeline_lib.score.options import MetricOptions
from pipeline_lib.train.options import LoopOptions

Loss = Literal["squared", "absolute", "log_squared", "likelihood"]
"""See :mod:`pipeline_lib.tasks.site_forecast.problem`."""


class TrainingOptions(LoopOptions):
    """What a forecast at a site sees and foretells, and how a network for it is trained."""

    batch_size: int = Field(default=64, gt=0)
    """Windows per step."""
    windows: int | None = Field(default=None, gt=0)
    """Windows per epoch, drawn anew each time, each once before one comes again; null takes every window of the
    training days."""
    targets: int = Field(default=1, ge=1, le=2)
    """Variables to forecast: so many of the first inputs, series all. Two are the components of a vector."""
    station: int | None = Field(default=None, ge=0)
    """The site: the number of its station or, where stations have no numbers, its place among them, counted from 0;
    null where series have no stations."""
    neighbours: Annotated[tuple[int, ...] | None, DIFFERENT] = None
    """Stations whose series are seen besides, called as the site is; null takes all there are. A trained model looks
    for the very same ones."""
    nwp: Annotated[tuple[str, ...], DIFFERENT] = ()
    """Inputs that are fields of a numerical weather prediction, at the times for which they were predicted; those first
    that foretell the targets, each in their unit and without levels. They are seen at the leads too, as far as the run
    was there at the start."""
    speed: bool = False
    """Whether the target is the length of the vector of the first two fields of ``nwp``."""
    nwp_run_hours: float = Field(default=24.0, gt=0, le=24)
    """Hours between runs of the prediction, the first at midnight; each time's fields are of the last run before it."""
    nwp_delay_hours: float | None = Field(default=None, ge=0)
    """Hours from a run's nominal time until it is there, asked for with ``nwp``. A forecast starts only when all runs
    that it sees are."""
    accumulated: bool = False
    """Whether each value of the target is a sum over times that follow, given at the time of the start, as of rain: one
    value is forecast then, and the target's own past is not seen."""
    accumulated_hours: float | None = Field(default=None, gt=0)
    """Hours from the time at which a sum is given to its end, asked for with ``accumulated``: splits must be so much
    farther apart, or the last sums of one would hold what happens in the next."""
    seen: int = Field(default=12, gt=0)
    """Times of the past that a forecast starts from."""
    leads: int = Field(default=12, gt=0)
    """Time steps that are forecast; 1 of an accumulated value."""
    step_minutes: float = Field(default=6.0, gt=0)
    """Minutes between two times of a window; what does not lie in a row of this step is in no window."""
    stride: int = Field(default=1, gt=0)
    """Steps from the start of one forecast of the test to that of the next, counted in each row of times from the first
    one on that a forecast can start from. Operational periods and files of one's own are forecast from every start."""
    missing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the values of each field, of all its levels together, that may be missing at a time; the network sees
    the training mean there. Series must be there, and what ``nwp`` says of the targets at the nearest grid point; a
    time that lacks more than this is as if it were not there."""
    loss: Loss = "squared"
    """``squared`` or ``absolute`` error; ``log_squared``: squared error of log(1 + value), for sums of rain and other
    targets that are not below 0 (a forecast y that is counts as -log(1 - y)); or ``likelihood``, the negative logarithm
    of a Gaussian's."""

    @property
    def foretelling(self) -> tuple[str, ...]:
        """Fields of ``nwp`` that say something of the targets: one for each, or the two components of a speed."""
        return self.nwp[: 2 if self.speed else self.targets]

    @model_validator(mode="after")
    def _one_sum(self) -> TrainingOptions:
        if self.accumulated and (self.leads != 1 or self.targets != 1 or self.nwp):
            raise ValueError("an accumulated value is one: set leads: 1, targets: 1, and no nwp")
        if self.accumulated_hours is not None and not self.accumulated:
            raise ValueError("accumulated_hours is of a sum: set accumulated, or leave it out")
        if self.speed and (self.targets != 1 or len(self.nwp) < 2):
            raise ValueError("the length of a vector is one target, of two fields: correct targets and nwp")
        if self.nwp and len(self.nwp) < self.targets:
            raise ValueError("nwp names fewer fields than there are targets: name first those that foretell them")
        if self.nwp and self.nwp_delay_hours is None:
            raise ValueError("with nwp, nwp_delay_hours is needed: how late do its runs come?")
        if not self.nwp:
            refuse_unused(self, ("nwp_run_hours", "nwp_delay_hours"), "nwp names no fields of a prediction")
        return self


class ScoringOptions(MetricOptions):
    """What is scored, and how."""

    metrics: list[str] = Field(default=["site_rmse", "site_mae", "site_bias"], min_length=1)
    """Registered metrics, in the order of the leaderboard."""
