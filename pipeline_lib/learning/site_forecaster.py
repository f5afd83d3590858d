"""Networks that forecast one or two numbers at a site."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pipeline_lib.errors import ConfigError

if TYPE_CHECKING:
    from pipeline_lib.models.sites import Scale, Site


class Seen(NamedTuple):
    """What a forecast starts from, in the units of the data or normalised.

    Attributes
    ----------
    hour
        Sine and cosine of the start's time of day (batch, 2).
    series
        (batch, seen, series), the oldest first; those of the variables to forecast are the first.
    fields
        (batch, seen, channels, rows, columns).
    ahead
        Of a numerical weather prediction (batch, steps, channels, rows, columns): at the times that are seen, then at
        the leads.
    """

    hour: Tensor
    series: Tensor
    fields: Tensor
    ahead: Tensor


class SiteForecaster(nn.Module):
    """A network that sees series and fields up to a start, and answers with what follows at a site.

    Parameters
    ----------
    site
        What it sees and what it is to forecast.

    Attributes
    ----------
    head
        What the output is: the values, or mean, standard deviations and correlation of a bivariate Gaussian (see
        :mod:`pipeline_lib.learning.bivariate_gaussian`).
    """

    head: Literal["value", "gaussian"] = "value"
    target_scale: Tensor
    target_mean: Tensor

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        for name, scales in (("target", site.targets), ("series", site.series)):
            self._keep(name, scales, (len(scales),))
        for name, scales in (("fields", site.fields.scales), ("ahead", site.ahead.scales)):
            self._keep(name, scales, (len(scales), 1, 1))

    def _keep(self, name: str, scales: tuple[Scale, ...], shape: tuple[int, ...]) -> None:
        """Keep mean and scale as buffers; they are built anew from the site and stored with no weights."""
        for word, values in (("mean", [mean for mean, _ in scales]), ("scale", [scale for _, scale in scales])):
            self.register_buffer(f"{name}_{word}", torch.tensor(values).reshape(shape), persistent=False)

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output (batch, leads, targets), or (batch, leads, 5) of a Gaussian, in the units of the data.

        Parameters
        ----------
        inputs
            (batch, values), packed as :meth:`unpack` takes it apart. Nothing is missing.
        """

    def forecast(self, inputs: Tensor) -> Tensor:
        """Return the forecast (batch, leads, targets): of a Gaussian, its mean."""
        output: Tensor = self(inputs)
        return output[..., : len(self.site.targets)]

    def unpack(self, inputs: Tensor) -> Seen:
        """Take packed inputs apart, in the units of the data.

        They hold, one behind the other: ``hour``, ``series``, ``fields`` and ``ahead`` of :class:`Seen`.
        """
        site = self.site
        shapes = (
            (2,),
            (site.seen, len(site.series)),
            (site.seen, *site.fields.shape),
            (site.steps, *site.ahead.shape),
        )
        sizes = [torch.Size(shape).numel() for shape in shapes]
        parts = torch.split(inputs, sizes, dim=1)
        return Seen(*(part.reshape(len(inputs), *shape) for part, shape in zip(parts, shapes, strict=True)))

    def normalised(self, seen: Seen) -> Seen:
        """Return the same with mean 0 and standard deviation 1 over the training days."""

        def scaled(values: Tensor, name: str) -> Tensor:
            mean, scale = self.get_buffer(f"{name}_mean"), self.get_buffer(f"{name}_scale")
            return (values - mean) / scale

        fields, ahead = scaled(seen.fields, "fields"), scaled(seen.ahead, "ahead")
        return Seen(seen.hour, scaled(seen.series, "series"), fields, ahead)

    def in_units(self, normalised: Tensor) -> Tensor:
        """Return values (..., targets) of mean 0 and standard deviation 1 in the units of the data."""
        return self.target_mean + self.target_scale * normalised

    def nearest(self, seen: Seen) -> Tensor:
        """Return what the prediction says of the targets at the nearest grid point (batch, steps, targets).

        Parameters
        ----------
        seen
            In the units of the data.

        Raises
        ------
        ConfigError
            If there is no prediction, or it does not foretell the targets.
        """
        require_prediction(self.site, type(self).__name__)
        row, column = self.site.point or (0, 0)
        return told(seen.ahead[..., row, column], targets=len(self.site.targets), speed=self.site.speed)


class FittedForecaster(SiteForecaster):
    """One whose values are found in one go, by least squares, in float64."""

    @abstractmethod
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the values from inputs (batch, values) and targets (batch, leads, targets), which may be missing (NaN).

        Raises
        ------
        DataError
            If the windows are too few.
        """


def told(channels: Tensor, *, targets: int, speed: bool) -> Tensor:
    """Return what channels (..., channels) say of the targets (..., targets): a length, or the first of them."""
    return channels[..., :2].square().sum(-1, keepdim=True).sqrt() if speed else channels[..., :targets]


def require_prediction(site: Site, where: str) -> None:
    """Raise :class:`ConfigError` unless fields of a prediction are there that foretell the targets."""
    needed = 2 if site.speed else len(site.targets)
    if site.point is None or len(site.ahead.scales) < needed:
        raise ConfigError(
            f"needs {needed} fields of a numerical weather prediction, there are {len(site.ahead.scales)}",
            where=where,
            fix="name them in training.nwp, those first that foretell what is forecast",
        )
