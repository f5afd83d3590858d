"""The registry of preparations and what a preparation must offer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Protocol

import xarray as xr

from pipeline_lib.options import Options
from pipeline_lib.registry import Registry


class Preparation(Protocol):
    """Turns canonical source variables into dataset variables."""

    Options: ClassVar[type[Options]]
    """Options of the ``preparation.options`` block of a catalog entry."""
    needs: ClassVar[tuple[str, ...]]
    """Canonical variables that must be there."""

    @staticmethod
    def produces(options: Any) -> tuple[str, ...]:  # noqa: ANN401 - the implementation's own Options
        """Names of the dataset's variables."""
        ...

    @staticmethod
    def narrowed(
        options: Any,  # noqa: ANN401 - the implementation's own Options
        wanted: Collection[str],
        contract: Collection[str],
    ) -> tuple[Any, tuple[str, ...]]:
        """Return options that make some variables of a dataset, and the canonical ones of the source that this takes.

        Parameters
        ----------
        options
            Those of training.
        wanted
            Variables of the dataset that must be made; others may be left out, such as the answers to be found.
        contract
            Canonical variables of the source.
        """
        ...

    @staticmethod
    def prepare(ds: xr.Dataset, options: Any) -> xr.Dataset:  # noqa: ANN401 - the implementation's own Options
        """Return the dataset; lazy when ``ds`` is chunked in time."""
        ...


PREPARATIONS: Registry[type[Preparation]] = Registry("preparation", "PREPARATIONS", "pipeline_lib.preparations")
