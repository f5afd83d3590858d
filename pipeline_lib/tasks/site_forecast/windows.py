"""Windows of series and fields: what is seen, and what follows at the site."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pipeline_lib.data.datasets import open_days
from pipeline_lib.data.rows import Index
from pipeline_lib.errors import DataError
from pipeline_lib.models.sites import Site
from pipeline_lib.tasks.site_forecast.columns import Columns, available, require_stations, site_of, starts_of
from pipeline_lib.tasks.site_forecast.fields import MappedFields, Values
from pipeline_lib.tasks.site_forecast.options import TrainingOptions
from pipeline_lib.train.outcome import standard_scaling
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.windows import named_times

logger = logging.getLogger(__name__)

_FIT_BATCH = 256
"""Windows that a fit in one go looks at together."""


@dataclass(frozen=True)
class SiteWindows:
    """Columns, and where the windows that may be cut from them start.

    Attributes
    ----------
    columns
        Series and fields.
    starts
        Last time that each window sees.
    site
        What is seen and forecast.
    """

    columns: Columns
    starts: Index
    site: Site

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.starts)

    @property
    def identity(self) -> str:
        """SHA-256 over all values, which must not lie in a store: what a checkpoint remembers of its data."""
        digest = hashlib.sha256(repr(self.site).encode())
        columns = self.columns
        fields, ahead = columns.fields, columns.ahead
        if not (isinstance(fields, MappedFields) and isinstance(ahead, MappedFields)):
            raise TypeError("fields in a store are not read as a whole")
        for array in (columns.times, columns.targets, columns.series, fields.values, ahead.values, self.starts):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def cut(self, numbers: Index) -> Batch:
        """Return windows: packed inputs (batch, values), targets (batch, leads, targets) with gaps."""
        starts = self.starts[numbers]
        return Batch(self.seen_at(starts), torch.from_numpy(self.truth_at(starts)), torch.from_numpy(starts[:, None]))

    def truth_at(self, starts: Index) -> Values:
        """Return what follows at the site (start, leads, targets), NaN where it is missing."""
        truth: Values = self.columns.targets[starts[:, None] + offsets(self.site)]
        return truth

    def seen_at(self, starts: Index) -> Tensor:
        """Return what forecasts from these times see (batch, values), as a forecaster unpacks it."""
        past = starts[:, None] + np.arange(1 - self.site.seen, 1)
        known = starts[:, None] + np.arange(1 - self.site.seen, 1 - self.site.seen + self.site.steps)
        columns = self.columns
        parts = [columns.hour[starts], columns.series[past], columns.fields.at(past)]
        if self.site.ahead.values:
            parts.append(columns.ahead.at(known))
        return torch.from_numpy(np.concatenate([part.reshape(len(starts), -1) for part in parts], axis=1))

    def describe(self, samples: Tensor) -> str:
        """Name windows by the time of the last value that they see."""
        return named_times(self.columns.times, samples)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give inputs and targets of all windows, some at a time."""
        for first in range(0, self.windows, _FIT_BATCH):
            batch = self.cut(np.arange(first, min(first + _FIT_BATCH, self.windows)))
            yield batch.inputs, batch.target


def offsets(site: Site) -> Index:
    """Return by how many times the values to forecast follow the start (lead,)."""
    return np.zeros(1, np.int64) if site.accumulated else np.arange(1, site.leads + 1)


def read_windows(
    request: TrainingRequest, training: TrainingOptions, split: Literal["train", "validation"]
) -> SiteWindows:
    """Return the windows of the days of a split; say how many there are, and why there are not more.

    Raises
    ------
    ConfigError
        If options of stations change nothing.
    DataError
        If there is no window.
    StoreError
        If the fields find no room on disk.
    """
    start, end = request.train if split == "train" else request.validation
    ds = open_days(request.of("dataset"), start, end)
    require_stations(ds, request.inputs, training)
    scales = standard_scaling(request.statistics, request.inputs)
    columns = Columns.of(ds, request.inputs, training, {name: mean for name, (mean, _) in scales.items()})
    columns.past.require_step(training.step_minutes, where=request.inputs[0])
    starts = starts_of(columns, training, whole_future=True)
    windows = SiteWindows(columns, starts, site_of(ds, request.inputs, training, scales))
    asked = np.isfinite(windows.truth_at(starts)).any(axis=(1, 2))
    told = f"{columns.past.told()}: {len(starts)} windows, {int((~asked).sum())} of them without a true value"
    if training.nwp and not available(columns.times, training).any():
        told += f"; no run of the prediction is there in time (it comes {training.nwp_delay_hours:g} hours late)"
    logger.info("%s: %s", split, told)
    if not asked.any():
        fix = "choose more days, fewer times, or other limits in training"
        raise DataError(f"no window is left: {told}", where=split, fix=fix)
    return SiteWindows(columns.mapped(request.folder), starts[asked], windows.site)
