"""States, and what an imperfect instrument saw of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline_lib.data.trajectories import AGE_OF_STATE
from pipeline_lib.errors import DataError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.preparations.registry import PREPARATIONS

OBSERVATION = "observation"
_WORD = 2**64 - 1
"""A number of steps before 1970, which a seed cannot be, is taken as the 64 bits that it is stored in."""


@PREPARATIONS.register("observed_states")
class ObservedStates:
    """A state of one axis, and noisy observations of some of its components at some of its times."""

    needs: ClassVar[tuple[str, ...]] = ()

    class Options(BaseOptions):
        """Options of this preparation."""

        variable: str
        """Canonical name of the states."""
        every: int = Field(1, gt=0)
        """Time steps from one time with observations to the next."""
        components: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, min_length=1)
        """Numbers of the components that are observed, from 0; null for all."""
        sites: int | None = Field(default=None, gt=0)
        """How many of these are, drawn anew each time; null for all."""
        share: float | None = Field(default=None, gt=0, lt=1)
        """Instead: with this probability each of them, each time, whatever the others are; null for all."""
        variance: float = Field(gt=0)
        """Variance of the errors, which are Gaussian and independent, in the square of the states' unit."""
        seed: int = Field(0, ge=0)
        """Of errors and of what is observed; what is drawn for a time depends on nothing else but the time."""
        dtype: Literal["float32", "float64"] = "float64"
        """How both variables are stored."""

        @model_validator(mode="after")
        def _one_draw(self) -> Self:
            if self.sites is not None and self.share is not None:
                raise ValueError("sites and share both say how many components are observed: leave one out")
            return self

    @staticmethod
    def produces(options: Options) -> tuple[str, ...]:
        """Names of the dataset's variables."""
        return (options.variable, OBSERVATION)

    @staticmethod
    def narrowed(
        options: Options,
        wanted: Collection[str],  # noqa: ARG004 - both variables are made of the states
        contract: Collection[str],
    ) -> tuple[Options, tuple[str, ...]]:
        """Take the states, of which both variables are made, and their ages if the source has any."""
        return options, (options.variable, *(name for name in contract if name == AGE_OF_STATE))

    @staticmethod
    def prepare(ds: xr.Dataset, options: Options) -> xr.Dataset:
        """Return the states and ``observation``, missing where nothing was observed; of several trajectories, the ages.

        Raises
        ------
        DataError
            If the states have several axes, fewer components than are to be observed, or no time step.
        """
        states = ds[options.variable].astype(options.dtype, keep_attrs=True)
        times = ds["time"].values
        if states.ndim != 2 or len(times) < 2:
            raise DataError(f"has shape {states.shape}: needs two times or more, and one axis", where=options.variable)
        chosen = _chosen(options, states.shape[1])
        step = (times[1] - times[0]) / np.timedelta64(1, "ns")
        # Counted from a fixed date, so that a period knows nothing of the one before it.
        steps = np.round(times.astype("datetime64[ns]").astype(np.int64) / step).astype(np.int64)
        seen = np.full(states.shape, np.nan)
        for place in np.flatnonzero(steps % options.every == 0):
            seen[place] = _errors(options, int(steps[place]), states.shape[1], chosen)
        observed = (states + xr.DataArray(seen, dims=states.dims)).astype(options.dtype)
        units = states.attrs.get("units", "1")
        long_name = f"observations of the {states.attrs.get('long_name', options.variable)}"
        observed.attrs = {"units": units, "long_name": long_name, "error_variance": options.variance}
        ages = {AGE_OF_STATE: ds[AGE_OF_STATE]} if AGE_OF_STATE in ds else {}
        return xr.Dataset({options.variable: states, OBSERVATION: observed, **ages})


def _chosen(options: ObservedStates.Options, size: int) -> NDArray[np.int64]:
    chosen = np.arange(size) if options.components is None else np.asarray(sorted(set(options.components)))
    if chosen.max() >= size or (options.sites or 1) > len(chosen):
        raise DataError(
            f"the states have {size} components, asked for are {options.sites or 'all'} of {chosen.tolist()}",
            where="preparation.options",
        )
    return chosen


def _errors(options: ObservedStates.Options, step: int, size: int, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Errors of the observations of a time, missing where there is none."""
    rng = np.random.default_rng([options.seed, step & _WORD])
    drawn = options.variance**0.5 * rng.standard_normal(size)
    where = chosen if options.sites is None else rng.permutation(chosen)[: options.sites]
    if options.share is not None:
        where = chosen[rng.random(len(chosen)) < options.share]
    errors = np.full(size, np.nan)
    errors[where] = drawn[where]
    return errors
