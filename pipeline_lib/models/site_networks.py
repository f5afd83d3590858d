"""Networks that forecast at a site from the past of series and from the fields of a numerical weather prediction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.bivariate_gaussian import PARAMETERS, parameters_of
from pipeline_lib.learning.site_forecaster import SiteForecaster, require_prediction
from pipeline_lib.models.site_baselines import require_past
from pipeline_lib.models.sites import Site

Head = Literal["value", "gaussian"]
_BOTH = 2
"""Targets of a Gaussian."""


class HeadedForecaster(SiteForecaster):
    """One whose last layer answers for all leads at once, with values or with a bivariate Gaussian.

    Parameters
    ----------
    site
        What it sees and forecasts.
    head
        What it answers with.
    code
        Values that the head sees.
    hidden
        Units of the layer in between.

    Raises
    ------
    ConfigError
        If a Gaussian is not of two targets.
    """

    def __init__(self, site: Site, *, head: Head, code: int, hidden: int) -> None:
        super().__init__(site)
        if head == "gaussian" and len(site.targets) != _BOTH:
            what = f"is of {_BOTH} components, here are {len(site.targets)} targets"
            raise ConfigError(what, where="options.head", fix="set training.targets: 2, or head: value")
        self.head = head
        self.outputs = PARAMETERS if head == "gaussian" else len(site.targets)
        self.exit = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, site.leads * self.outputs))

    def answer(self, code: Tensor, around: Tensor, beside: Tensor | None = None) -> Tensor:
        """Return the output in the units of the data.

        Parameters
        ----------
        code
            (batch, code).
        around
            Values that the forecast departs from, normalised: (batch, 1 or leads, targets).
        beside
            What is added to the head's answer (batch, leads * outputs).
        """
        found = self.exit(code) if beside is None else self.exit(code) + beside
        raw = found.reshape(len(code), self.site.leads, self.outputs)
        targets = len(self.site.targets)
        mean = self.in_units(raw[..., :targets] + around)
        if self.head == "value":
            return mean
        parameters = parameters_of(raw)
        return torch.cat([mean, parameters[..., 2:4] * self.target_scale, parameters[..., 4:]], dim=-1)

    def departing(self, values: Tensor) -> Tensor:
        """Return values in the units of the data (..., targets) normalised."""
        return (values - self.target_mean) / self.target_scale


class StationLstm(HeadedForecaster):
    """An LSTM over the past of the station and its neighbours; the forecast departs from the last value.

    Parameters
    ----------
    site
        What it sees and forecasts.
    head
        What it answers with.
    width, layers
        Units and layers of the LSTM.
    hidden
        Units of the head.

    Raises
    ------
    ConfigError
        If the targets' past is not seen.
    """

    def __init__(self, site: Site, *, head: Head, width: int, layers: int, hidden: int) -> None:
        require_past(site, "station_lstm")
        super().__init__(site, head=head, code=width + 2, hidden=hidden)
        self.lstm = nn.LSTM(len(site.series), width, layers, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output (batch, leads, ...)."""
        seen = self.unpack(inputs)
        series = self.normalised(seen).series
        states, _ = self.lstm(series)
        last = self.departing(seen.series[:, -1:, : len(self.site.targets)])
        return self.answer(torch.cat([states[:, -1], seen.hour], dim=1), last)


class MapEncoder(nn.Module):
    """The same convolutions over the fields of each time, and one code for each time.

    Parameters
    ----------
    channels
        Fields at a time.
    widths
        Maps of the layers; each halves the grid.
    code
        Values of a time's code.
    """

    def __init__(self, channels: int, widths: Sequence[int], code: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for below, width in pairwise((channels, *widths)):
            layers += [nn.Conv2d(below, width, 3, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], code))

    def forward(self, fields: Tensor) -> Tensor:
        """Return codes (batch, steps * code) of fields (batch, steps, channels, rows, columns)."""
        found: Tensor = self.layers(fields.flatten(0, 1))
        return found.reshape(len(fields), -1)


class NwpCnn(HeadedForecaster):
    """Convolutions over the box of a prediction at the leads; the forecast departs from the mean.

    Parameters
    ----------
    site
        What it sees and forecasts.
    head
        What it answers with.
    widths, code
        Of the encoder.
    hidden
        Units of the head.

    Raises
    ------
    ConfigError
        If there is no prediction.
    """

    def __init__(self, site: Site, *, head: Head, widths: Sequence[int], code: int, hidden: int) -> None:
        require_prediction(site, "nwp_cnn")
        super().__init__(site, head=head, code=site.leads * code + 2, hidden=hidden)
        self.encoder = MapEncoder(len(site.ahead.scales), widths, code)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output (batch, leads, ...)."""
        seen = self.normalised(self.unpack(inputs))
        codes = self.encoder(seen.ahead[:, self.site.seen :])
        return self.answer(torch.cat([codes, seen.hour], dim=1), codes.new_zeros(1, 1, len(self.site.targets)))


class StationNwp(HeadedForecaster):
    """Encoders of stations and of a prediction, and the prediction at the nearest grid point put in beside them.

    The forecast departs from that grid point's value. Beside the layers a linear path leads from the series and that
    grid point's values to the answer.

    Parameters
    ----------
    site
        What it sees and forecasts.
    head
        What it answers with.
    widths, code
        Of the encoder of the prediction.
    station_width
        Maps of the convolutions over time, and values of the stations' code.
    hidden
        Units of the head.

    Raises
    ------
    ConfigError
        If there is no prediction, or no past of the targets.
    """

    def __init__(
        self, site: Site, *, head: Head, widths: Sequence[int], code: int, station_width: int, hidden: int
    ) -> None:
        require_prediction(site, "station_nwp")
        require_past(site, "station_nwp")
        targets, channels = len(site.targets), len(site.ahead.scales)
        told = site.steps * (channels + targets)
        super().__init__(site, head=head, code=station_width + site.steps * code + told + 2, hidden=hidden)
        self.encoder = MapEncoder(channels, widths, code)
        self.stations = nn.Sequential(
            nn.Conv1d(len(site.series) + targets, station_width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(station_width, station_width, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(site.seen * station_width, station_width),
        )
        linear = site.seen * (len(site.series) + targets) + site.steps * targets
        self.shortcut = nn.Linear(linear, site.leads * self.outputs, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output (batch, leads, ...)."""
        raw = self.unpack(inputs)
        seen = self.normalised(raw)
        said = self.departing(self.nearest(raw))
        row, column = self.site.point or (0, 0)
        # What the prediction was off is most of what the past tells of the next hours.
        off = self.departing(raw.series[..., : len(self.site.targets)]) - said[:, : self.site.seen]
        past = torch.cat([seen.series, off], dim=-1).transpose(1, 2)
        parts = [self.stations(past), self.encoder(seen.ahead), seen.ahead[..., row, column].flatten(1)]
        code = torch.cat([*parts, said.flatten(1), seen.hour], dim=1)
        beside = self.shortcut(torch.cat([past.flatten(1), said.flatten(1)], dim=1))
        return self.answer(code, said[:, self.site.seen :], beside)
