"""Files that lie on this machine or a mounted disk already."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import field_validator

from pipeline_lib.errors import FetchError
from pipeline_lib.fetch import base
from pipeline_lib.fetch.checks import check_file
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.options import Options


@DRIVERS.register("file")
class File:
    """Copies files: what is fetched stays as it is when the original changes."""

    class Options(Options):
        """Options of the ``file`` driver."""

        path: str
        """Path, relative to the working directory or absolute, ``~`` allowed; placeholders as for ``http``."""
        sha256: base.Checksums = None
        """SHA-256 of the file, or of each file by its name."""
        size: base.Size | None = None
        """Size of the one file in bytes."""

        @field_validator("path")
        @classmethod
        def _names_a_file(cls, path: str) -> str:
            base.file_name(path)
            return base.check_placeholders(path)

    @staticmethod
    def files(options: Options, request: base.FetchRequest) -> list[base.WantedFile]:
        """Return one file, or one per day."""
        names = [(base.file_name(path), path) for path in base.expand(options.path, request)]
        return base.wanted_files(names, options.sha256, options.size)

    @staticmethod
    def fetch(options: Options, wanted: base.WantedFile, folder: Path) -> Path:  # noqa: ARG004 - all is in the address
        """Copy one file."""
        original = Path(wanted.address).expanduser()
        if not original.is_file():
            raise FetchError("no such file", where=str(original), fix="correct the path in the catalog")
        copy = folder / wanted.name
        shutil.copyfile(original, copy)
        check_file(copy, wanted)
        return copy
