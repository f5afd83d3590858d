"""The network of EddyNet and EddyNet_S (arXiv 1711.03954), layer by layer as in the released code."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline_lib.models.dropout import AlphaDropout, Dropout
from pipeline_lib.models.keras import NORM_EPSILON, UpConv2d, initialise

LEVELS = 3


class EddyNetwork(nn.Module):
    """Three poolings down, three transposed convolutions up, two 3x3 convolutions at every stage.

    Parameters
    ----------
    in_channels, classes
        Channels of the input and of the logits.
    filters
        Filters of every convolution.
    dropout
        Dropout share; alpha dropout if ``self_normalising``.
    self_normalising
        ``False`` gives EddyNet (ReLU, then batch normalisation), ``True`` gives EddyNet_S (SELU).
    norm_momentum
        Weight of a batch in the running statistics of batch normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        filters: int,
        dropout: float,
        self_normalising: bool,
        norm_momentum: float,
    ) -> None:
        super().__init__()
        self.self_normalising, self.norm_momentum = self_normalising, norm_momentum
        channels = [in_channels] + [filters] * LEVELS
        self.encoders = nn.ModuleList()
        self.pools = nn.ModuleList()
        for level in range(LEVELS):
            # The deepest encoder of EddyNet has one more dropout, between its two convolutions.
            middle = dropout if level == LEVELS - 1 and not self_normalising else 0.0
            self.encoders.append(self._stage(channels[level], filters, dropout, middle))
            pool: list[nn.Module] = [nn.MaxPool2d(2)]
            if self_normalising:
                pool.append(self._norm(filters))
            self.pools.append(nn.Sequential(*pool))
        self.centre = self._stage(filters, filters, dropout)
        self.ups = nn.ModuleList(self._up(filters) for _ in range(LEVELS))
        self.decoders = nn.ModuleList()
        for level in range(LEVELS):
            last = level == LEVELS - 1
            after = 0.0 if last and self_normalising else dropout
            stage = self._stage(2 * filters, filters, after)
            self.decoders.append(nn.Sequential(self._norm(2 * filters), *stage))
        self.head = nn.Conv2d(filters, classes, kernel_size=1)
        initialise(self.head, "glorot_uniform")

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w), h and w multiples of 8, to logits (batch, classes, h, w)."""
        skips = []
        for encoder, pool in zip(self.encoders, self.pools, strict=True):
            skips.append(encoder(x))
            x = pool(skips[-1])
        x = self.centre(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(torch.cat([up(x), skips.pop()], dim=1))
        logits: Tensor = self.head(x)
        return logits

    def _stage(self, inputs: int, filters: int, dropout: float, middle: float = 0.0) -> nn.Sequential:
        layers = [*self._unit(inputs, filters), *self._drop(middle), *self._unit(filters, filters)]
        return nn.Sequential(*layers, *self._drop(dropout))

    def _unit(self, inputs: int, filters: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, filters, kernel_size=3, padding=1)
        initialise(conv, "lecun_normal" if self.self_normalising else "he_normal")
        if self.self_normalising:
            return [conv, nn.SELU(inplace=True)]
        return [conv, nn.ReLU(inplace=True), self._norm(filters)]

    def _up(self, filters: int) -> nn.Sequential:
        conv = UpConv2d(filters, filters)
        initialise(conv, "lecun_normal" if self.self_normalising else "he_normal")
        if self.self_normalising:
            return nn.Sequential(conv, nn.SELU(), self._norm(filters))
        return nn.Sequential(conv, nn.ReLU())

    def _drop(self, share: float) -> list[nn.Module]:
        if share == 0.0:
            return []
        return [AlphaDropout(share) if self.self_normalising else Dropout(share)]

    def _norm(self, channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, eps=NORM_EPSILON, momentum=self.norm_momentum)
