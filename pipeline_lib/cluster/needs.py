"""What a job asks a batch system for: memory and time, by stage, by the size of its periods and by how often it failed.

The floor of each stage is about four times what the default experiment (months of 128 x 344 daily maps) was seen to
use; it holds the three Snakemake processes of a Slurm job as well, 200 MB. The share that grows was measured on maps
of two sizes and doubled (docs/how-to/cluster.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VALUE_BYTES = 4
"""Maps are single precision."""
MEGABYTE = 10**6
FRAMES_AT_ONCE = 200
"""Frames that a job counts as holding, however long the record is: 8 windows of 5 + 20, the defaults of nowcasting.
Records of frames are read from disk window by window, also beside series (docs/how-to/nowcasting.md and sites.md)."""


@dataclass(frozen=True)
class Need:
    """What the jobs of one stage need.

    Attributes
    ----------
    memory_mb, minutes
        On small maps.
    memory_growth
        MB more per MB of map: the maps of one variable, uncompressed, of all periods that the job reads; of frames no
        more than :data:`FRAMES_AT_ONCE`.
    """

    memory_mb: int
    minutes: int
    memory_growth: float = 0.0


NEEDS = {
    "fetch": Need(1000, 120),
    "preprocess": Need(2000, 30),
    "statistics": Need(2000, 30),
    "label": Need(2000, 30),
    "train": Need(6000, 240, memory_growth=8.0),
    "predict": Need(3000, 30),
    "score": Need(2000, 30),
    "leaderboard": Need(2000, 15),
    "report": Need(3000, 15),
}


def memory_mb(stage: str, datasets: Iterable[str] = (), attempt: int = 1) -> int:
    """Return the memory in MB that a job asks for; as much again at each further attempt.

    Parameters
    ----------
    stage
        Name of the rule.
    datasets
        Manifests of the dataset periods that the job reads; those that are not made yet count nothing.
    attempt
        1 at the first try.
    """
    need = NEEDS[stage]
    return attempt * round(need.memory_mb + need.memory_growth * _map_mb(need.memory_growth, datasets))


def minutes(stage: str, attempt: int = 1) -> int:
    """Return the minutes that a job asks for; arguments as in :func:`memory_mb`."""
    return attempt * NEEDS[stage].minutes


def _map_mb(growth: float, datasets: Iterable[str]) -> float:
    """MB of the maps of one variable, of frames no more than are held at once."""
    if not growth:
        return 0.0
    found = [_size(str(path), Path(path).stat().st_mtime_ns) for path in datasets if Path(path).is_file()]
    maps, frames = (sum(size for size, most in found if (most is not None) == capped) for capped in (False, True))
    return maps + min(frames, max((most for _, most in found if most is not None), default=0.0))


@cache
def _size(path: str, _changed: int) -> tuple[float, float | None]:
    """MB of one variable of a period, and of frames the most that are held at once.

    0 if the manifest says nothing of it: the job itself will tell what is wrong.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))["content"]
        rows, columns = content["shape"]
        one = rows * columns * VALUE_BYTES / MEGABYTE
        return float(content["times"] * one), FRAMES_AT_ONCE * one if content.get("form") == "frames" else None
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0, None
