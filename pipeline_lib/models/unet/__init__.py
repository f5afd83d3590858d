"""A U-Net of today with the parameter budget of EddyNet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from pipeline_lib.models.base import Fact, ModelCard, NetworkModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    import torch


@MODELS.register("unet")
class UNet(NetworkModel):
    """Residual U-Net."""

    class Options(BaseOptions):
        """Options of the U-Net."""

        widths: tuple[int, ...] = Field(default=(16, 32, 32, 32, 48), min_length=5, max_length=5)
        """Channels of each of the five levels, finest first."""

    card = ModelCard(
        title="U-Net",
        summary="Residual U-Net of five levels with as many parameters as EddyNet, most of them at coarse levels:"
        " a training step costs less than half as much and each cell sees twice as far.",
        task="segmentation",
        citation="our own; after Ronneberger, Fischer and Brox: U-Net. MICCAI 2015, and He et al.: Deep residual"
        " learning. CVPR 2016",
        facts=(
            Fact(text="183,315 trainable parameters with one input channel and three classes", confidence="verified"),
        ),
        limits=("not a published system: there are no published scores to compare it with",),
    )
    size_multiple: ClassVar[int] = 16
    training: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "normalisation": "standard",
            "learning_rate": 6e-3,
            "schedule": "cosine",
            "warm_up": 0.1,
            "averaging": 0.97,
        }
    )

    @classmethod
    def build(cls, options: Options, *, in_channels: int, classes: int) -> torch.nn.Module:
        """Return the network with fresh weights; see :class:`~pipeline_lib.models.base.NetworkModel`."""
        from pipeline_lib.models.unet.network import UNetwork

        return UNetwork(in_channels, classes, widths=options.widths)
