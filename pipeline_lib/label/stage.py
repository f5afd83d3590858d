"""Labels of one period: a class map as Zarr and a table of objects as Parquet."""

from __future__ import annotations

import logging
from pathlib import Path

from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Artefact, read_manifest
from pipeline_lib.io.zarr_store import open_store, write_zarr
from pipeline_lib.label.registry import LABELLERS
from pipeline_lib.options import Options

logger = logging.getLogger(__name__)


def label_period(*, dataset: Path, output: Path, labeller: str, options: Options, code: str) -> None:
    """Write the labels of one period.

    Parameters
    ----------
    dataset
        Manifest of the dataset's period.
    output
        Manifest to write; ``<period>.zarr`` (class map) and ``<period>.parquet`` (one row per object) lie beside it.
    labeller, options
        Registered labeller and its options.

    Raises
    ------
    DataError
        If the dataset lacks a variable that the labeller needs.
    """
    manifest = read_manifest(dataset, kind="dataset", verify="deep")
    period = manifest.content["period"]
    entry = LABELLERS.get(labeller)
    ds = open_store(manifest, f"{period}.zarr")
    missing = [name for name in entry.needs if name not in ds]
    if missing:
        raise DataError(f"labeller {labeller} needs {missing[0]!r}, which the dataset lacks", where=str(dataset))
    packages = ("numba", "scipy", "contourpy", "pyarrow")
    with Artefact(output, kind="labels", code=code, packages=packages) as out:
        labels = entry.label(ds, options)
        write_zarr(labels.classes.to_dataset(name="eddy_class"), out.payload(f"{period}.zarr"))
        labels.eddies.to_parquet(out.payload(f"{period}.parquet"), index=False)
        out.add_input("dataset", manifest)
        out.options = {"labeller": labeller, **options.model_dump(mode="json")}
        out.content = {"period": period, "objects": len(labels.eddies), "times": int(ds.sizes["time"])}
    logger.info("%s: %d objects on %d maps", output, len(labels.eddies), ds.sizes["time"])
