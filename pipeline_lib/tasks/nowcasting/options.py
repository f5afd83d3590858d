"""Options of the nowcasting task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline_lib.options import Options
from pipeline_lib.retrieval.options import RetrievalOptions
from pipeline_lib.score.options import MetricOptions
from pipeline_lib.train.options import LoopOptions

Loss = Literal["squared", "absolute", "cross_entropy", "balanced", "balanced_off"]
"""See :class:`pipeline_lib.learning.frame_losses.FrameLoss`."""


class OnlineOptions(Options):
    """How weights follow the frames that arrive; by default in the order of HKO-7 (Shi et al. 2017).

    Unlike there, weights go back to the trained ones at the start of each row of frames, and gradients have one norm.
    """

    block: int = Field(default=5, gt=0)
    """Frames that arrive at once: before the next block comes one step is made, on the latest frames that a window
    holds. A forecast has not yet learned from the newest block."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Of AdaGrad."""
    gradient_clip: float | None = Field(default=50.0, gt=0)
    """Scale gradients down to this norm at most, that of all together. The published code gives encoder and forecaster
    50 each."""


class TrainingOptions(LoopOptions):
    """How a network that continues frames is trained, and what it sees and forecasts."""

    batch_size: int = Field(default=8, gt=0)
    """Windows per step."""
    windows: int | None = Field(default=None, gt=0)
    """Windows per epoch, drawn anew each time, each once before one comes again; null takes every window of the
    training days."""
    seen: int = Field(default=5, gt=0)
    """Frames of the past that a forecast starts from."""
    leads: int = Field(default=20, gt=0)
    """Frames that are forecast."""
    step_minutes: float = Field(default=5.0, gt=0)
    """Minutes between two frames of a window. Frames may be missing or come at other times: what does not lie in a row
    of this step is in no window."""
    stride: int = Field(default=1, gt=0)
    """Frames from the start of one forecast of the test to that of the next, counted in each row of frames. Operational
    periods and files of one's own are forecast from every start."""
    missing: float = Field(default=0.05, ge=0, le=1)
    """Share of a frame's cells that may lack a value, besides the cells that always do. A frame that lacks more is as
    if it were not there."""
    wet: float = Field(default=0.0, ge=0, le=1)
    """Share of the cells that must hold an echo in at least one frame of a window of training or validation; windows
    drier than that are left out, and counted. The test is never thinned out."""
    loss: Loss = "squared"
    """``squared`` or ``absolute`` error; ``cross_entropy`` of values from 0 to 1, summed over cells and leads;
    ``balanced``: squared and absolute error with the weights of rain rates, summed over cells; ``balanced_off``: the
    same with all weights 1."""
    retrieval: RetrievalOptions | None = None
    """What makes rain of frames: fitted on the training days, applied to all forecasts and, for comparison, to the true
    frames; null for frames that are wanted for themselves."""
    online: OnlineOptions | None = None
    """Let the weights of the trained network follow the frames that arrive while it forecasts, in each row of frames
    anew; null leaves them as they were trained. The training is the same either way."""


def _forward(cells: tuple[int, int]) -> tuple[int, int]:
    if cells[1] <= cells[0]:
        raise ValueError("the second number must be larger than the first")
    return cells


Cells = Annotated[tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(gt=0)]], AfterValidator(_forward)]
"""First row or column, and the first one that does not belong."""


class Interior(Options):
    """A part of the frames; by default all of it."""

    rows: Cells | None = None
    """Rows of the dataset, the first and the first one that does not belong, from 0; null for all."""
    columns: Cells | None = None
    """Columns likewise."""

    @property
    def places(self) -> tuple[slice, slice]:
        """Rows and columns, to index frames with."""
        return slice(*self.rows or (None,)), slice(*self.columns or (None,))


class ScoringOptions(MetricOptions):
    """What is scored, and how."""

    metrics: list[str] = Field(default=["frame_mse", "frame_mae", "correlation"], min_length=1)
    """Registered metrics, in the order of the leaderboard. Thresholds stand in their names: of rain rate in mm/h where
    the frames carry a relation to it, else of the frames' own values."""
    interior: Interior = Interior()
    """The part of the frames that is scored, all cells by default. Models see and forecast whole frames, and learn
    from them: what enters over the border within the leads has a chance to be seen before it is asked about."""
