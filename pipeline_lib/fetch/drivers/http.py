"""Files at a web address, one for all, one per month or one per day."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from pipeline_lib.fetch import base
from pipeline_lib.fetch.download import Patience, download, remote_version
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.options import Options


@DRIVERS.register("http")
class Http:
    """Downloads over HTTP, resumed where the server allows."""

    class Options(Options):
        """Options of the ``http`` driver."""

        url: str
        """Address; ``{year}``, ``{month}``, ``{day}`` and ``{part}`` are filled in, ``{day}`` gives a file per day,
        ``{file}`` one per name."""
        files: tuple[str, ...] = ()
        """What ``{file}`` stands for, one file each, with other placeholders; by default the names in ``sha256``."""
        sha256: base.Checksums = None
        """SHA-256 of the file, or of each file by its name; without it a new version is only reported."""
        size: base.Size | None = None
        """Size of the one file in bytes."""
        may_lack: base.MayLack = 0
        """Most files of a part that the server may answer not to have (404, 410): they are reported and counted."""
        attempts: int = Field(5, ge=1, le=100)
        """Attempts in a row without a byte before giving up."""
        timeout_s: float = Field(60.0, gt=0)
        """Seconds without a byte after which an attempt has failed."""
        wait_s: float = Field(1.0, ge=0)
        """Pause before the second attempt in seconds; it doubles with each further one."""

        preliminary: str | None = None
        """Address that is taken as long as there is no file at ``url``; placeholders as there."""

        @field_validator("url", "preliminary")
        @classmethod
        def _web_address(cls, url: str | None) -> str | None:
            if url is None:
                return None
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("is not an http or https address")
            base.file_name(unquote(parts.path))
            return base.check_placeholders(url)

        @model_validator(mode="after")
        def _addresses_agree(self) -> Http.Options:
            base.check_alike(self.url, self.preliminary)
            base.check_names(self.url, self.files, self.sha256)
            return self

    @staticmethod
    def files(options: Options, request: base.FetchRequest) -> list[base.WantedFile]:
        """Return one file, one per day, or one per name."""
        several = base.several(options.files, options.sha256)
        addresses = base.expand(options.url, request, several)
        names = [(base.file_name(unquote(urlsplit(address).path)), address) for address in addresses]
        earlier = base.expand(options.preliminary, request, several) if options.preliminary else None
        return base.wanted_files(names, options.sha256, options.size, earlier)

    @staticmethod
    def version(options: Options, wanted: base.WantedFile) -> str | None:
        """Return what the server says of the file without sending it; ``None`` if there is none."""
        return remote_version(wanted.address, _patience(options))

    @staticmethod
    def fetch(options: Options, wanted: base.WantedFile, folder: Path) -> Path:
        """Download one file; see :func:`pipeline_lib.fetch.download.download`."""
        return download(wanted, folder, _patience(options))


def _patience(options: Http.Options) -> Patience:
    return Patience(attempts=options.attempts, timeout_s=options.timeout_s, wait_s=options.wait_s)
