"""What the fetch stage asks of a driver, and the words both use."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import Field

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 as 64 lower-case hexadecimal digits."""
Checksums = Sha256 | Mapping[str, Sha256] | None
"""The SHA-256 of the one file, or those of several by file name."""
Size = Annotated[int, Field(gt=0)]
"""A size in bytes."""

PART = ".part"
"""Suffix of what has come of a file whose transfer can be gone on with; the same and more for notes beside it."""

FILE = "{file}"
"""Where in an address each of several names goes."""
PLACEHOLDERS = ("year", "month", "day", "part", "file")
"""What may stand in braces in an address."""

BY_HASH = "sha256:"
"""How a version begins that is the file's own SHA-256: it can be compared with a file that is here."""

_LOGIN_IN_URL = re.compile(r"(://)[^/@\s]+@")
_QUERY_IN_URL = re.compile(r"(://[^\s?]+\?)[^\s'\")]+")


MayLack = Annotated[int, Field(ge=0)]
"""Most files of a part that the provider need not have; for the option ``may_lack`` of a driver."""


class AbsentError(FetchError):
    """The provider answers that it has no such file; of a provider that does not answer nothing is known."""


@dataclass(frozen=True)
class FetchRequest:
    """What is wanted of a source.

    Attributes
    ----------
    source
        Name of the catalog entry.
    part
        ``all``, or the month as ``YYYY-MM``.
    start, end
        First and last day wanted; no end means up to the newest.
    variables
        Names of the variables as the provider delivers them.
    step_hours
        Hours between two time steps.
    """

    source: str
    part: str
    start: date
    end: date | None
    variables: tuple[str, ...]
    step_hours: float = 24


@dataclass(frozen=True)
class WantedFile:
    """One file to bring.

    Attributes
    ----------
    name
        Its name here; also what a mirror folder is searched for.
    address
        What the driver needs to find it, as one text without secrets; a change of it makes the fetched file stale.
    sha256, size
        What the catalog pins; ``None`` accepts what comes.
    preliminary
        Where a preliminary version lies as long as there is none at ``address``; ``None`` if there never is one.
    """

    name: str
    address: str
    sha256: str | None = None
    size: int | None = None
    preliminary: str | None = None

    def plain(self) -> dict[str, Any]:
        """Return the fields as plain values, without ``preliminary`` where it does not apply."""
        return {name: value for name, value in vars(self).items() if name != "preliminary" or value is not None}

    def as_preliminary(self) -> WantedFile:
        """Return the preliminary version as a file of its own; what the catalog pins holds for the final one."""
        return WantedFile(name=self.name, address=self.preliminary or self.address)


class Driver(Protocol):
    """Brings files of one kind of provider.

    A driver may also have a static method ``version(options, wanted) -> str | None``: :mod:`pipeline_lib.fetch.news`,
    and ``modules(options) -> list[str]``: further modules whose code decides what it brings. Its options may have
    ``may_lack``, see :func:`may_lack`.
    """

    Options: ClassVar[type[Options]]
    """Options of the ``fetch:`` block of a catalog entry, besides ``driver``."""

    @staticmethod
    def files(options: Any, request: FetchRequest) -> list[WantedFile]:  # noqa: ANN401 - the driver's own Options
        """Return the files that answer a request. Pure: neither disk nor network is touched."""
        ...

    @staticmethod
    def fetch(options: Any, wanted: WantedFile, folder: Path) -> Path:  # noqa: ANN401 - the driver's own Options
        """Bring one file into ``folder`` and return its path, checked by :func:`pipeline_lib.fetch.checks.check_file`.

        The folder is kept between runs, for what an interrupted transfer can go on from.

        Raises
        ------
        AbsentError
            If the provider says that it has no such file.
        FetchError
            If it cannot be had, or is not what the catalog pins.
        OSError
            If the disk refuses.
        """
        ...


def may_lack(options: Any) -> int:  # noqa: ANN401 - a driver's own Options
    """Return how many files of a part the provider need not have, by the options of a driver; most take none."""
    return int(getattr(options, "may_lack", 0))


def check_placeholders(template: str) -> str:
    """Return ``template``; raise ``ValueError`` if it holds other words in braces than :data:`PLACEHOLDERS`."""
    try:
        fields = [field[1:] for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        raise ValueError(f"braces do not match in {template!r}") from error
    for name, form, conversion in fields:
        if name not in PLACEHOLDERS or form or conversion:
            raise ValueError(f"{{{name}}} is not known; use {', '.join(f'{{{p}}}' for p in PLACEHOLDERS)}")
    return template


def check_alike(address: str, preliminary: str | None) -> None:
    """Raise ``ValueError`` if one of two addresses goes by day, or by file, and the other does not."""
    for by in ("{day}", FILE):
        if preliminary is not None and (by in address) != (by in preliminary):
            raise ValueError(f"preliminary must go by {by} exactly if the final address does")


def check_names(address: str, names: Sequence[str], sha256: Checksums) -> None:
    """Raise ``ValueError`` if ``{file}`` stands for no name, a name is not usable, or names have no place to go."""
    for name in names:
        if file_name(check_placeholders(name)) != name or FILE in name:
            raise ValueError(f"{name!r} is not a name of a file")
    if FILE in address and not several(names, sha256):
        raise ValueError("says {file}, but neither files nor sha256 names any")
    if names and FILE not in address:
        raise ValueError("files are named, but the address does not say {file}")


def several(names: Sequence[str], sha256: Checksums) -> Sequence[str]:
    """Return what ``{file}`` stands for: the names given, otherwise those that have a checksum."""
    return names or (list(sha256) if isinstance(sha256, Mapping) else [])


def expand(template: str, request: FetchRequest, names: Sequence[str] = ()) -> list[str]:
    """Fill in the placeholders of an address: one address, or one per day when it holds ``{day}``.

    Where it holds ``{file}``, all that for each of ``names``, which may hold the other placeholders.

    Raises
    ------
    FetchError
        If it goes by day and the request has no last day.
    """
    if FILE in template:
        return [address for name in names for address in expand(template.replace(FILE, name), request)]
    if "{day}" not in template:
        return [_filled(template, request, request.start)]
    if request.end is None:
        raise FetchError("an address per day needs a last day", where=request.source, fix="set time.end in the catalog")
    return [_filled(template, request, day) for day in _days(request.start, request.end)]


def _filled(template: str, request: FetchRequest, day: date) -> str:
    return template.format(year=f"{day:%Y}", month=f"{day:%m}", day=f"{day:%d}", part=request.part)


def _days(start: date, end: date) -> Iterator[date]:
    for offset in range((end - start).days + 1):
        yield start + timedelta(days=offset)


def wanted_files(
    names: list[tuple[str, str]], sha256: Checksums, size: int | None, preliminary: list[str] | None = None
) -> list[WantedFile]:
    """Return wanted files from (name, address) pairs, what the catalog pins for them and preliminary addresses."""
    sums = sha256 if isinstance(sha256, Mapping) else dict.fromkeys((n for n, _ in names), sha256)
    earlier: Sequence[str | None] = preliminary or [None] * len(names)
    return [
        WantedFile(name=name, address=address, sha256=sums.get(name), size=size, preliminary=other)
        for (name, address), other in zip(names, earlier, strict=True)
    ]


def file_name(path: str) -> str:
    """Return the last component of a path; raise ``ValueError`` if it is not a usable file name.

    Hidden names belong to this program: its lists of payloads and its unfinished files lie beside the fetched ones.
    """
    name = PurePosixPath(path).name
    if name.startswith(".") or not name or any(ord(c) < 32 for c in name):
        raise ValueError(f"{path!r} does not end in a file name that is not hidden")
    return name


def redact(text: str) -> str:
    """Return ``text`` with any login taken out of the addresses in it, and what follows their question mark.

    A server may redirect to an address that is signed for the one who asked; such a signature is as good as a login.
    """
    return _QUERY_IN_URL.sub(r"\1***", _LOGIN_IN_URL.sub(r"\1***@", text))
