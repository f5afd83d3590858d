"""The layers of DeepRain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.site_forecaster import SiteForecaster
from pipeline_lib.models.frame_layers import pad_to_multiple, rest
from pipeline_lib.models.lstm_frames import LstmLayer, conv_layer, dense_layer

if TYPE_CHECKING:
    from pipeline_lib.models.deeprain import DeepRain
    from pipeline_lib.models.sites import Site


class RainNetwork(SiteForecaster):
    """Recurrent layers over fields, and one sum that is not below zero.

    Parameters
    ----------
    site
        What it sees and forecasts.
    options
        Sizes.

    Raises
    ------
    ConfigError
        If there are no fields of the past, they are smaller than the crop, or nobody knows where the site is in them.
    """

    def __init__(self, site: Site, options: DeepRain.Options) -> None:
        super().__init__(site)
        channels, rows, columns = site.fields.shape
        if not channels:
            raise ConfigError("sees fields of the past, and there are none", where="deeprain", fix="add them to inputs")
        self.dense, self.patch, self.crop = options.cells == "dense", options.patch, options.crop
        layers: list[LstmLayer] = []
        below = channels * rows * columns if self.dense else channels * options.patch**2
        for width in options.widths:
            kernel = options.kernel
            layers.append(dense_layer(below, width) if self.dense else conv_layer(below, width, kernel, kernel))
            below = width
        self.layers = nn.ModuleList(layers)
        smallest = -(-min(rows, columns) // options.patch)
        if not self.dense and options.crop > smallest:
            what = f"is {options.crop} cells, fields are {smallest} across"
            raise ConfigError(what, where="options.crop", fix="take a smaller crop or patch")
        centre = (0, 0) if self.dense else site.centre  # FC-LSTM sees all cells
        if centre is None:
            what = "sees the cells around the site, and the data do not say where in the fields it is"
            fix = "give them station_row and station_column, and choose a station that the fields reach"
            raise ConfigError(what, where="deeprain", fix=fix)
        self.centre = centre
        code = below if self.dense else below * (1 + options.crop**2)
        outputs = site.leads * len(site.targets)
        self.exit = nn.Sequential(nn.Linear(code, options.hidden), nn.ReLU(), nn.Linear(options.hidden, outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, leads, targets), not below 0."""
        fields = self.normalised(self.unpack(inputs)).fields
        if not self.dense:
            fields = functional.pixel_unshuffle(pad_to_multiple(fields, self.patch), self.patch)
        seen = (fields.flatten(2) if self.dense else fields).unbind(1)
        for layer in self.layers:
            if not isinstance(layer, LstmLayer):
                raise TypeError("not a layer of cells")
            zeros = rest(seen[0], layer.width)
            seen = tuple(layer(seen, (zeros, zeros), len(seen))[0])
        last = seen[-1]
        code = last if self.dense else torch.cat([last.mean((-2, -1)), self._around(last)], dim=1)
        raw = self.exit(code).reshape(len(inputs), self.site.leads, len(self.site.targets))
        # In units of the deviation, so that a fresh network is of the right order.
        return self.target_scale * functional.softplus(raw)

    def _around(self, maps: Tensor) -> Tensor:
        """Return the cells around the site (batch, width * crop * crop); near a border, those nearest to it."""
        top, left = (
            min(max(place // self.patch - self.crop // 2, 0), size - self.crop)
            for place, size in zip(self.centre, maps.shape[-2:], strict=True)
        )
        return maps[..., top : top + self.crop, left : left + self.crop].flatten(1)
