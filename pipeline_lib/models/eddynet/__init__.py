"""EddyNet and EddyNet_S: small encoder-decoder networks that find eddies in maps of sea-surface height.

Lguensat, Sun, Fablet, Mason, Tandeo and Chen (2018), EddyNet: A deep neural network for pixel-wise classification of
oceanic eddies, IGARSS 2018, arXiv 1711.03954.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from pipeline_lib.models.base import Fact, ModelCard, NetworkModel, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    import torch

_PAPER: dict[str, Any] = {
    "task": "segmentation",
    "citation": (
        "Lguensat, R., Sun, M., Fablet, R., Mason, E., Tandeo, P., Chen, G.: EddyNet: A deep neural network for"
        " pixel-wise classification of oceanic eddies. IGARSS 2018"
    ),
    "year": 2018,
    "arxiv": "1711.03954",
    "licence": "Networks written anew from the layer list; released weights are not distributed here.",
}

_RECIPE: Mapping[str, Any] = MappingProxyType({"loss": "dice", "normalisation": "none", "land_as_background": True})

_FACTS = (
    Fact(
        text="trained with Adam at 1e-3, batches of 16 patches of 128 x 128 cells, at most 100 epochs, early stopping"
        " on the validation loss with patience 5, best weights kept",
        confidence="code",
    ),
    Fact(
        text="input is sea-surface height as delivered, in metres, without normalisation; land is 0", confidence="code"
    ),
    Fact(
        text="the two released weight files carry each other's name: the one called ReluBN holds EddyNet_S",
        confidence="verified",
    ),
)

_LIMITS = (
    "imitates the PET14 labelling: a perfect score means 'same as PET14', not 'true eddy'",
    "the geographic bounds of the published training area are not in the public code",
)


class SharedOptions(BaseOptions):
    """Options of both networks; the defaults are the published values."""

    filters: int = Field(default=32, gt=0)
    """Filters of every convolution."""
    norm_momentum: float = Field(default=0.01, gt=0, le=1)
    """Weight of a batch in the running statistics of batch normalisation (Keras: 0.99 is 0.01 here). Raise it
    for trainings of a few hundred steps, in which the published value does not get away from its start."""


class EddyNetModel(NetworkModel):
    """What both networks share."""

    size_multiple: ClassVar[int] = 8
    training: ClassVar[Mapping[str, Any]] = _RECIPE
    dropped: ClassVar[str]
    """The option that holds the share of values dropped after each stage."""
    self_normalising: ClassVar[bool]

    @classmethod
    def build(cls, options: SharedOptions, *, in_channels: int, classes: int) -> torch.nn.Module:
        """Return the network with fresh weights; see :class:`~pipeline_lib.models.base.NetworkModel`."""
        from pipeline_lib.models.eddynet.network import EddyNetwork

        return EddyNetwork(
            in_channels,
            classes,
            filters=options.filters,
            dropout=getattr(options, cls.dropped),
            self_normalising=cls.self_normalising,
            norm_momentum=options.norm_momentum,
        )


@MODELS.register("eddynet")
class EddyNet(EddyNetModel):
    """EddyNet with ReLU and batch normalisation."""

    class Options(SharedOptions):
        """Options of EddyNet; the defaults are the published values."""

        dropout: float = Field(default=0.25, ge=0, lt=1)
        """Share of values dropped after each stage."""

    card = ModelCard(
        title="EddyNet",
        summary="Three-level encoder-decoder with 32 filters everywhere: sea-surface height to no eddy, anticyclone"
        " or cyclone. Convolution, ReLU, then batch normalisation.",
        parameters=PublishedCount(
            total=178_595, counts="trainable values and running statistics, one input channel", confidence="verified"
        ),
        facts=(
            *_FACTS,
            Fact(
                text="the count 177,571 printed with the paper's table is that of EddyNet_S, not of this network",
                confidence="verified",
            ),
        ),
        limits=_LIMITS,
        **_PAPER,
    )
    dropped = "dropout"
    self_normalising = False


@MODELS.register("eddynet_s")
class EddyNetS(EddyNetModel):
    """EddyNet_S: scaled exponential units, alpha dropout, fewer normalisation layers."""

    class Options(SharedOptions):
        """Options of EddyNet_S; the defaults are the published values."""

        alpha_dropout: float = Field(default=0.05, ge=0, lt=1)
        """Share of values that alpha dropout replaces after each stage."""

    card = ModelCard(
        title="EddyNet_S",
        summary="EddyNet with self-normalising SELU units and alpha dropout; batch normalisation is kept after"
        " pooling, up-sampling and concatenation.",
        parameters=PublishedCount(
            total=177_571, counts="trainable values and running statistics, one input channel", confidence="verified"
        ),
        facts=_FACTS,
        limits=_LIMITS,
        **_PAPER,
    )
    dropped = "alpha_dropout"
    self_normalising = True
