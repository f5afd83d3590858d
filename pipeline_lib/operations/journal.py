"""The journal of updates: one line of JSON each, for the status page and for people."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline_lib.errors import StoreError

JOURNAL = "journal.jsonl"


@dataclass
class Entry:
    """What one update did with one experiment; periods by name.

    Attributes
    ----------
    experiment, started, seconds
        Which, when (UTC, ISO format) and how long.
    new, reissued, final
        Periods or parts that came for the first time, with other bytes than before, or final after preliminary.
    missing
        Periods that are not at the provider although later ones are.
    made, failed
        Periods that were finished, and that should have been.
    models
        Experiments that were begun with a new model.
    notes, problems
        What to know, and what went wrong; a line each.
    code
        Exit code of the first problem; 0 if there is none.
    """

    experiment: str
    started: str = ""
    seconds: float = 0.0
    new: list[str] = field(default_factory=list)
    reissued: list[str] = field(default_factory=list)
    final: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    code: int = 0


def write_entry(folder: Path, entry: Entry) -> None:
    """Append an entry; raise :class:`StoreError` if the disk refuses."""
    line = json.dumps(asdict(entry), ensure_ascii=False) + "\n"
    try:
        with (folder / JOURNAL).open("ab") as stream:
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", where=str(folder / JOURNAL)) from error


def read_entries(folder: Path) -> list[Entry]:
    """Return all entries, oldest first; a line that was cut off when the machine stopped is left out."""
    found = []
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            found.append(Entry(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found
