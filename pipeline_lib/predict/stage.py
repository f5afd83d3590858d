"""Products: a month of the workflow, or a file of the user's own."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import xarray as xr

from pipeline_lib import __version__
from pipeline_lib.data.blocks import checked, in_blocks
from pipeline_lib.data.canonical import canonicalise
from pipeline_lib.data.datasets import concat_times, require_once
from pipeline_lib.data.grids import grid_step, space_axes
from pipeline_lib.data.projected import AXES as PLANE
from pipeline_lib.data.projected import PROJECTION
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import ConfigError, DataError, StoreError
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.io.zarr_store import open_store, write_zarr
from pipeline_lib.learning.device import Device
from pipeline_lib.preparations.registry import PREPARATIONS
from pipeline_lib.readers.registry import READERS
from pipeline_lib.tasks.registry import TASKS, stage_module

FACTS = "facts"
"""Attribute of a product, not stored, in which a task hands over what the manifest is to say of it."""
IN_ORDER = "in_order"
"""Attribute of a product, not stored, in which a task says that values follow from those before."""
logger = logging.getLogger(__name__)

PACKAGES = ("torch", "dask", "scipy", "sympy")
GRID_TOLERANCE = 0.01
"""Relative difference of grid steps that passes: coordinates may be stored in single precision."""


def predict_period(
    *,
    model: Path,
    dataset: Path,
    output: Path,
    device: Device,
    threads: int | None,
    code: str,
    before: Sequence[Path] = (),
    every_start: bool = False,
) -> None:
    """Write the product of one period of the workflow.

    Of frames that no forecast can start from the product is empty: log and manifest say so.

    Parameters
    ----------
    model, dataset
        Manifests of the model and of the dataset's period.
    output
        Manifest to write; ``<period>.zarr`` lies beside it.
    device, threads
        Where to compute, and with how many CPU threads (``None``: all).
    code
        Fingerprint of the code.
    before
        Manifest of the dataset's period before, for tasks that look back; nothing for others.
    every_start
        Forecast from every start that there is, also where those of the test are thinned out; of no meaning for tasks
        that answer at every time.

    Raises
    ------
    DataError
        If the dataset lacks a variable of the model, or has it in another unit, or its frames lie on another grid.
    ConfigError
        If the task does not look back.
    """
    trained = read_manifest(model, kind="model", verify="deep")
    data = read_manifest(dataset, kind="dataset", verify="deep")
    period = data.content["period"]
    ds = open_store(data, f"{period}.zarr", chunks={})
    earlier = [read_manifest(path, kind="dataset", verify="deep") for path in before]
    with Artefact(output, kind="product", code=code, packages=PACKAGES) as out:
        if data.content.get("form") == "frames":
            _check_grid(ds, trained, str(dataset))
        product = _product(trained, ds, device, threads, earlier, every_start=every_start)
        attrs = _attrs(product, trained, source=ds.attrs.get("source", ""), dataset=data.identity)
        attrs |= {name: ds.attrs[name] for name in ("data_status",) if name in ds.attrs}
        _write(product, out.payload(f"{period}.zarr"), attrs)
        out.add_input("model", trained)
        out.add_input("dataset", data)
        for manifest in earlier:
            out.add_input("dataset before", manifest)
        out.options = {"device": _used(device, trained)}
        facts = product.attrs.get(FACTS, {})
        out.content = {"period": period, "times": int(product.sizes["time"]), **facts}
    if "no_forecast" in facts:
        logger.warning("%s: empty, no forecast can start: %s", output, facts["no_forecast"])
    logger.info("%s: %d times", output, product.sizes["time"])


def predict_file(
    *,
    model: Path,
    sources: Sequence[Path],
    names: Mapping[str, str],
    output: Path,
    device: Device,
    threads: int | None,
    reader: str = "netcdf",
) -> None:
    """Apply a model to files or a Zarr store from outside and write a Zarr store.

    The variables are brought into canonical form and prepared exactly as the training data were; the answers
    that a model was trained with need not be there. Forecasts start wherever they can: only those of a test are thinned
    out.

    Parameters
    ----------
    model
        Manifest of the model.
    sources
        netCDF files or a Zarr store that hold what the preparation needs, such as ``adt``, or files that the reader
        reads.
    names
        Names in the file, by canonical name, where they differ.
    output
        Zarr store to write; must not exist.
    device, threads
        As in :func:`predict_period`.
    reader
        Registered reader of the files.

    Raises
    ------
    DataError
        If a file is not readable or does not keep the contract, has another grid step or projection than the training
        data, two of them hold the same time, or no forecast can start from their frames.
    ConfigError
        If the output exists, or there is no such reader.
    """
    if output.exists():
        raise ConfigError("exists already", where=str(output), fix="choose another name or remove it")
    trained = read_manifest(model, kind="model", verify="deep")
    ds = _outside(sources, trained, names, reader)
    product = _product(trained, ds, device, threads, every_start=True)
    where = _named(sources)
    if wrong := product.attrs.get(FACTS, {}).get("no_forecast"):
        raise DataError(f"no forecast can start: {wrong}", where=where, fix="give more frames, or complete ones")
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        _write(product, partial, _attrs(product, trained, source=where, dataset=""))
        partial.rename(output)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", where=str(output)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logger.info("%s: %d times", output, product.sizes["time"])


def _used(device: Device, trained: Manifest) -> str:
    """Return the device that computes: ``auto`` says too little about a product."""
    if "algorithm" in trained.content:
        return "cpu"
    from pipeline_lib.learning.precision import resolve_device  # loads torch, which an algorithm does without

    return resolve_device(device).type


def _product(
    trained: Manifest,
    ds: xr.Dataset,
    device: Device,
    threads: int | None,
    before: Sequence[Manifest] = (),
    *,
    every_start: bool,
) -> xr.Dataset:
    content = trained.content
    task = content["algorithm"]["task"] if "algorithm" in content else content["spec"]["task"]
    more: dict[str, Any] = {"thinned": False} if every_start and TASKS.get(task).looks_back else {}
    if before:
        if not TASKS.get(task).looks_back:
            raise ConfigError(f"{task} does not look back", where="--before", fix="leave it out")
        more["before"] = open_store(before[-1], f"{before[-1].content['period']}.zarr", chunks={})
    product: xr.Dataset = stage_module(task, "predict").product(trained, ds, device=device, threads=threads, **more)
    return product


def _write(product: xr.Dataset, path: Path, attrs: Mapping[str, Any]) -> None:
    with dask.config.set(scheduler="synchronous"):  # a network uses all threads itself
        write_zarr(product, path, attrs=attrs, in_order=bool(product.attrs.get(IN_ORDER, False)))


def _outside(sources: Sequence[Path], trained: Manifest, names: Mapping[str, str], reader: str) -> xr.Dataset:
    recipe = dict(trained.content.get("preparation", {}))
    if not recipe or "form" not in trained.content:
        raise ConfigError("does not say how its inputs were prepared", where=str(trained.path), fix="train it again")
    preparation = PREPARATIONS.get(recipe.pop("preparation"))
    contract = trained.content["variables"]
    options = preparation.Options.model_validate(recipe)
    options, needed = preparation.narrowed(options, _asked(preparation.produces(options), trained), contract)
    contract = {name: contract[name] for name in needed}
    unknown = set(names) - set(contract)
    if unknown:
        raise ConfigError(
            f"{min(unknown)!r} is not needed", where="--variable", fix=f"the model needs {', '.join(contract)}"
        )
    specs = {name: VariableSpec(name=names.get(name, name), **spec) for name, spec in contract.items()}
    where, form = _named(sources), trained.content["form"]
    opened = _open(sources, reader)
    parts = [canonicalise(in_blocks(part), specs, where=name, form=form) for name, part in opened.items()]
    joined = concat_times(parts, where=list(opened))
    require_once(joined, where=where)
    ds = checked(joined, specs, where=where, form=form)
    prepared = preparation.prepare(ds, options)
    if form != "states":
        _check_grid(prepared, trained, where)
    return prepared


def _named(sources: Sequence[Path]) -> str:
    return str(sources[0]) if len(sources) == 1 else f"{sources[0]} and {len(sources) - 1} more"


def _asked(variables: Sequence[str], trained: Manifest) -> list[str]:
    """Variables of a dataset without the answers that a model was trained with, unless it sees them."""
    seen = {variable["name"] for variable in trained.content["spec"]["inputs"]}
    answers = {trained.content.get("target")} - seen
    return [name for name in variables if name not in answers]


def _check_grid(ds: xr.Dataset, trained: Manifest, where: str) -> None:
    """Refuse another resolution or projection than that of training: a network knows sizes in cells only."""
    axes = space_axes(ds)
    for axis, expected in zip(axes, trained.content.get("grid_step", ()), strict=False):
        step, unit = grid_step(ds[axis].values), "metres" if axis in PLANE else "degrees"
        if abs(step - expected) > GRID_TOLERANCE * expected:
            raise DataError(
                f"{axis} has a step of {step:g} {unit}, the model was trained on {expected:g}",
                where=where,
                fix="regrid it first",
            )
    expected = trained.content.get("projection")
    found = ds[axes[0]].attrs.get(PROJECTION)
    if None not in (found, expected) and found != expected:
        raise DataError(
            f"lies in the projection {found!r}, the model was trained on {expected!r}",
            where=where,
            fix="regrid it first",
        )


def _open(sources: Sequence[Path], reader: str) -> Mapping[str, xr.Dataset]:
    """Open files by a reader, or a Zarr store."""
    read = READERS.get(reader)
    absent = next((source for source in sources if not source.exists()), None)
    if absent is not None:
        raise DataError("no such file", where=str(absent))
    if not any(source.is_dir() for source in sources):
        _refuse_one_name(sources)
        return read.open(sources)
    if len(sources) > 1 or reader != "netcdf":
        raise ConfigError("give one Zarr store, or files", where="--input")
    try:
        return {str(sources[0]): xr.open_zarr(sources[0])}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"is not a readable netCDF file or Zarr store: {error}", where=str(sources[0])) from error


def _refuse_one_name(sources: Sequence[Path]) -> None:
    """Refuse files of one name in several folders: readers tell them apart by it, and would give one of them."""
    names = [source.name for source in sources]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"several files are called {twice[0]}", where="--input", fix="rename them, or join them")


def _attrs(product: xr.Dataset, trained: Manifest, *, source: str, dataset: str) -> dict[str, Any]:
    """Global attributes by CF and the Attribute Convention for Data Discovery; no clock, so that reruns are equal."""
    made_of = f" from dataset {dataset[:16]}" if dataset else ""
    return {
        "Conventions": "CF-1.11",
        "title": str(product.attrs.get("title", "Predicted classes")),
        "institution": "produced with Gyre",
        "source": source or "not stated",
        "history": f"gyre {__version__}: predicted{made_of} with model {trained.identity[:16]}",
        "references": "see the model's card in docs/systems",
        "gyre_model_identity": trained.identity,
        "gyre_model_code": trained.code,
        "gyre_dataset_identity": dataset,
    }
