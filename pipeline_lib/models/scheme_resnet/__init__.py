"""Residual networks whose blocks are steps of integration schemes, LM-ResNet among them.

Lu, Zhong, Li and Dong (2018), Beyond finite layer neural networks: bridging deep architectures and numerical
differential equations, ICML 2018, arXiv 1710.10121.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.models.base import Fact, ModelCard, NetworkModel, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.options import refuse_unused

if TYPE_CHECKING:
    import torch

BlockKind = Literal["plain", "euler", "multistep", "leapfrog", "heun", "rk4", "poly2", "implicit", "reversible"]
_SHARED = ("heun", "rk4", "poly2", "implicit")
"""Kinds that evaluate one F several times in a block."""


@MODELS.register("scheme_resnet")
class SchemeResNet(NetworkModel):
    """A pre-activation residual network of which the block is an option."""

    threads = 1  # arrays too small to be worth dividing

    card: ClassVar[ModelCard] = ModelCard(
        title="Scheme ResNet",
        summary="Image classifier of residual blocks. A residual block x + F(x) is a step of Euler's scheme; other"
        " schemes give other blocks: linear multistep with a learned weight (LM-ResNet), leapfrog, Runge-Kutta,"
        " PolyNet's poly-2, backward Euler, reversible (RevNet), and for comparison none.",
        task="classification",
        citation="Lu, Zhong, Li, Dong, Beyond finite layer neural networks: bridging deep architectures and numerical"
        " differential equations, ICML 2018",
        year=2018,
        arxiv="1710.10121",
        parameters=PublishedCount(
            total=272_378,
            counts="trainable values of the ResNet of 20 layers for CIFAR-10 (widths 16, 32, 64, three blocks each,"
            " batch normalisation); printed as .27 M",
            confidence="verified",
        ),
        facts=(
            Fact(text="LM-ResNet has one more value per block than a ResNet: the weight k of the state before last;"
                 " here not of the blocks that change the resolution, which have no such state",
                 confidence="code"),
            Fact(text="k stands before the older state in the paper; the code learns s = 1 - k, drawn from [1, 1.1]",
                 confidence="code"),
            Fact(text="a flag of the authors' code that is on by default turns all blocks into Euler steps",
                 confidence="code"),
            Fact(text="trained by SGD with momentum 0.9, weight decay 1e-4, a learning rate of 0.1 that falls in steps,"
                 " in batches of 128", confidence="memory"),
            Fact(text="claimed: LM-ResNet with 56 layers (0.85 M) does as well as a ResNet with 110 (1.7 M)",
                 confidence="slides"),
        ),
        limits=(
            "On scikit-learn's digits a deep network without skips fails, and the other kinds of block differ by no"
            " more than seeds do; nothing follows from that for larger images.",
            "Equal numbers of values are not equal work: Heun and poly-2 evaluate F twice in a block, RK4 four times,"
            " backward Euler as often as it iterates.",
            "No stochastic depth, and no published score of CIFAR can be tried here: no source holds these images.",
            "At a change of resolution the history ends; a reversible network can be undone within a stage only.",
        ),
        licence="Networks written anew from the description of the blocks.",
    )  # fmt: skip
    training: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "schedule": "steps",
            "patience": None,
        }
    )

    class Options(BaseOptions):
        """Options of this model."""

        block: BlockKind = "euler"
        """Scheme of which a block is a step; ``euler`` is a ResNet, ``plain`` a network without skips."""
        blocks: int = Field(4, gt=0)
        """Blocks of each stage."""
        widths: tuple[int, ...] = Field((8,), min_length=1)
        """Channels of each stage; every stage after the first halves height and width. (16, 32, 64) with 3, 5, 7, 9 or
        18 blocks are the published networks for CIFAR of 20 to 110 layers."""
        normalisation: Literal["batch", "group", "none"] = "group"
        """Before each convolution of a block. ``batch`` is the published one; it is refused for blocks that evaluate
        one F several times (heun, rk4, poly2, implicit): its running statistics would mix those of different inputs.
        What comes out of the last block is normalised over batches in either case, with ``none`` not at all."""
        groups: int = Field(2, gt=0)
        """Groups of channels of ``normalisation: group``."""
        iterations: int = Field(5, gt=0)
        """Fixed-point iterations of ``block: implicit``; they converge if F is a contraction: nothing enforces it."""

        @model_validator(mode="after")
        def _used(self) -> Self:
            if self.normalisation != "group":
                refuse_unused(self, ("groups",), f"normalisation {self.normalisation} has none")
            if self.block != "implicit":
                refuse_unused(self, ("iterations",), f"block {self.block} does not iterate")
            return self

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if self.normalisation == "batch" and self.block in _SHARED:
                raise ValueError(
                    f"block {self.block} evaluates one F at several points, whose statistics batch normalisation would"
                    " mix: set normalisation to group or none"
                )
            parts = (self.groups if self.normalisation == "group" else 1) * (2 if self.block == "reversible" else 1)
            for width in self.widths:
                if width < 1 or width % parts:
                    raise ValueError(
                        f"a width of {width} cannot be cut into {parts} equal parts: correct widths or groups"
                    )
            return self

    @classmethod
    def build(cls, options: Options, *, in_channels: int, classes: int) -> torch.nn.Module:
        """Return the network with fresh weights; see :class:`~pipeline_lib.models.base.NetworkModel`."""
        from pipeline_lib.models.scheme_resnet.network import SchemeResNet as Network

        return Network(in_channels, classes, options)
