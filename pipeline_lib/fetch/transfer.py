"""How far a transfer is: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 5.0
_MEGABYTE = 1e6


@contextmanager
def transfer(what: str, *, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Yield a function that is called with the number of bytes that just came.

    Parameters
    ----------
    what
        Name of the file.
    total
        Its size in bytes, if known.
    done
        Bytes that were here already.
    """
    if sys.stderr.isatty():
        with _bar(what, total=total, done=done) as advance:
            yield advance
        return
    came, last = done, time.monotonic()

    def advance_log(count: int) -> None:
        nonlocal came, last
        came += count
        if time.monotonic() - last >= _EVERY_SECONDS:
            last = time.monotonic()
            of = f" of {total / _MEGABYTE:.1f}" if total else ""
            logger.info("%s: %.1f%s MB", what, came / _MEGABYTE, of)

    yield advance_log


@contextmanager
def _bar(what: str, *, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done)
        yield lambda count: bar.advance(task, count)
