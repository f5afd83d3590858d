"""States of which some components are never seen."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal

import xarray as xr
from pydantic import Field

from pipeline_lib.data.trajectories import AGE_OF_STATE
from pipeline_lib.errors import DataError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.preparations.made_of_one import require
from pipeline_lib.preparations.registry import PREPARATIONS


@PREPARATIONS.register("state_components")
class StateComponents:
    """Some entries of the first axis of a state, and nothing of the others."""

    needs: ClassVar[tuple[str, ...]] = ()

    class Options(BaseOptions):
        """Options of this preparation."""

        variable: str
        """Canonical name of the states."""
        components: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
        """Numbers of the entries to keep, from 0, in the order in which they are wanted."""
        dtype: Literal["float32", "float64"] = "float64"
        """How they are stored; a model can be as exact as this and no more."""

    @staticmethod
    def produces(options: Options) -> tuple[str, ...]:
        """Names of the dataset's variables."""
        return (options.variable,)

    @staticmethod
    def narrowed(
        options: Options,
        wanted: Collection[str],  # noqa: ARG004 - there is one variable
        contract: Collection[str],
    ) -> tuple[Options, tuple[str, ...]]:
        """Take the states, and their ages if the source has any."""
        return options, (options.variable, *(name for name in contract if name == AGE_OF_STATE))

    @staticmethod
    def prepare(ds: xr.Dataset, options: Options) -> xr.Dataset:
        """Return these entries of the states; of several trajectories, the ages as well.

        Raises
        ------
        DataError
            If the states are not there, or have no such entry.
        """
        require(ds, (options.variable,))
        states = ds[options.variable]
        size = states.shape[1] if states.ndim > 1 else 0
        if max(options.components) >= size:
            raise DataError(
                f"the states have {size} components, asked for are {options.components}",
                where="preparation.options.components",
                fix="count from 0",
            )
        kept = states.isel({states.dims[1]: options.components}).astype(options.dtype, keep_attrs=True)
        ages = {AGE_OF_STATE: ds[AGE_OF_STATE]} if AGE_OF_STATE in ds else {}
        return xr.Dataset({options.variable: kept, **ages})
