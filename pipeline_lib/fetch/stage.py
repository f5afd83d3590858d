"""The fetch stage: from a catalog entry to raw files with a manifest.

It does not import the catalog: a change in how entries are read makes no fetched file stale.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from pipeline_lib.errors import StoreError
from pipeline_lib.fetch.base import PART, FetchRequest, WantedFile
from pipeline_lib.fetch.checks import REJECTED, check_readable, mismatch
from pipeline_lib.fetch.mirror import find_in_mirror
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.io.hashing import sha256_file
from pipeline_lib.io.manifest import Artefact, read_manifest

logger = logging.getLogger(__name__)

INCOMING = ".{part}.incoming"
"""Folder beside the manifest in which transfers lie until they are complete and checked."""


class FetchableSource(Protocol):
    """What this stage needs to know of a catalog entry."""

    @property
    def name(self) -> str:
        """Name of the entry."""
        ...

    @property
    def driver(self) -> str:
        """Name of its fetch driver."""
        ...

    @property
    def driver_options(self) -> Any:  # noqa: ANN401 - the driver's own Options
        """Validated options of the driver."""
        ...

    def request(self, part: str) -> FetchRequest:
        """Return what is wanted for one part."""
        ...

    def fetch_options(self, part: str) -> dict[str, Any]:
        """Return all that decides which files a part consists of."""
        ...

    def provenance(self) -> dict[str, str]:
        """Return what the results say about their origin."""
        ...


def fetch_source(source: FetchableSource, *, part: str, output: Path, mirror: Path | None = None, code: str) -> None:
    """Bring the files of one part of a source here and write their manifest.

    Files come from what was fetched before (if the catalog pins their checksum), from the mirror, or by the driver, in
    this order. Each is checked and one value of each variable is read before the part is declared complete.

    Parameters
    ----------
    source
        The catalog entry.
    part
        ``all``, or a month as ``YYYY-MM`` for a source that is fetched by month.
    output
        Manifest to write; the files come to lie beside it.
    mirror
        Folder that is searched, by file name and checksum, before the network.
    code
        Fingerprint of the code of this stage and the driver.

    Raises
    ------
    ConfigError
        If the source has no such part, or the mirror does not exist.
    FetchError
        If a file cannot be had, or is not what the catalog pins.
    StoreError
        If the disk refuses.
    """
    options = source.fetch_options(part)
    if _is_done(output, options, code):
        logger.info("%s %s: already here", source.name, part)
        return
    request = source.request(part)
    driver = DRIVERS.get(source.driver)
    wanted = driver.files(source.driver_options, request)
    incoming = output.parent / INCOMING.format(part=part)
    with (
        Artefact(output, kind="raw", code=code, packages=("copernicusmarine", "h5netcdf", "pooch")) as out,
        _folder(incoming, wanted),
    ):
        for file in wanted:
            staged = out.payload(file.name)
            local = _still_here(output.parent / file.name, file) or (mirror and find_in_mirror(mirror, file))
            if local:
                shutil.copyfile(local, staged)
            else:
                driver.fetch(source.driver_options, file, incoming).replace(staged)
            check_readable(staged, request.variables)
            _report_reissue(output.parent / file.name, staged, file)
        out.options = options
        out.content = {"source": source.name, "part": part, **source.provenance()}
    logger.info("%s %s: %d file(s) here and checked", source.name, part, len(wanted))


@contextmanager
def _folder(path: Path, wanted: Sequence[WantedFile]) -> Iterator[None]:
    """Make a folder and remove it afterwards unless it holds something: an unfinished or a rejected file.

    What else a fetch that was killed left in it is removed first: nobody can go on from it.
    """
    path.mkdir(exist_ok=True)
    unfinished = tuple(f"{file.name}{PART}" for file in wanted)
    for leftover in path.iterdir():
        if not leftover.name.startswith(unfinished) and leftover.suffix != REJECTED:
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    try:
        yield
    finally:
        with suppress(OSError):
            path.rmdir()


def _still_here(earlier: Path, file: WantedFile) -> Path | None:
    """Return an earlier fetched copy if the catalog pins its checksum and it has it."""
    if file.sha256 is None or not earlier.is_file() or mismatch(earlier, file) is not None:
        return None
    return earlier


def _report_reissue(earlier: Path, staged: Path, file: WantedFile) -> None:
    """Tell whether the provider changed a file since it was last fetched."""
    if file.sha256 is not None or not earlier.is_file():
        return
    before, now = sha256_file(earlier), sha256_file(staged)
    if before == now:
        logger.info("%s: unchanged since it was last fetched", file.name)
    else:
        logger.warning("%s: re-issued by the provider (SHA-256 was %s, is %s)", file.name, before, now)


def _is_done(output: Path, options: Mapping[str, Any], code: str) -> bool:
    """Whether the manifest says that exactly this was fetched, and the files are unharmed."""
    try:
        manifest = read_manifest(output, kind="raw", verify="deep")
    except StoreError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            logger.warning("%s; fetching again", error.line)
        return False
    return manifest.options == options and manifest.code == code
