"""Metrics of the rain that a retrieval makes of forecast frames, and of true ones.

A forecast of rain in two stages has two errors: that of the frames, and that of the retrieval, which the true frames
have as well. The families ``bound_*`` are the scores of rain retrieved from the true frames of the same times: the same
for all competitors, and what a perfect forecast of the frames would reach.
"""

from __future__ import annotations

from typing import ClassVar

from pipeline_lib.metrics import METRICS, Counts, Direction
from pipeline_lib.skill import contingency, continuous
from pipeline_lib.tasks.lead_metrics import Arguments
from pipeline_lib.tasks.nowcasting.counted import RETRIEVED, suffix
from pipeline_lib.tasks.nowcasting.metrics import FrameMetric, Values, threshold_of

RETRIEVED_COUNTS, BOUND_COUNTS = "retrieved_", "bound_"
"""What the names of counts begin with."""


class RetrievedMetric(FrameMetric):
    """A score of retrieved rain."""

    part = (RETRIEVED,)

    @classmethod
    def needed(cls, counts: Counts) -> Counts:
        """Return the counts of retrieved rain."""
        return cls.stripped(counts, "")

    @classmethod
    def stripped(cls, counts: Counts, end: str) -> Counts:
        """Return the counts that it is made of whose names end so, by what is left of their names."""
        start = BOUND_COUNTS if cls.of_truth else RETRIEVED_COUNTS
        return {
            name.removeprefix(start).removesuffix(end): values
            for name, values in counts.items()
            if name.startswith(start) and name.endswith(end)
        }

    @classmethod
    def perfect(cls, counts: Counts) -> Values | None:
        """Return the score of rain retrieved from the true frames."""
        if cls.of_truth:
            return None
        same: type[RetrievedMetric] = type(cls.__name__, (cls,), {"of_truth": True})
        return same.by_lead(counts)


class RetrievedEvents(RetrievedMetric):
    """A score of the event that retrieved rain is at or above a threshold [mm/h]."""

    direction: ClassVar[Direction] = "higher"
    bounds = (0.0, 1.0)

    @classmethod
    def with_arguments(cls, text: str) -> Arguments:
        """Take the threshold."""
        return text, {"part": (RETRIEVED, threshold_of(text))}

    @classmethod
    def needed(cls, counts: Counts) -> Counts:
        """Return the counts of the threshold."""
        return cls.stripped(counts, suffix(*cls.part[1:]))


@METRICS.register("retrieved_csi_*")
class RetrievedCsi(RetrievedEvents):
    """CSI of retrieved rain at *."""

    score = staticmethod(contingency.csi)


@METRICS.register("retrieved_pod_*")
class RetrievedPod(RetrievedEvents):
    """POD of retrieved rain at *."""

    score = staticmethod(contingency.pod)


@METRICS.register("retrieved_far_*")
class RetrievedFar(RetrievedEvents):
    """FAR of retrieved rain at *."""

    direction: ClassVar[Direction] = "lower"

    score = staticmethod(contingency.far)


@METRICS.register("retrieved_rmse")
@METRICS.register("retrieved_rmse_*")
class RetrievedRmse(RetrievedMetric):
    """RMSE of retrieved rain."""

    unit = "mm h-1"

    score = staticmethod(continuous.root_mean_squared_error)


@METRICS.register("retrieved_pearson")
@METRICS.register("retrieved_pearson_*")
class RetrievedPearson(RetrievedMetric):
    """Pearson correlation of retrieved rain."""

    direction: ClassVar[Direction] = "higher"
    bounds = (-1.0, 1.0)

    score = staticmethod(continuous.pearson)


@METRICS.register("bound_csi_*")
class BoundCsi(RetrievedCsi):
    """CSI at * of rain retrieved from the true frames."""

    direction = "none"
    of_truth = True


@METRICS.register("bound_pod_*")
class BoundPod(RetrievedPod):
    """POD at * of rain retrieved from the true frames."""

    direction = "none"
    of_truth = True


@METRICS.register("bound_far_*")
class BoundFar(RetrievedFar):
    """FAR at * of rain retrieved from the true frames."""

    direction = "none"
    of_truth = True


@METRICS.register("bound_rmse")
@METRICS.register("bound_rmse_*")
class BoundRmse(RetrievedRmse):
    """RMSE of rain retrieved from the true frames."""

    direction = "none"
    of_truth = True


@METRICS.register("bound_pearson")
@METRICS.register("bound_pearson_*")
class BoundPearson(RetrievedPearson):
    """Pearson correlation of rain retrieved from the true frames."""

    direction = "none"
    of_truth = True
