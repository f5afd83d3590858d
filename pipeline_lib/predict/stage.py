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
from pipeline_lib.data.grids import grid_step
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import ConfigError, DataError, StoreError
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.io.zarr_store import open_store, write_zarr
from pipeline_lib.learning.device import Device
from pipeline_lib.preparations.registry import PREPARATIONS
from pipeline_lib.tasks.registry import stage_module

logger = logging.getLogger(__name__)

PACKAGES = ("torch", "dask", "scipy", "sympy")
GRID_TOLERANCE = 0.01
"""Relative difference of grid steps that passes: coordinates may be stored in single precision."""


def predict_period(*, model: Path, dataset: Path, output: Path, device: Device, threads: int | None, code: str) -> None:
    """Write the product of one period of the workflow.

    Parameters
    ----------
    model, dataset
        Manifests of the model and of the dataset's period.
    output
        Manifest to write; ``<period>.zarr`` lies beside it.
    device, threads
        Where to compute, and with how many CPU threads (``None``: all).

    Raises
    ------
    DataError
        If the dataset lacks a variable of the model, or has it in another unit.
    """
    trained = read_manifest(model, kind="model", verify="deep")
    data = read_manifest(dataset, kind="dataset", verify="deep")
    period = data.content["period"]
    ds = open_store(data, f"{period}.zarr", chunks={})
    with Artefact(output, kind="product", code=code, packages=PACKAGES) as out:
        product = _product(trained, ds, device, threads)
        attrs = _attrs(product, trained, source=ds.attrs.get("source", ""), dataset=data.identity)
        attrs |= {name: ds.attrs[name] for name in ("data_status",) if name in ds.attrs}
        _write(product, out.payload(f"{period}.zarr"), attrs)
        out.add_input("model", trained)
        out.add_input("dataset", data)
        out.options = {"device": _used(device, trained)}
        out.content = {"period": period, "times": int(product.sizes["time"])}
    logger.info("%s: %d times", output, product.sizes["time"])


def predict_file(
    *, model: Path, source: Path, names: Mapping[str, str], output: Path, device: Device, threads: int | None
) -> None:
    """Apply a model to a netCDF file or Zarr store from outside and write a Zarr store.

    The file's variables are brought into canonical form and prepared exactly as the training data were; the answers
    that a model was trained with need not be there.

    Parameters
    ----------
    model
        Manifest of the model.
    source
        netCDF file or Zarr store that holds what the preparation needs, such as ``adt``.
    names
        Names in the file, by canonical name, where they differ.
    output
        Zarr store to write; must not exist.
    device, threads
        As in :func:`predict_period`.

    Raises
    ------
    DataError
        If the file is not readable or does not keep the contract.
    ConfigError
        If the output exists.
    """
    if output.exists():
        raise ConfigError("exists already", where=str(output), fix="choose another name or remove it")
    trained = read_manifest(model, kind="model", verify="deep")
    ds = _outside(source, trained, names)
    product = _product(trained, ds, device, threads)
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        _write(product, partial, _attrs(product, trained, source=source.name, dataset=""))
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


def _product(trained: Manifest, ds: xr.Dataset, device: Device, threads: int | None) -> xr.Dataset:
    content = trained.content
    task = content["algorithm"]["task"] if "algorithm" in content else content["spec"]["task"]
    product: xr.Dataset = stage_module(task, "predict").product(trained, ds, device=device, threads=threads)
    return product


def _write(product: xr.Dataset, path: Path, attrs: Mapping[str, Any]) -> None:
    with dask.config.set(scheduler="synchronous"):  # a network uses all threads itself
        write_zarr(product, path, attrs=attrs)


def _outside(source: Path, trained: Manifest, names: Mapping[str, str]) -> xr.Dataset:
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
    where, form = str(source), trained.content["form"]
    ds = canonicalise(in_blocks(_open(source)), specs, where=where, form=form)
    ds = checked(ds, specs, where=where, form=form)
    prepared = preparation.prepare(ds, options)
    if form == "maps":
        _check_grid(prepared, trained, source)
    return prepared


def _asked(variables: Sequence[str], trained: Manifest) -> list[str]:
    """Variables of a dataset without the answers that a model was trained with, unless it sees them."""
    seen = {variable["name"] for variable in trained.content["spec"]["inputs"]}
    answers = {trained.content.get("target")} - seen
    return [name for name in variables if name not in answers]


def _check_grid(ds: xr.Dataset, trained: Manifest, source: Path) -> None:
    """Refuse another resolution than that of training: a network knows sizes in cells only."""
    for axis, expected in zip(("latitude", "longitude"), trained.content["grid_step"], strict=True):
        step = grid_step(ds[axis].values)
        if abs(step - expected) > GRID_TOLERANCE * expected:
            raise DataError(
                f"{axis} has a step of {step:g} degrees, the model was trained on {expected:g}",
                where=str(source),
                fix="regrid the file first",
            )


def _open(source: Path) -> xr.Dataset:
    if not source.exists():
        raise DataError("no such file", where=str(source))
    try:
        if source.is_dir():
            opened: xr.Dataset = xr.open_zarr(source)
            return opened
        return xr.open_dataset(source, engine="h5netcdf")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"is not a readable netCDF file or Zarr store: {error}", where=str(source)) from error


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
