"""What readers of files that do not name their variables check alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pipeline_lib.errors import DataError, closest


def check_variables(file: Path, wanted: Sequence[str], known: Collection[str]) -> None:
    """Raise :class:`DataError` if a source promises a variable that files of a layout do not hold."""
    for name in wanted:
        if name not in known:
            raise DataError(f"has no variable {name!r}", where=file.name, fix=closest(name, known))
