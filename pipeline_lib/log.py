"""Logging: plain lines to standard error and, if asked, to a file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from pipeline_lib.errors import StoreError

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


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
