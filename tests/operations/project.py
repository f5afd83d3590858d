"""A tiny project with daily arrivals: history by month in May 2005, operations by day from June on."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import xarray as xr

from pipeline_lib.cli.app import main
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.operations.engine import Engine
from pipeline_lib.operations.journal import Entry
from pipeline_lib.operations.update import Request
from pipeline_lib.operations.update import update as run_update
from pipeline_lib.plan import load_plan
from tests.faults.project import command
from tests.workflow.project import ROOT, catalog, commands, eddy_maps, experiment, gyre, write_files

START = date(2005, 6, 1)
HISTORY = [date(2005, 5, 1) + timedelta(days=i) for i in range(31)]


def maps_of(*, seed: int = 0) -> xr.Dataset:
    """Three months of small maps."""
    return eddy_maps(rows=36, columns=40, seed=seed)


def deliver(folder: Path, *days: date, maps: xr.Dataset, place: str = "incoming") -> None:
    """Write the provider's file of each day."""
    (folder / place).mkdir(parents=True, exist_ok=True)
    for day in days:
        file = folder / place / f"maps_{day:%Y%m%d}.nc"
        maps.sel(time=f"{day}").to_netcdf(file.with_suffix(".part"), engine="h5netcdf")
        file.with_suffix(".part").replace(file)


def june(first: int, last: int | None = None) -> list[date]:
    """Days of June 2005."""
    return [date(2005, 6, n) for n in range(first, (last or first) + 1)]


def write_daily_project(folder: Path) -> Path:
    """Write catalog, experiment and configuration; the history is delivered, June is not."""
    deliver(folder, *HISTORY, maps=maps_of())
    raw = catalog(Path(__file__))
    entry = raw["sources"]["tiny-adt"]
    entry["args"]["urlpath"] = "{{ data_dir }}/tiny-adt/raw/*.nc"
    block = entry["metadata"]["gyre"]
    block["time"] = {"start": HISTORY[0].isoformat(), "step_hours": 24, "daily_from": START.isoformat()}
    block["parts"] = "monthly"
    block["fetch"] = {"driver": "file", "path": "incoming/maps_{year}{month}{day}.nc"}
    spec = experiment() | {
        "labels": {"labeller": "okubo_weiss", "options": {"threshold": 0.6}},
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
        "operations": {"start": START.isoformat()},
    }
    return write_files(folder, "tiny", spec, raw, device="cpu")


def update(folder: Path, today: date, *arguments: str):
    """Run ``update`` as on a given day, through Snakemake and in processes of its own."""
    return gyre("update", "--today", today, "--cores", "2", *arguments, cwd=folder)


def make_in_process(folder: Path, *targets: str, rules: Sequence[str] = ()) -> None:
    """Run the commands that Snakemake would run for files in this process, which saves their start-ups."""
    found = commands(folder, *targets, rules=rules)
    with contextlib.chdir(folder):
        for words in found:
            done = command(*words)
            assert done.code == 0, done.problems


class InProcess(Engine):
    """An engine that has Snakemake plan, and runs the jobs in this process."""

    def run(self, targets: Sequence[str], *, rules: Sequence[str] = ()) -> None:
        if targets:
            make_in_process(Path.cwd(), *targets, rules=rules)


def night(folder: Path, today: date, **request: object) -> Entry:
    """Update in this process as on a given day."""
    with contextlib.chdir(folder):
        plan = load_plan(load_yaml(Path("config/config.yaml")))
        engine = InProcess(ROOT / "Snakefile", Path("config/config.yaml"), Path("results/.update"))
        (entry,) = run_update(plan, ["tiny"], engine, Request(today, **request))
    return entry


@dataclass(frozen=True)
class Said:
    """Exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str


def cli(folder: Path, *arguments: object) -> Said:
    """Run ``python -m pipeline_lib`` in a folder, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(a) for a in arguments])
    return Said(code, out.getvalue(), err.getvalue())
