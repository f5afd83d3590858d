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

from pipeline_lib.errors import FetchError, StoreError
from pipeline_lib.fetch.base import PART, AbsentError, Driver, FetchRequest, WantedFile, may_lack
from pipeline_lib.fetch.checks import REJECTED, check_readable, mismatch
from pipeline_lib.fetch.mirror import find_in_mirror
from pipeline_lib.fetch.news import current_version
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.io.hashing import sha256_file
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest

logger = logging.getLogger(__name__)

PACKAGES = ("copernicusmarine", "h5netcdf", "h5py", "requests")

INCOMING = ".{part}.incoming"
"""Folder beside the manifest in which transfers lie until they are complete and checked."""

ABSENT = "absent"
"""Where a manifest names the files of its part that the provider does not have."""


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

    @property
    def reader(self) -> str:
        """Name of the reader of its files."""
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


class _UnchangedError(Exception):
    """What was fetched again is what was here; ends the writing of the artefact, which stays as it is."""


def fetch_source(
    source: FetchableSource, *, part: str, output: Path, mirror: Path | None = None, code: str, again: bool = False
) -> bool:
    """Bring the files of one part of a source here and write their manifest.

    Files come from what was fetched before (if the catalog pins their checksum), from the mirror, or by the driver, in
    this order. Each is checked and one value of each variable is read before the part is declared complete. Where the
    source says ``may_lack``, up to so many files of which the provider says that there is none are left out; the
    manifest names them.

    Parameters
    ----------
    source
        The catalog entry.
    part
        ``all``, or the period for a source that is fetched period by period.
    output
        Manifest to write; the files come to lie beside it.
    mirror
        Folder that is searched, by file name and checksum, before the network.
    code
        Fingerprint of the code of this stage and the driver.
    again
        Bring the files also if they are here, to see whether the provider changed them. Nothing is written if not.

    Returns
    -------
    bool
        Whether the part is another than before.

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
    before = _done(output, options, code, may_lack(source.driver_options))
    if before is not None and not again:
        logger.info("%s %s: already here", source.name, part)
        return False
    request = source.request(part)
    wanted = DRIVERS.get(source.driver).files(source.driver_options, request)
    try:
        with Artefact(output, kind="raw", code=code, packages=PACKAGES) as out:
            marked = _bring(source, request, wanted, out, output, mirror)
            out.options = options
            out.content = {"source": source.name, "part": part, **source.provenance(), **marked}
            brought = [file.name for file in wanted if file.name not in marked.get(ABSENT, [])]
            if before is not None and _same(before, out, brought):
                raise _UnchangedError
    except _UnchangedError:
        logger.info("%s %s: still the same", source.name, part)
        return False
    logger.info("%s %s: %d file(s) here and checked", source.name, part, len(brought))
    return True


def _bring(
    source: FetchableSource,
    request: FetchRequest,
    wanted: Sequence[WantedFile],
    out: Artefact,
    output: Path,
    mirror: Path | None,
) -> dict[str, list[str]]:
    """Stage the wanted files, each checked; return the names of those that are preliminary, and of those not there."""
    driver = DRIVERS.get(source.driver)
    preliminary: list[str] = []
    absent: list[str] = []
    incoming = output.parent / INCOMING.format(part=request.part)
    with _folder(incoming, wanted):
        for file in wanted:
            earlier = output.parent / file.name
            if local := _still_here(earlier, file) or (mirror and find_in_mirror(mirror, file)):
                staged = out.payload(file.name)
                shutil.copyfile(local, staged)
            else:
                taken = _final_or_preliminary(driver, source.driver_options, file)
                try:
                    came = driver.fetch(source.driver_options, taken, incoming)
                except AbsentError as error:
                    _may_be_left_out(file, error, earlier, absent, may_lack(source.driver_options))
                    absent.append(file.name)
                    continue
                if taken is not file:
                    preliminary.append(file.name)
                staged = out.payload(file.name)
                came.replace(staged)
            check_readable(source.reader, staged, request.variables)
            _report_reissue(output.parent / file.name, staged, file)
    _tell_absent(absent, wanted, request)
    return {name: names for name, names in (("preliminary", preliminary), (ABSENT, absent)) if names}


def _may_be_left_out(file: WantedFile, error: AbsentError, earlier: Path, absent: Sequence[str], most: int) -> None:
    """Raise if a part cannot do without a file that the provider does not have, as it did without those ``absent``."""
    if not most or file.sha256 is not None:
        raise error
    if earlier.exists():
        fix = f"delete {earlier} to go on without it"
        raise FetchError("was fetched before, and the provider has it no more", where=file.name, fix=fix) from error
    if len(absent) == most:
        what = f"{error.what}, after {most} file(s) that are not there either: no more may lack"
        raise FetchError(what, where=error.where, fix=f"{error.fix}, or raise may_lack") from error


def _tell_absent(absent: Sequence[str], wanted: Sequence[WantedFile], request: FetchRequest) -> None:
    """Warn of files that were left out; raise if there is no other: then rather the address is wrong."""
    where = f"{request.source} {request.part}"
    if len(absent) == len(wanted):
        fix = f"check the address in the catalog, of {absent[0]} for one"
        raise FetchError(f"the provider has none of {len(wanted)} files", where=where, fix=fix)
    if absent:
        logger.warning("%s: %d of %d files are not there: %s", where, len(absent), len(wanted), ", ".join(absent))


def _final_or_preliminary(driver: type[Driver], options: Any, file: WantedFile) -> WantedFile:  # noqa: ANN401 - the driver's own Options
    """Return the file itself, or its preliminary version while the provider has nothing else."""
    if file.preliminary is None:
        return file
    _, taken = current_version(driver, options, file)
    if taken is not file:
        logger.info("%s: only a preliminary version is there", file.name)
    return taken


def _same(before: Manifest, out: Artefact, names: list[str]) -> bool:
    """Whether the staged files and their status are those of the manifest."""
    staged = {name: sha256_file(out.payload(name)) for name in names}
    known = {name: record.sha256 for name, record in before.files.items()}
    return staged == known and dict(out.content) == dict(before.content)


@contextmanager
def _folder(path: Path, wanted: Sequence[WantedFile]) -> Iterator[None]:
    """Make a folder and remove it afterwards unless it holds something: an unfinished or a rejected file."""
    path.mkdir(exist_ok=True)
    _clear(path, wanted)
    try:
        yield
    finally:
        with suppress(OSError):
            _clear(path, wanted)
            path.rmdir()


def _clear(path: Path, wanted: Sequence[WantedFile]) -> None:
    """Remove what nobody can go on from: all but unfinished files that are still wanted, and rejected ones."""
    unfinished = tuple(f"{file.name}{PART}" for file in wanted)
    for leftover in path.iterdir():
        if not leftover.name.startswith(unfinished) and leftover.suffix != REJECTED:
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


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


def _done(output: Path, options: Mapping[str, Any], code: str, most: int) -> Manifest | None:
    """Return the manifest if it says that exactly this was fetched but for ``most`` files, and these are unharmed."""
    try:
        manifest = read_manifest(output, kind="raw", verify="deep")
    except StoreError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            logger.warning("%s; fetching again", error.line)
        return None
    fewer = len(manifest.content.get(ABSENT, ())) <= most
    return manifest if fewer and manifest.options == options and manifest.code == code else None
