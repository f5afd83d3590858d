"""Publishing: the products of all periods as one consolidated Zarr store, and an intake catalog that points to it.

A new store is written and checked under a name of its own before the catalog points to it, so that a reader sees one
state or the other. Why not appended: docs/adr/0006.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from pipeline_lib.data.datasets import concat_times
from pipeline_lib.data.periods import bounds, overlaps
from pipeline_lib.errors import ConfigError, DataError, StoreError
from pipeline_lib.io.atomic import write_text
from pipeline_lib.io.hashing import sha256_json
from pipeline_lib.io.manifest import Artefact, Manifest, exclusive, read_manifest
from pipeline_lib.io.zarr_store import open_store, write_zarr
from pipeline_lib.operations.cf import check_conventions, check_series, in_order
from pipeline_lib.operations.generations import generations, in_charge
from pipeline_lib.plan import Plan

logger = logging.getLogger(__name__)

KIND = "publication"
CATALOG = "catalog.yaml"
_DIGITS = 12


@dataclass(frozen=True)
class Publication:
    """What was published: where the store and the catalog lie, and whether it is new."""

    store: Path
    catalog: Path
    entry: str
    periods: list[str]
    is_new: bool


def publish(
    plan: Plan,
    experiment: str,
    *,
    model: str | None,
    seed: int | None,
    days: tuple[date, date],
    code: str,
    output: Path | None = None,
) -> Publication:
    """Publish the finished periods of one run.

    Parameters
    ----------
    plan
        The plan.
    experiment
        Name of an experiment with operations.
    model, seed
        Which run; by default the first in use.
    days
        First and last day; periods that lie outside are left out.
    code
        Fingerprint of the code.
    output
        Folder for store and catalog; by default below the results of the experiment.

    Raises
    ------
    ConfigError
        If there is no such run.
    DataError
        If no period is finished, periods do not fit together, or the store does not keep the conventions.
    StoreError
        If a product does not match its manifest, or the disk refuses.
    """
    model, seed = _run(plan, experiment, model, seed)
    products = _products(plan, experiment, model, seed, days)
    name = sha256_json([code, *(product.identity for product in products)])[:_DIGITS]
    folder = output or plan.config.results_dir / experiment / "published" / f"{model}-seed{seed}"
    manifest = folder / f"{name}.json"
    periods = [product.content["period"] for product in products]
    with exclusive(folder):
        is_new = not _is_published(manifest)
        if is_new:
            _write(plan, experiment, model, seed, products, manifest, code)
        _point_catalog(plan, experiment, folder, model, f"{name}.zarr", products)
    return Publication(folder / f"{name}.zarr", folder / CATALOG, model, periods, is_new)


def _run(plan: Plan, experiment: str, model: str | None, seed: int | None) -> tuple[str, int]:
    for name, number in plan.runs_in_use(experiment):
        if model in {None, name} and seed in {None, number}:
            return name, number
    known = ", ".join(f"{name} seed {number}" for name, number in plan.runs_in_use(experiment))
    raise ConfigError("no such model and seed are in use", where=experiment, fix=f"there is {known or 'none'}")


def _products(plan: Plan, experiment: str, model: str, seed: int, days: tuple[date, date]) -> list[Manifest]:
    """Verified products of all periods, each by the generation that is in charge of it."""
    known = generations(plan, experiment)
    paths = {}
    for generation in known:
        names = {"experiment": generation.name, "model": model, "seed": seed}
        for path in Path(plan.path("product", **names, period="x")).parent.glob("*.json"):
            if bounds(path.stem)[0] >= generation.start and in_charge(known, path.stem) == generation.name:
                paths[path.stem] = path
    chosen = [period for period in sorted(paths) if overlaps(period, *days)]
    found = [read_manifest(paths[period], kind="product", verify="deep") for period in chosen]
    if not found:
        raise DataError("no period is finished", where=experiment, fix="run python -m pipeline_lib update first")
    return found


def _is_published(manifest: Path) -> bool:
    try:
        read_manifest(manifest, kind=KIND, verify="quick")
    except StoreError:
        return False
    return True


def _write(
    plan: Plan, experiment: str, model: str, seed: int, products: Sequence[Manifest], manifest: Path, code: str
) -> None:
    parts = [open_store(product, f"{product.content['period']}.zarr", chunks={}) for product in products]
    ds = in_order(concat_times(parts, where=[str(product.path) for product in products]))
    if not ds.sizes["time"]:
        raise DataError("no period holds anything", where=experiment, fix="publish once there are data")
    check_series(ds, where=str(manifest))
    store = f"{manifest.stem}.zarr"
    with Artefact(manifest, kind=KIND, code=code) as out:
        write_zarr(ds.unify_chunks(), out.payload(store), attrs=_attributes(plan, experiment, model, parts, ds))
        checked = check_conventions(out.payload(store))
        for product in products:
            out.add_input(product.content["period"], product)
        out.options = {"experiment": experiment, "model": model, "seed": seed}
        out.content = {"times": int(ds.sizes["time"]), "cf_checked": checked}
    logger.info("%s: %d maps of %d periods", manifest.with_suffix(".zarr"), ds.sizes["time"], len(products))


def _attributes(plan: Plan, experiment: str, model: str, parts: Sequence[xr.Dataset], ds: xr.Dataset) -> dict[str, Any]:
    """Attributes by CF and the Attribute Convention for Data Discovery; no clock, so that reruns are equal."""
    spec = plan.experiment(experiment).spec
    origin = plan.catalog.source(spec.source).provenance()
    models = dict.fromkeys(str(part.attrs["gyre_model_identity"]) for part in parts)
    attrs: dict[str, Any] = {
        "Conventions": "CF-1.11",
        "title": f"{spec.title}: {model}",
        "institution": parts[-1].attrs["institution"],
        "source": spec.source,
        "history": parts[-1].attrs["history"].partition(":")[0] + ": products of all periods put together",
        "references": parts[-1].attrs["references"],
        "comment": f"Made from: {origin['citation']} Licence: {origin['licence']}",
        "time_coverage_start": f"{ds.time.values[0]:.19}",
        "time_coverage_end": f"{ds.time.values[-1]:.19}",
        "gyre_model_identity": ", ".join(models),
    }
    preliminary = [f"{part.time.values[0]:.10}" for part in parts if "data_status" in part.attrs and part.sizes["time"]]
    return attrs | ({"data_status": f"preliminary from {', '.join(preliminary)}"} if preliminary else {})


def _point_catalog(
    plan: Plan, experiment: str, folder: Path, entry: str, store: str, products: Sequence[Manifest]
) -> None:
    """Let the catalog point to a store; what neither it nor the catalog before names is removed."""
    spec = plan.experiment(experiment).spec
    catalog = folder / CATALOG
    before = _named(catalog)
    periods = [product.content["period"] for product in products]
    origin = plan.catalog.source(spec.source).provenance()
    text = yaml.safe_dump(
        {
            "metadata": {"version": 1},
            "sources": {
                entry: {
                    "description": f"{spec.title}, {periods[0]} to {periods[-1]}",
                    "driver": "zarr",
                    "args": {"urlpath": f"{{{{ CATALOG_DIR }}}}/{store}", "chunks": {}, "consolidated": True},
                    "metadata": origin,
                }
            },
        },
        sort_keys=False,
        allow_unicode=True,
    )
    if catalog.is_file() and catalog.read_text(encoding="utf-8") == text:
        return
    write_text(catalog, text)
    for manifest in _publications(folder):
        if manifest.stem not in {Path(name).stem for name in (store, before)}:
            manifest.unlink()
            shutil.rmtree(manifest.with_suffix(".zarr"), ignore_errors=True)
            manifest.with_name(f".{manifest.stem}.payloads").unlink(missing_ok=True)


def _publications(folder: Path) -> list[Path]:
    """Manifests of publications in a folder, which may hold other files too."""
    found = []
    for path in sorted(folder.glob(f"{'[0-9a-f]' * _DIGITS}.json")):
        try:
            found.append(read_manifest(path, kind=KIND, verify="none").path)
        except StoreError:
            continue
    return found


def _named(catalog: Path) -> str:
    """Name of the store to which a catalog points; empty without one."""
    try:
        raw = yaml.safe_load(catalog.read_text(encoding="utf-8"))
        return str(next(iter(raw["sources"].values()))["args"]["urlpath"]).rpartition("/")[2]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, StopIteration):
        return ""
