"""Logging: plain lines to standard error and, if asked, to a file; a bar only where a person looks."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pipeline_lib.errors import StoreError

T = TypeVar("T")

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_EVERY_SECONDS = 5.0


def set_up(*, log_file: Path | None = None, verbose: bool = False) -> None:
    """Send log lines to standard error and, in addition, to ``log_file``.

    Raises
    ------
    StoreError
        If the log file cannot be written.
    """
    root = logging.getLogger("pipeline_lib")
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    root.handlers.clear()
    root.propagate = False
    _add(root, logging.StreamHandler(sys.stderr))
    if log_file is not None:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            _add(root, logging.FileHandler(log_file, mode="w", encoding="utf-8"))
        except OSError as error:
            raise StoreError(f"log cannot be written: {error.strerror or error}", where=str(log_file)) from error


def _add(logger: logging.Logger, handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%H:%M:%S"))
    logger.addHandler(handler)


def progress(items: Iterable[T], *, total: int, what: str) -> Iterator[T]:
    """Yield ``items`` and tell how far it is: a bar on a terminal, a line every few seconds elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(items, description=what, total=total, console=Console(stderr=True), transient=True)
        return
    logger = logging.getLogger(__name__)
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last > _EVERY_SECONDS:
            logger.info("%s: %d of %d", what, done, total)
            last = time.monotonic()
