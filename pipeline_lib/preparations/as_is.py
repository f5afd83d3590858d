"""Variables as the source delivers them, in canonical form."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

import xarray as xr

from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.preparations.made_of_one import require
from pipeline_lib.preparations.registry import PREPARATIONS


@PREPARATIONS.register("as_is")
class AsIs:
    """Named variables, converted to canonical form and nothing else."""

    needs: ClassVar[tuple[str, ...]] = ()

    class Options(BaseOptions):
        """Options of this preparation."""

        variables: tuple[str, ...]
        """Canonical names of the variables to keep, in order."""
        dtype: Literal["float32", "float64"] = "float32"
        """How they are stored; a model can be as exact as this and no more."""

    @staticmethod
    def produces(options: Options) -> tuple[str, ...]:
        """Names of the dataset's variables."""
        return options.variables

    @staticmethod
    def narrowed(
        options: Options,
        wanted: Collection[str],
        contract: Collection[str],  # noqa: ARG004 - each variable is made of itself
    ) -> tuple[Options, tuple[str, ...]]:
        """Keep what is wanted; each is made of itself."""
        kept = tuple(name for name in options.variables if name in wanted)
        return options.model_copy(update={"variables": kept}), kept

    @staticmethod
    def prepare(ds: xr.Dataset, options: Options) -> xr.Dataset:
        """Return the variables in the format that is asked for.

        Raises
        ------
        DataError
            If one is not there.
        """
        require(ds, options.variables)
        return ds[list(options.variables)].astype(options.dtype, keep_attrs=True)
