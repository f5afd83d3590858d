"""A tiny project with daily arrivals: history by month in May 2005, operations by day from June on."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import xarray as xr
import yaml

from tests.workflow.project import catalog, eddy_maps, experiment, gyre

START = date(2005, 6, 1)
HISTORY = [date(2005, 5, 1) + timedelta(days=i) for i in range(31)]


def maps_of(*, seed: int = 0) -> xr.Dataset:
    """Three months of small maps."""
    return eddy_maps(rows=36, columns=40, seed=seed)


def deliver(folder: Path, *days: date, maps: xr.Dataset, place: str = "incoming") -> None:
    """Write the provider's file of each day."""
    (folder / place).mkdir(exist_ok=True)
    for day in days:
        file = folder / place / f"maps_{day:%Y%m%d}.nc"
        maps.sel(time=f"{day}").to_netcdf(file.with_suffix(".part"), engine="h5netcdf")
        file.with_suffix(".part").replace(file)


def june(first: int, last: int | None = None) -> list[date]:
    """Days of June 2005."""
    return [date(2005, 6, n) for n in range(first, (last or first) + 1)]


def write_daily_project(folder: Path, *, operations: dict | None = None, fetch: dict | None = None) -> Path:
    """Write catalog, experiment and configuration; the history is delivered, June is not."""
    (folder / "config/experiments").mkdir(parents=True)
    deliver(folder, *HISTORY, maps=maps_of())
    raw = catalog(Path(__file__))
    entry = raw["sources"]["tiny-adt"]
    entry["args"]["urlpath"] = "{{ data_dir }}/tiny-adt/raw/*.nc"
    block = entry["metadata"]["gyre"]
    block["time"] = {"start": HISTORY[0].isoformat(), "step_hours": 24, "daily_from": START.isoformat()}
    block["parts"] = "monthly"
    block["fetch"] = {"driver": "file", "path": "incoming/maps_{year}{month}{day}.nc", **(fetch or {})}
    spec = experiment() | {
        "labels": {"labeller": "okubo_weiss"},
        "split": {
            "train": ["2005-05-01", "2005-05-06"],
            "validation": ["2005-05-08", "2005-05-09"],
            "test": ["2005-05-11", "2005-05-30"],
            "gap_days": 1,
        },
        "scoring": {
            "metrics": ["mean_dice", "accuracy", "object_f1"],
            "patches": {"sets": 0},
            "intervals": {"block_days": 5, "resamples": 200},
        },
        "training": {"patch": 32, "batch_size": 2, "steps_per_epoch": 1, "max_epochs": 1},
        "models": ["okubo_weiss"],
        "published": [],
        "operations": {"start": START.isoformat(), **(operations or {})},
    }
    write(folder / "config/config.yaml", {"experiments": ["tiny"], "device": "cpu"})
    write(folder / "config/catalog.yaml", raw)
    write(folder / "config/experiments/tiny.yaml", spec)
    return folder


def write(path: Path, value: dict) -> None:
    """Write a YAML file."""
    path.write_text(yaml.safe_dump(value, sort_keys=False))


def update(folder: Path, today: date, *arguments: str):
    """Run ``update`` as on a given day."""
    return gyre("update", "--today", today, "--cores", "2", *arguments, cwd=folder)


def copy_of(folder: Path, target: Path) -> Path:
    """Copy a project with the times of its files, which decide what is stale."""
    shutil.copytree(folder, target, symlinks=True)
    return target
