"""What a model is: a card, options, and either a network to train or an algorithm that needs no training.

A model is one file in ``pipeline_lib/models``::

    @MODELS.register("tiny")
    class Tiny(NetworkModel):
        \"\"\"One 3x3 convolution.\"\"\"

        card = ModelCard(title="Tiny", summary="One convolution.", task="segmentation")

        class Options(Options):
            bias: bool = True

        @classmethod
        def build(cls, options, *, in_channels, classes):
            import torch

            return torch.nn.Conv2d(in_channels, classes, 3, padding=1, bias=options.bias)

A network too long for ``build`` goes to a folder: ``tiny/__init__.py`` holds the class above and
``tiny/network.py`` the ``torch.nn.Module``, imported inside ``build``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    import pandas as pd
    import torch
    import xarray as xr

Confidence = Literal["verified", "code", "abstract", "slides", "memory", "unknown"]
"""How sure a fact is: re-computed by us, read in public code, in an abstract, on slides, recalled, not known."""


class Fact(BaseOptions):
    """One statement about a published system and how sure it is."""

    text: str
    confidence: Confidence


class PublishedCount(BaseOptions):
    """A parameter count as published."""

    total: int
    """Number of values counted."""
    counts: str
    """What is counted, for example with or without running statistics."""
    confidence: Confidence


class ModelCard(BaseOptions):
    """What a reader must know about a model before using its numbers."""

    title: str
    """Name as people write it."""
    summary: str
    """One or two sentences: what goes in, what comes out, what is special."""
    task: str
    """The kind of problem, a name under ``pipeline_lib/tasks``."""
    citation: str = ""
    """Authors, title, venue; empty for our own work."""
    year: int | None = None
    """Year of publication."""
    doi: str = ""
    """Digital object identifier, without the resolver's address."""
    arxiv: str = ""
    """arXiv number."""
    parameters: PublishedCount | None = None
    """Parameter count of the publication; ``None`` if there is none."""
    facts: tuple[Fact, ...] = ()
    """What is known of the published system."""
    limits: tuple[str, ...] = ()
    """What the model cannot do, or where ours departs from the publication."""
    licence: str = ""
    """Licence notes on code and weights that exist elsewhere."""


class NoOptions(BaseOptions):
    """Options of a model that has none."""


class Model(ABC):
    """Base of all models; subclasses are never instantiated."""

    card: ClassVar[ModelCard]
    threads: ClassVar[int] = 1
    """CPU threads that a training can make use of; the fewer, the more trainings run side by side."""
    Options: ClassVar[type[BaseOptions]] = NoOptions


class NetworkModel(Model):
    """A model whose weights are learned.

    Attributes
    ----------
    size_multiple
        Height and width of an input must be multiples of this number; maps of other sizes are padded.
    training
        Training options of the task that this model sets differently by default.
    """

    threads = 16
    size_multiple: ClassVar[int] = 1
    training: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    @classmethod
    @abstractmethod
    def build(cls, *args: Any, **sizes: Any) -> torch.nn.Module:  # noqa: ANN401 - own Options and the task's sizes
        """Return a freshly initialised network, called as ``build(options, **sizes)``.

        Parameters
        ----------
        options
            An instance of this class's ``Options``.
        sizes
            What the task fixes. Segmentation: ``in_channels``, ``classes``, the numbers of input variables and of
            output classes. Dynamics: the fields of :class:`~pipeline_lib.models.states.States`.

        Returns
        -------
        torch.nn.Module
            Segmentation: maps (batch, in_channels, height, width) to logits (batch, classes, height, width). Dynamics:
            a :class:`~pipeline_lib.learning.forecaster.Forecaster`.
        """


class FittedModel(NetworkModel):
    """A network whose values are found by a method of its own, in one go, instead of by descent along gradients."""

    @classmethod
    @abstractmethod
    def fit(
        cls,
        network: Any,  # noqa: ANN401 - what its build returns
        train: torch.Tensor,
        validation: torch.Tensor,
        *,
        horizon: int,
    ) -> pd.DataFrame | None:
        """Set the values of a network that :meth:`build` returned; equal arguments give equal values.

        Parameters
        ----------
        network
            The network, in float64.
        train, validation
            Dynamics: normalised states float64 (time, dimension) in order, one time step apart.
        horizon
            Steps of the forecasts by which choices are made on the validation states.

        Returns
        -------
        pandas.DataFrame or None
            One row per epoch, with ``epoch``, ``train_loss`` and ``val_loss``, if the method has epochs.

        Raises
        ------
        DataError
            If the training data are too few for this method.
        """


class AlgorithmModel(Model):
    """A model that computes its answer without training.

    Attributes
    ----------
    needs
        Canonical names of the variables that ``predict`` reads.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def predict(cls, ds: xr.Dataset, options: Any) -> xr.DataArray:  # noqa: ANN401 - own Options
        """Return the class map of a dataset; each map from its own day alone, since they come in blocks of days.

        Parameters
        ----------
        ds
            Dataset in canonical form that holds the variables of ``needs``.
        options
            An instance of this class's ``Options``.

        Returns
        -------
        xarray.DataArray
            int8 class codes with dims (time, latitude, longitude).
        """
