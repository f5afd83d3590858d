"""A tiny source, its catalog, and the command line on it: in this process, or in one that may be harmed."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import xarray as xr
import yaml

from pipeline_lib.cli.app import main
from tests.workflow.project import catalog, eddy_maps

BRANCH = multiprocessing.get_context("forkserver")
"""Processes that start in milliseconds, with the stage imported, and share no thread with the tests."""
_PRELOADED = ("preprocess.stage", "plan", "ocean.high_pass", "ocean.geostrophy", "preparations.as_is")
_USED = ("dask.array", "h5netcdf", "zarr", "scipy.ndimage", "pytest")
BRANCH.set_forkserver_preload(["tests.faults.project", *(f"pipeline_lib.{n}" for n in _PRELOADED), *_USED])


def small_maps(**options: int) -> xr.Dataset:
    """Three months of small maps: 19 % land."""
    return eddy_maps(rows=16, columns=20, **options)


@dataclass(frozen=True)
class Outcome:
    """Exit code of a command, and its lines on standard error without those that only inform."""

    code: int
    problems: list[str]


def command(*arguments: object) -> Outcome:
    """Run ``python -m pipeline_lib`` with the given arguments in this process."""
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream):
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
    return Outcome(code, [line for line in stream.getvalue().splitlines() if " INFO " not in line])


@dataclass(frozen=True)
class Project:
    """A folder with ``incoming/maps.nc``, ``catalog.yaml``, and what fetch and preprocess make of them."""

    folder: Path

    @property
    def incoming(self) -> Path:
        """The provider's file."""
        return self.folder / "incoming" / "maps.nc"

    @property
    def raw(self) -> Path:
        """Manifest of the fetched file."""
        return self.folder / "raw" / "all.json"

    @property
    def output(self) -> Path:
        """Manifest of the dataset of April."""
        return self.folder / "dataset" / "2005-04.json"

    def deliver(
        self, maps: xr.Dataset, *, encoding: dict | None = None, spec: dict | None = None, **block: object
    ) -> Project:
        """Write the provider's file and the catalog entry, fetch as if for the first time; return the project."""
        self.raw.unlink(missing_ok=True)
        self.incoming.parent.mkdir(parents=True, exist_ok=True)
        maps.to_netcdf(self.incoming, engine="h5netcdf", encoding=encoding or {})
        return self.describe(spec=spec, **block).fetch()

    def describe(self, *, spec: dict | None = None, **block: object) -> Project:
        """Write the catalog entry."""
        raw = catalog(Path(__file__))
        gyre = raw["sources"]["tiny-adt"]["metadata"]["gyre"]
        gyre["fetch"] = {"driver": "file", "path": str(self.incoming)}  # any file that comes is accepted
        gyre["variables"]["adt"].update(spec or {})
        gyre.update(block)
        (self.folder / "catalog.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
        return self

    def fetch(self) -> Project:
        """Fetch the file."""
        done = command("fetch", "tiny-adt", "--catalog", self.folder / "catalog.yaml", "--output", self.raw)
        assert done.code == 0, done.problems
        return self

    def arguments(self, output: Path | None = None, period: str = "2005-04", threads: int = 1) -> list[str]:
        """Arguments of the preprocess command."""
        words = ["preprocess", "tiny-adt", "--period", period, "--catalog", self.folder / "catalog.yaml"]
        words += ["--raw", self.raw, "--threads", threads, "--output", output or self.output]
        return [str(w) for w in words]

    def preprocess(self, output: Path | None = None, **options: int | str) -> Outcome:
        """Preprocess one month."""
        return command(*self.arguments(output, **options))

    def dataset(self, period: str = "2005-04") -> xr.Dataset:
        """Open the store of one month as anyone would."""
        return xr.open_zarr(self.output.with_name(f"{period}.zarr"))


def content(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones included, with their bytes."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def branch(arguments: list[str], before: Callable[..., None] | None = None, *options: object) -> BaseProcess:
    """Start the command in a process of its own, which first calls ``before(*options)``; it writes no lines."""
    process = BRANCH.Process(target=_run, args=(arguments, before, options))
    process.start()
    return process


def harmed(arguments: list[str], before: Callable[..., None], *options: object) -> Outcome:
    """Run the command in a process of its own that first calls ``before(*options)``."""
    near, far = BRANCH.Pipe(duplex=False)
    process = BRANCH.Process(target=_run, args=(arguments, before, options, far))
    process.start()
    far.close()
    outcome: Outcome = near.recv()
    process.join()
    return outcome


def _run(arguments: list[str], before: Callable[..., None] | None, options: tuple, answer: object = None) -> None:
    if before is not None:
        before(*options)
    outcome = command(*arguments)
    if answer is not None:
        answer.send(outcome)
    raise SystemExit(outcome.code)
