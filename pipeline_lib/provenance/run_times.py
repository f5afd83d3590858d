"""Run times of the workflow's jobs, from the tables that Snakemake writes beside its logs."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline_lib.io.manifest import Manifest


@dataclass(frozen=True)
class RunTime:
    """What one job took.

    Attributes
    ----------
    seconds
        Wall time in s.
    memory_mb
        Largest resident memory in MB; NaN if it was not measured.
    """

    seconds: float
    memory_mb: float


def read_run_times(folder: Path | None) -> dict[str, RunTime]:
    """Return the run times of all jobs, by the path of their table below ``folder`` without suffix.

    Tables that cannot be read (a job may be writing one) are left out: run times are a service, not a result.

    Parameters
    ----------
    folder
        Folder of Snakemake's benchmark tables; ``None`` or a missing folder gives no run times.
    """
    if folder is None or not folder.is_dir():
        return {}
    found = {}
    for path in sorted(folder.rglob("*.tsv")):
        time = _read(path)
        if time is not None:
            found[path.relative_to(folder).with_suffix("").as_posix()] = time
    return found


def _read(path: Path) -> RunTime | None:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        seconds = sum(float(row["s"]) for row in rows) / len(rows)
        return RunTime(seconds=seconds, memory_mb=max(_number(row.get("max_rss")) for row in rows))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def completed(manifest: Manifest) -> datetime:
    """Return when an artefact was complete: its manifest is written last, and once."""
    return datetime.fromtimestamp(manifest.path.stat().st_mtime, tz=UTC)


def run_time(manifest: Manifest, times: Mapping[str, RunTime]) -> RunTime | None:
    """Return what the job took that made an artefact, or ``None`` if no table tells.

    Parameters
    ----------
    manifest
        Manifest of the artefact, at its place in the folders that the rules make.
    times
        Run times by job, as :func:`read_run_times` returns them.
    """
    place = Path(os.path.normpath(manifest.path.absolute()))  # found by following inputs, it may hold ".."
    name, folders = place.stem, [p.name for p in place.parents]
    jobs: dict[str, Callable[[], tuple[str, ...]]] = {
        "raw": lambda: ("fetch", folders[1], name),
        "dataset": lambda: ("preprocess", folders[1], name),
        "labels": lambda: ("label", folders[2], folders[0], name),
        "model": lambda: ("train", folders[2], f"{folders[1]}-{folders[0]}"),
        "score": lambda: ("score", folders[2], f"{folders[1]}-{folders[0]}"),
        "product": lambda: ("predict", folders[3], f"{folders[2]}-{folders[1]}-{name}"),
    }
    return times.get("/".join(jobs.get(manifest.kind, lambda: (manifest.kind, folders[0]))()))
