"""Forecasts at a site in which nothing is learned, or values that least squares find."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.learning.site_forecaster import FittedForecaster, SiteForecaster, require_prediction
from pipeline_lib.models.sites import Site


class LastValue(SiteForecaster):
    """The last value of each target, at every lead.

    Raises
    ------
    ConfigError
        If the targets' past is not seen.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        require_past(site, "persistence_series")

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, leads, targets)."""
        last = self.unpack(inputs).series[:, -1:, : len(self.site.targets)]
        return last.repeat(1, self.site.leads, 1)


class NearestPoint(SiteForecaster):
    """What a numerical weather prediction says at the nearest grid point.

    Raises
    ------
    ConfigError
        If there is no prediction.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        require_prediction(site, "nwp_nearest")

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, leads, targets)."""
        return self.nearest(self.unpack(inputs))[:, self.site.seen :]


class CorrectedPoint(FittedForecaster):
    """The nearest grid point's value, corrected by a regression for each lead and target.

    Parameters
    ----------
    site
        What it sees and forecasts.
    daily
        Whether the correction may change with the time of day.

    Raises
    ------
    ConfigError
        If there is no prediction.
    """

    def __init__(self, site: Site, *, daily: bool) -> None:
        super().__init__(site)
        require_prediction(site, "nwp_corrected")
        self.daily = daily
        self.weights = nn.Parameter(torch.zeros(site.leads, len(site.targets), 4 if daily else 2))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, leads, targets)."""
        return torch.einsum("blkf,lkf->blk", self._features(inputs), self.weights)

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Solve the normal equations of each lead and target."""
        fitted = least_squares(batches, self._features)
        self.weights.data.copy_(fitted.reshape(self.weights.shape))

    def _features(self, inputs: Tensor) -> Tensor:
        """Return 1, the prediction and the time of day (batch, leads, targets, features)."""
        seen = self.unpack(inputs)
        said = self.nearest(seen)[:, self.site.seen :]
        hour = seen.hour[:, None, None].expand(*said.shape, 2)
        features = [torch.ones_like(said)[..., None], said[..., None]]
        return torch.cat([*features, hour] if self.daily else features, dim=-1)


class RidgeRegression(FittedForecaster):
    """A linear function of all that is seen: fields in means over blocks, a prediction at the nearest point as well.

    Parameters
    ----------
    site
        What it sees and forecasts.
    blocks
        Along each side of a field: so many means are taken.
    penalty
        Of the squared weights of normalised values, per window.
    least
        What a forecast is at least, in the unit of the targets; None if it may be anything.
    """

    def __init__(self, site: Site, *, blocks: int, penalty: float, least: float | None = None) -> None:
        super().__init__(site)
        self.blocks, self.penalty, self.least = blocks, penalty, least
        channels = site.seen * len(site.fields.scales) + site.steps * len(site.ahead.scales)
        features = 1 + 2 + site.seen * len(site.series) + channels * blocks**2
        if site.point is not None:
            features += site.steps * len(site.targets)
        self.weights = nn.Parameter(torch.zeros(site.leads, len(site.targets), features))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, leads, targets)."""
        found = torch.einsum("bf,lkf->blk", self._features(inputs), self.weights)
        return found if self.least is None else found.clamp(min=self.least)

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Solve the normal equations of each lead and target."""
        leads, targets, _ = self.weights.shape

        def features(inputs: Tensor) -> Tensor:
            return self._features(inputs)[:, None, None].expand(-1, leads, targets, -1)

        fitted = least_squares(batches, features, penalty=self.penalty)
        self.weights.data.copy_(fitted.reshape(self.weights.shape))

    def _features(self, inputs: Tensor) -> Tensor:
        """Return 1 and all that is seen, normalised (batch, features)."""
        raw = self.unpack(inputs)
        seen = self.normalised(raw)
        parts = [torch.ones_like(seen.hour[:, :1]), seen.hour, seen.series.flatten(1)]
        if self.site.point is not None:
            parts.append(((self.nearest(raw) - self.target_mean) / self.target_scale).flatten(1))
        for fields in (seen.fields, seen.ahead):
            if fields.shape[2]:
                means = functional.adaptive_avg_pool2d(fields.flatten(1, 2), self.blocks)
                parts.append(means.flatten(1))
        return torch.cat(parts, dim=1)


def least_squares(
    batches: Iterable[tuple[Tensor, Tensor]], features: Callable[[Tensor], Tensor], *, penalty: float = 0.0
) -> Tensor:
    """Return the weights (leads, targets, features) of least squared errors over what is not missing.

    Parameters
    ----------
    batches
        Inputs and targets (batch, leads, targets).
    features
        Makes (batch, leads, targets, features) of inputs, the first of them 1.
    penalty
        Of the squared weights, but that of the first, per window.

    Raises
    ------
    DataError
        If a lead has fewer true values than features.
    """
    left, right = torch.zeros(()), torch.zeros(())
    for inputs, target in batches:
        valid = target.isfinite()
        seen = torch.where(valid[..., None], features(inputs.double()), 0.0)
        truth = torch.where(valid, target.double(), 0.0)
        left = left + torch.einsum("blkf,blkg->lkfg", seen, seen)
        right = right + torch.einsum("blkf,blk->lkf", seen, truth)
    if not left.ndim:
        raise DataError("there are no windows", where="train")
    count = left[..., :1, :1]
    if bool((count < left.shape[-1]).any()) and not penalty:
        what = f"{int(count.min())} true values are too few for {left.shape[-1]} weights"
        raise DataError(what, where="train", fix="choose more days, or a penalty")
    ridge = torch.ones(left.shape[-1], dtype=left.dtype)
    ridge[0] = 0.0
    matrix = left + penalty * count * torch.diag(ridge)
    # Of predictors that say the same the smallest weights that solve it.
    solved: Tensor = torch.linalg.pinv(matrix, hermitian=True) @ right[..., None]
    return solved[..., 0]


def require_past(site: Site, where: str) -> None:
    """Raise :class:`ConfigError` unless the targets' own past is seen."""
    if site.accumulated or len(site.series) < len(site.targets):
        what = "needs the past of what is forecast, and of a sum that follows there is none"
        raise ConfigError(what, where=where, fix="leave this model out")
