"""Files that lie on this machine or a mounted disk already."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from pipeline_lib.errors import FetchError
from pipeline_lib.fetch import base
from pipeline_lib.fetch.checks import check_file
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.io.hashing import sha256_file
from pipeline_lib.options import Options


@DRIVERS.register("file")
class File:
    """Copies files: what is fetched stays as it is when the original changes."""

    class Options(Options):
        """Options of the ``file`` driver."""

        path: str
        """Path, relative to the working directory or absolute, ``~`` allowed; placeholders as for ``http``."""
        files: tuple[str, ...] = ()
        """What ``{file}`` stands for, one file each, with other placeholders; by default the names in ``sha256``."""
        sha256: base.Checksums = None
        """SHA-256 of the file, or of each file by its name."""
        size: base.Size | None = None
        """Size of the one file in bytes."""
        may_lack: base.MayLack = 0
        """Most files of a part that need not be in their folder: they are reported and counted."""
        route: str | None = Field(default=None, min_length=1)
        """How to come by the data, for who does not have them."""

        preliminary: str | None = None
        """Path that is taken as long as there is no file at ``path``; placeholders as there."""

        @field_validator("path", "preliminary")
        @classmethod
        def _names_a_file(cls, path: str | None) -> str | None:
            if path is None:
                return None
            base.file_name(path)
            return base.check_placeholders(path)

        @model_validator(mode="after")
        def _addresses_agree(self) -> File.Options:
            base.check_alike(self.path, self.preliminary)
            base.check_names(self.path, self.files, self.sha256)
            return self

    @staticmethod
    def files(options: Options, request: base.FetchRequest) -> list[base.WantedFile]:
        """Return one file, one per day, or one per name."""
        several = base.several(options.files, options.sha256)
        names = [(base.file_name(path), path) for path in base.expand(options.path, request, several)]
        earlier = base.expand(options.preliminary, request, several) if options.preliminary else None
        return base.wanted_files(names, options.sha256, options.size, earlier)

    @staticmethod
    def version(options: Options, wanted: base.WantedFile) -> str | None:  # noqa: ARG004 - all is in the address
        """Return the SHA-256 of the original; ``None`` if there is none."""
        original = Path(wanted.address).expanduser()
        try:
            return f"{base.BY_HASH}{sha256_file(original)}" if original.is_file() else None
        except OSError as error:
            raise FetchError(f"cannot be read: {error.strerror}", where=str(original)) from error

    @staticmethod
    def fetch(options: Options, wanted: base.WantedFile, folder: Path) -> Path:
        """Copy one file."""
        original = Path(wanted.address).expanduser()
        if not original.is_file():
            fix = options.route or "correct the path in the catalog"
            # A folder that is not there may be a disk that is not mounted, a dead link a file that is elsewhere.
            absent = original.parent.is_dir() and _is_nothing(original)
            raise (base.AbsentError if absent else FetchError)("no such file", where=str(original), fix=fix)
        copy = folder / wanted.name
        shutil.copyfile(original, copy)
        check_file(copy, wanted)
        return copy


def _is_nothing(path: Path) -> bool:
    """Return whether nothing is there; of a disk that answers with another error nothing is known."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
