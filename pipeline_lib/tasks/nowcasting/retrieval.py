"""The second stage of a nowcast: another variable, retrieved from the forecast frames."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray
from pydantic import ValidationError

from pipeline_lib.data.blocks import time_blocks
from pipeline_lib.data.canonical import COORDINATE_ATTRS
from pipeline_lib.errors import DataError, StoreError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.retrieval.features import features_of
from pipeline_lib.retrieval.options import RetrievalOptions
from pipeline_lib.retrieval.rain import Retrieval
from pipeline_lib.tasks.nowcasting.names import BOUND, RETRIEVED, VALID_TIME
from pipeline_lib.tasks.nowcasting.sequences import Index

logger = logging.getLogger(__name__)

FILE = "retrieval.json"
"""Payload of a model: the fitted retrieval."""
UNITS = "mm h-1"
"""Of what is retrieved."""


def fit_retrieval(ds: xr.Dataset, frames: str, options: RetrievalOptions) -> Retrieval:
    """Fit a retrieval to pairs of a frame's pixel and the rain rate there, where both are known.

    Parameters
    ----------
    ds
        The training days.
    frames
        Variable that it retrieves from.
    options
        Target and size.

    Raises
    ------
    DataError
        If a variable is missing, has another grid or another unit than mm h-1, or there are too few pairs.
    """
    _require(ds, (options.target,) if options.surface is None else (options.target, options.surface), like=frames)
    if ds[options.target].attrs.get("units") != UNITS:
        units = ds[options.target].attrs.get("units")
        raise DataError(f"is in {units!r}, no rain rate ({UNITS})", where=options.target, fix="choose another target")
    each = -(-options.samples // ds.sizes["time"])
    features, rates = zip(*_pairs(ds, frames, options, each), strict=True)
    found = Retrieval.fit(np.concatenate(features), np.concatenate(rates), options)
    logger.info("retrieval of %s: fitted to %d pixels", options.target, sum(map(len, rates)))
    return found


def _pairs(
    ds: xr.Dataset, frames: str, options: RetrievalOptions, each: int
) -> Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Give features and rates of some pixels of each frame, drawn by its number."""
    for part, given in time_blocks(ds[frames]):
        rain = ds[options.target].isel(time=part).values.astype(np.float64)
        below = None if options.surface is None else ds[options.surface].isel(time=part).values
        for place, number in enumerate(range(part.start, part.stop)):
            features = features_of(given[place], None if below is None else below[place])
            rates = rain[place]
            known = np.flatnonzero(np.isfinite(features).all(axis=-1) & np.isfinite(rates))
            rng = np.random.default_rng([options.seed, number])
            chosen = rng.choice(known, min(each, known.size), replace=False)
            yield features.reshape(-1, features.shape[-1])[chosen], rates.ravel()[chosen]


def load_retrieval(trained: Manifest) -> tuple[Retrieval, RetrievalOptions] | None:
    """Return the retrieval of a stored model and its options; ``None`` if it has none.

    Raises
    ------
    StoreError
        If it was stored in another form than today's.
    """
    told = trained.content.get("retrieval")
    if told is None:
        return None
    stored = json.loads(trained.file(FILE).read_text(encoding="utf-8"))
    try:
        return Retrieval.from_plain(stored), RetrievalOptions.model_validate(told["options"])
    except (KeyError, ValidationError) as error:
        raise StoreError(
            "holds no retrieval as they are today", where=str(trained.path), fix="train it again"
        ) from error


def surface_of(trained: Manifest) -> str | None:
    """Return the variable of the surface below that a model's retrieval looks at."""
    told = trained.content.get("retrieval")
    return None if told is None else told["options"]["surface"]


def add_retrieved(product: xr.Dataset, forecast: str, trained: Manifest, ds: xr.Dataset, *, tail: int) -> None:
    """Put what a model's retrieval makes of the forecast, and of the true frames, into its product.

    It is computed when it is read: of the forecast as many starts at a time as the forecast is, of the true frames as
    many times as they are stored together.

    Parameters
    ----------
    product
        Holds ``forecast`` (time, lead, y, x); changed.
    forecast
        Its variable.
    trained
        The model; without a retrieval nothing is done.
    ds
        The frames.
    tail
        How many of them, the first ones, are of the period before: they stand in its product.

    Raises
    ------
    DataError
        If the surface is missing or has another grid.
    """
    stored = load_retrieval(trained)
    if stored is None:
        return
    retrieval, options = stored
    made = product[forecast]
    name = str(made.attrs["forecast_of"])
    if options.surface is not None:
        _require(ds, (options.surface,), like=name)
    below = None if options.surface is None else ds[options.surface]
    told = {
        "units": UNITS,
        "coverage_content_type": "modelResult",
        "forecast_of": options.target,
        "retrieval": json.dumps(trained.content["retrieval"], sort_keys=True),
    }
    starts = np.searchsorted(ds["time"].values, product["time"].values)
    words = f"{options.target} retrieved from the forecast"
    product[RETRIEVED] = (made.dims, _of_forecasts(retrieval, made.data, below, starts), {**told, "long_name": words})
    own = slice(tail, None)
    true = _of_frames(retrieval, ds[name].isel(time=own), None if below is None else below.isel(time=own))
    product[VALID_TIME] = (
        VALID_TIME,
        true["time"].values,
        COORDINATE_ATTRS["time"] | {"long_name": "time of the frame"},
    )
    words = f"{options.target} retrieved from the true frames"
    product[BOUND] = ((VALID_TIME, *made.dims[2:]), true.data, {**told, "long_name": words})


def _of_frames(retrieval: Retrieval, frames: xr.DataArray, below: xr.DataArray | None) -> xr.DataArray:
    """Rates of frames (time, y, x), lazy if these are."""

    def rates(*fields: NDArray[Any]) -> NDArray[Any]:
        return retrieval.rates(*fields).astype(frames.dtype)

    fields = [frames] if below is None else [frames, below]
    cells = frames.dims[1:]
    found: xr.DataArray = xr.apply_ufunc(
        rates,
        *fields,
        input_core_dims=[cells] * len(fields),
        output_core_dims=[cells],
        dask="parallelized",
        output_dtypes=[frames.dtype],
    )
    return found


def _of_forecasts(
    retrieval: Retrieval,
    forecasts: Any,  # noqa: ANN401 - an array of dask or numpy
    below: xr.DataArray | None,
    starts: Index,
) -> Any:  # noqa: ANN401 - the same
    """Rates of forecasts (start, lead, y, x) in their own chunks of starts."""

    def rates(made: NDArray[Any], part: Index) -> NDArray[Any]:
        surface = None if below is None else below.isel(time=part).values[:, None]
        return retrieval.rates(made, surface).astype(made.dtype)

    if not isinstance(forecasts, da.Array):
        return rates(forecasts, starts) if len(starts) else forecasts
    lazily = delayed(rates, pure=False)
    blocks: list[da.Array] = []
    first = 0
    # The chunks themselves: a part of the array would be computed anew, by a network that has run already.
    chunks = forecasts.to_delayed(optimize_graph=False).ravel()  # type: ignore[no-untyped-call]
    for made, count in zip(chunks, forecasts.chunks[0], strict=True):
        shape = (count, *forecasts.shape[1:])
        block = lazily(made, starts[first : first + count])
        blocks.append(da.from_delayed(block, shape, dtype=forecasts.dtype))  # type: ignore[no-untyped-call]
        first += count
    return da.concatenate(blocks)  # type: ignore[no-untyped-call]


def _require(ds: xr.Dataset, names: Iterable[str], *, like: str) -> None:
    for name in names:
        if name not in ds:
            raise DataError(
                f"there is no variable {name!r}",
                where="training.retrieval",
                fix="keep it in the source's preparation, or correct the name",
            )
        if ds[name].shape != ds[like].shape:
            raise DataError(f"has shape {ds[name].shape}, the frames are {ds[like].shape}", where=name)
