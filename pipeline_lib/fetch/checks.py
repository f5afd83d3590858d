"""Is this the file that was asked for? Size, kind, checksum, and whether it can be read at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline_lib.errors import DataError, FetchError
from pipeline_lib.fetch.base import WantedFile
from pipeline_lib.io.hashing import sha256_file
from pipeline_lib.readers.registry import READERS

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


def check_readable(reader: str, path: Path, variables: Sequence[str]) -> None:
    """Let a source's reader look into a file.

    Raises
    ------
    FetchError
        If it is not a readable file of the reader's layout, or lacks a variable.
    """
    try:
        READERS.get(reader).check(path, variables)
    except DataError as error:
        raise FetchError(error.what, where=error.where, fix=error.fix) from error
