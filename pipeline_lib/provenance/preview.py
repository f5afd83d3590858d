"""The page of a crate, for people: what a run made, when each job ended, and what it took."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipeline_lib.html import render
from pipeline_lib.io.atomic import write_text
from pipeline_lib.provenance.chain import Node
from pipeline_lib.provenance.run_times import RunTime, completed, run_time

PREVIEW = "ro-crate-preview.html"
"""The name that the specification asks for."""
_UNKNOWN = "–"


def write_preview(
    output: Path, described: Mapping[str, Any], nodes: Iterable[Node], times: Mapping[str, RunTime]
) -> None:
    """Write the page.

    Parameters
    ----------
    output
        ``ro-crate-preview.html`` in the crate's folder.
    described
        The crate as its metadata file holds it; the page carries a copy, so that it is enough by itself.
    nodes
        The artefacts of the run.
    times
        Run times by job.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    jobs = [_job(node, times) for node in nodes]
    seconds = [job["seconds"] for job in jobs if not math.isnan(job["seconds"])]
    page = render(
        Path(__file__).with_name("preview.html"),
        filters={"duration": duration, "megabytes": _megabytes},
        root=next(entity for entity in described["@graph"] if entity["@id"] == "./"),
        metadata=_embedded(described),
        jobs=sorted(jobs, key=lambda job: (job["ended"], job["place"])),
        total=sum(seconds),
        timed=len(seconds),
    )
    write_text(output, page)


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it; a dash for NaN."""
    if math.isnan(seconds):
        return _UNKNOWN
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _job(node: Node, times: Mapping[str, RunTime]) -> dict[str, Any]:
    ended: datetime | None = None
    time = None
    if node.manifest is not None:
        ended, time = completed(node.manifest), run_time(node.manifest, times)
    return {
        "kind": node.kind,
        "place": node.place,
        "identity": node.identity,
        "ended": f"{ended:%Y-%m-%d %H:%M:%S}" if ended else _UNKNOWN,
        "seconds": time.seconds if time else math.nan,
        "memory_mb": time.memory_mb if time else math.nan,
    }


def _megabytes(value: float) -> str:
    return _UNKNOWN if math.isnan(value) else f"{value:.0f}"


def _embedded(described: Mapping[str, Any]) -> Markup:
    """Return JSON that cannot end the script element it stands in."""
    return Markup(json.dumps(described, ensure_ascii=False).replace("<", "\\u003c"))
