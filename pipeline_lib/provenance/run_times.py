"""Run times of the workflow's jobs, from the tables that Snakemake writes beside its logs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunTime:
    """One job.

    Attributes
    ----------
    job
        Path of its table below the folder of logs, without suffix.
    seconds
        Wall time in s.
    memory_mb
        Largest resident memory in MB; NaN if it was not measured.
    """

    job: str
    seconds: float
    memory_mb: float


def read_run_times(folder: Path | None, *, names: Iterable[str] | None) -> list[RunTime]:
    """Return the run times of jobs whose path below ``folder`` holds one of ``names``, sorted by path.

    Tables that cannot be read (a job may be writing one) are left out: run times are a service, not a result.

    Parameters
    ----------
    folder
        Folder of Snakemake's benchmark tables; ``None`` or a missing folder gives no run times.
    names
        Folder or file stems to keep, such as the experiment's and the source's name; ``None`` keeps all.
    """
    if folder is None or not folder.is_dir():
        return []
    wanted = None if names is None else set(names)
    found = []
    for path in sorted(folder.rglob("*.tsv")):
        relative = path.relative_to(folder).with_suffix("")
        if wanted is not None and wanted.isdisjoint(relative.parts):
            continue
        found += [job for job in [_read(path, relative.as_posix())] if job is not None]
    return found


def _read(path: Path, job: str) -> RunTime | None:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        seconds = sum(float(row["s"]) for row in rows) / len(rows)
        return RunTime(job=job, seconds=seconds, memory_mb=max(_number(row.get("max_rss")) for row in rows))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
