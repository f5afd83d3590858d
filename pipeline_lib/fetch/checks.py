"""Is this the file that was asked for? Size, kind, checksum, and whether it can be read at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline_lib.errors import FetchError, closest
from pipeline_lib.fetch.base import WantedFile
from pipeline_lib.io.hashing import sha256_file

REJECTED = ".rejected"
"""Suffix of a file that came but is not the one that the catalog pins; it is kept for inspection."""

_HTML_STARTS = (b"<!doctype html", b"<html")
_HEAD_BYTES = 512


def check_file(path: Path, wanted: WantedFile) -> None:
    """Check that a file is the wanted one; otherwise set it aside as ``<name>.rejected``, beside ``path``.

    Raises
    ------
    FetchError
        If it is empty, an HTML page, or has another size or SHA-256 than the catalog pins.
    """
    problem = mismatch(path, wanted)
    if problem is not None:
        aside = path.with_name(wanted.name + REJECTED)
        path.replace(aside)
        raise FetchError(
            f"{problem}; the file is kept as {aside}",
            where=wanted.name,
            fix="run again; if it happens again, the provider changed the file: check it and correct the catalog entry",
        )


def mismatch(path: Path, wanted: WantedFile) -> str | None:
    """Return what is wrong with a file, ``None`` if it is the wanted one as far as the catalog can tell."""
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    if looks_like_html(path) and not wanted.name.lower().endswith((".html", ".htm")):
        return "is an HTML page (an error or login page?), not data"
    if wanted.size is not None and size != wanted.size:
        return f"has {size} bytes, the catalog says {wanted.size}"
    if wanted.sha256 is not None:
        found = sha256_file(path)
        if found != wanted.sha256:
            return f"has SHA-256 {found}, the catalog says {wanted.sha256}"
    return None


def looks_like_html(path: Path) -> bool:
    """Whether a file begins like an HTML page."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML_STARTS)


def check_readable(path: Path, variables: Iterable[str]) -> None:
    """Open a netCDF file and read one value of each variable.

    Raises
    ------
    FetchError
        If it is not a readable netCDF-4 file or lacks a variable.
    """
    import h5netcdf

    try:
        with h5netcdf.File(path, "r") as opened:
            absent = [name for name in variables if name not in opened.variables]
            if absent:
                raise FetchError(
                    f"has no variable {absent[0]!r}", where=path.name, fix=closest(absent[0], opened.variables)
                )
            for name in variables:
                variable = opened.variables[name]
                if 0 in variable.shape:
                    raise FetchError(f"variable {name!r} is empty", where=path.name, fix="ask for other days or cells")
                variable[(0,) * len(variable.shape)]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise FetchError(
            f"is not a readable netCDF-4 file: {error}", where=path.name, fix="run again to fetch it anew"
        ) from error
