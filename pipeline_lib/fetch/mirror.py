"""The mirror: a folder that is looked into, by file name and checksum, before the network is."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pipeline_lib.errors import ConfigError
from pipeline_lib.fetch.base import WantedFile
from pipeline_lib.fetch.checks import mismatch

logger = logging.getLogger(__name__)


def find_in_mirror(mirror: Path, wanted: WantedFile) -> Path | None:
    """Return the wanted file's path below ``mirror``, ``None`` if it is not there.

    A file of that name that is not the wanted one is named in a warning and not used. Where the catalog pins no
    checksum, the name alone decides.

    Raises
    ------
    ConfigError
        If ``mirror`` is not a folder.
    """
    if not mirror.is_dir():
        raise ConfigError("the mirror is not a folder", where=str(mirror), fix="correct it or leave it out")
    for candidate in _named(mirror, wanted.name):
        try:
            problem = mismatch(candidate, wanted)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if problem is None:
            by = "name and checksum" if wanted.sha256 else "name only, the catalog pins no checksum"
            logger.info("%s: found in the mirror (%s): %s", wanted.name, by, candidate)
            return candidate
        logger.warning("%s: the mirror's copy %s and is not used", candidate, problem)
    return None


def _named(root: Path, name: str) -> list[Path]:
    found = [Path(folder) / name for folder, _, files in os.walk(root) if name in files]
    return sorted(found)
