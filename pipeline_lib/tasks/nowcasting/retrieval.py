"""The second stage of a nowcast: another variable, retrieved from the forecast frames."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray
from pydantic import ValidationError

from pipeline_lib.data.blocks import time_blocks
from pipeline_lib.errors import DataError, StoreError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.retrieval.features import features_of
from pipeline_lib.retrieval.options import RetrievalOptions
from pipeline_lib.retrieval.rain import Retrieval
from pipeline_lib.tasks.nowcasting.names import BOUND, RETRIEVED
from pipeline_lib.tasks.nowcasting.sequences import Index, Rows

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


def add_retrieved(product: xr.Dataset, forecast: str, trained: Manifest, ds: xr.Dataset, rows: Rows) -> None:
    """Put what a model's retrieval makes of the forecast, and of the true frames, into its product.

    It is computed when it is read, as many starts at a time as the forecast is.

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
    rows
        Which of them lie in a row.

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
    stage = _Stage(retrieval, options.surface, ds, name, rows, product.sizes["lead"])
    starts = np.searchsorted(ds["time"].values, product["time"].values)
    told = {
        "units": UNITS,
        "coverage_content_type": "modelResult",
        "forecast_of": options.target,
        "retrieval": json.dumps(trained.content["retrieval"], sort_keys=True),
    }
    words = f"{options.target} retrieved from the true frames of the times that are forecast"
    rates, bound = _lazily(stage, made.data, starts)
    product[RETRIEVED] = (made.dims, rates, {**told, "long_name": f"{options.target} retrieved from the forecast"})
    product[BOUND] = (made.dims, bound, {**told, "long_name": words})


@dataclass(frozen=True)
class _Stage:
    """A retrieval and the frames of a period."""

    retrieval: Retrieval
    surface: str | None
    ds: xr.Dataset
    frames: str
    rows: Rows
    leads: int

    def of_forecasts(self, made: NDArray[Any], starts: Index) -> NDArray[Any]:
        """Rates (start, lead, y, x) of forecasts of that shape."""
        below = None if self.surface is None else self.ds[self.surface].isel(time=starts).values[:, None]
        return self.retrieval.rates(made, below).astype(made.dtype)

    def of_truth(self, starts: Index) -> NDArray[Any]:
        """Rates (start, lead, y, x) of the true frames that follow; NaN beyond the end of a row."""
        ahead = np.arange(1, self.leads + 1)
        places = (starts[:, None] + ahead).clip(max=self.ds.sizes["time"] - 1)
        needed = np.unique(places)
        frames = self.ds[self.frames].isel(time=needed).values
        below = None if self.surface is None else self.ds[self.surface].isel(time=needed).values
        rates = self.retrieval.rates(frames, below).astype(frames.dtype)
        found: NDArray[Any] = rates[np.searchsorted(needed, places)]
        found[ahead > self.rows.after[starts][:, None]] = np.nan
        return found


def _lazily(stage: _Stage, forecasts: Any, starts: Index) -> tuple[Any, Any]:  # noqa: ANN401 - arrays of dask or numpy
    """Rates of the forecasts and of the truth, in the forecast's own chunks of starts."""
    if not isinstance(forecasts, da.Array):
        if not len(starts):
            return forecasts, forecasts
        return stage.of_forecasts(forecasts, starts), stage.of_truth(starts)
    of_forecasts, of_truth = delayed(stage.of_forecasts, pure=False), delayed(stage.of_truth, pure=False)
    rates: list[da.Array] = []
    bound: list[da.Array] = []
    first = 0
    # The chunks themselves: a part of the array would be computed anew, by a network that has run already.
    chunks = forecasts.to_delayed(optimize_graph=False).ravel()  # type: ignore[no-untyped-call]
    for made, count in zip(chunks, forecasts.chunks[0], strict=True):
        part = starts[first : first + count]
        shape = (count, *forecasts.shape[1:])
        blocks = of_forecasts(made, part), of_truth(part)
        for block, found in zip(blocks, (rates, bound), strict=True):
            found.append(da.from_delayed(block, shape, dtype=forecasts.dtype))  # type: ignore[no-untyped-call]
        first += count
    return da.concatenate(rates), da.concatenate(bound)  # type: ignore[no-untyped-call]


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
