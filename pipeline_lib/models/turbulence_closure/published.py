"""The networks of Frezat et al. (2021, Phys. Rev. Fluids 6) for the tendency of a scalar by scales below the grid.

The box is periodic, so that every convolution wraps around. Unlike there, the last layer starts at zero: training
starts from the coarse solver.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from pipeline_lib.solvers.turbulence import COMPONENTS

_CHANNELS = (8, 16, 32, 64, 128)
"""Of five convolutions."""
_WIDTH = 3
_SCALAR_WIDTH = 7
"""Points that the convolution of the scalar sees along each axis."""


class ScalarNetwork(nn.Module):
    """Five convolutions of velocity and scalar, each normalised over the batch and cut at zero, and a sum of channels.

    295,248 values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features, self.last = _features(COMPONENTS + 1), _last()

    def forward(self, fields: Tensor) -> Tensor:
        """Return the term (batch, 1, z, y, x) of fields (batch, 4, z, y, x)."""
        term: Tensor = self.last(self.features(fields))
        return term


class InvariantNetwork(nn.Module):
    """The same convolutions of the velocity without its mean, times one linear convolution of the scalar.

    It is linear in the scalar and, but for the mean of the scalar, the same for a moving observer; 338,936 values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features, self.last = _features(COMPONENTS), _last()
        self.scalar = _wrapped(1, _CHANNELS[-1], _SCALAR_WIDTH)

    def forward(self, fields: Tensor) -> Tensor:
        """Return the term (batch, 1, z, y, x) of fields (batch, 4, z, y, x)."""
        velocity, scalar = fields[:, :COMPONENTS], fields[:, COMPONENTS:]
        fluctuation = velocity - velocity.mean((-3, -2, -1), keepdim=True)
        term: Tensor = self.last(self.features(fluctuation) * self.scalar(scalar))
        return term


def _features(channels: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for before, after in pairwise((channels, *_CHANNELS)):
        parts += [_wrapped(before, after, _WIDTH), nn.BatchNorm3d(after), nn.ReLU()]
    return nn.Sequential(*parts)


def _wrapped(before: int, after: int, width: int) -> nn.Conv3d:
    return nn.Conv3d(before, after, width, padding=width // 2, padding_mode="circular", bias=False)


def _last() -> nn.Conv3d:
    layer = nn.Conv3d(_CHANNELS[-1], 1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    return layer
