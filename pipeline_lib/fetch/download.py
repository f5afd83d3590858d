"""Downloads over HTTP that go on where they stopped. Why with no downloader of others: docs/adr/0023."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from pipeline_lib.errors import FetchError
from pipeline_lib.fetch.base import PART, AbsentError, WantedFile, redact
from pipeline_lib.fetch.checks import check_file, mismatch
from pipeline_lib.fetch.transfer import transfer
from pipeline_lib.io.atomic import sync

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")
_BLOCK = 1 << 16
_LONGEST_WAIT_S = 60.0
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that say "not now" (RFC 9110, 6585): worth another attempt."""
_ABSENT = frozenset({404, 410})
_FIRST_ERROR = 400
_SAYING = ("ETag", "Last-Modified", "Content-Length")
"""Headers that change when a file does."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)$")
_ADVICE = {
    401: "the provider wants a login: see the entry's homepage",
    403: "the provider refuses: see the entry's homepage for the terms of access",
    404: "the file was moved or is not there yet: check the address in the catalog",
    410: "the file was removed: check the address in the catalog",
}


@dataclass(frozen=True)
class Patience:
    """How long to keep trying.

    Attributes
    ----------
    attempts
        Attempts in a row that bring not one byte before giving up.
    timeout_s
        Seconds without an answer or a byte after which an attempt has failed.
    wait_s
        Pause before the second attempt; it doubles with each further one, up to a minute.
    """

    attempts: int = 5
    timeout_s: float = 60.0
    wait_s: float = 1.0


def download(wanted: WantedFile, folder: Path, patience: Patience) -> Path:
    """Bring ``wanted.address`` to ``folder / wanted.name``.

    What has come is kept as ``<name>.part`` until it is complete and checked, also when the process ends, and the
    next call goes on from there if the server allows.

    Raises
    ------
    AbsentError
        If the server says that it has no such file.
    FetchError
        If it cannot be had, or is not the file that the catalog pins (then kept as ``<name>.rejected``).
    OSError
        If the disk refuses.
    """
    final, part = folder / wanted.name, folder / f"{wanted.name}{PART}"
    _Collector(wanted, part, patience).collect()
    sync(part)
    part.replace(final)
    sync(folder)
    return final


def remote_version(url: str, patience: Patience) -> str | None:
    """Return what the server says of a file (entity tag, date, length), ``None`` if it has no such file.

    The text changes when the file does; of a server that says nothing it is a text that never repeats.

    Raises
    ------
    FetchError
        If the server cannot be asked or refuses.
    """
    fix = "check the network and run again"
    return _patiently(lambda: _ask(url, patience.timeout_s), patience, what=redact(url), where=url, fix=fix)


def _ask(url: str, timeout_s: float) -> str | None:
    """Ask for the headers of a file; where a server knows no HEAD, begin to read and stop."""
    try:
        try:
            return _said("HEAD", url, timeout_s)
        except AbsentError:
            raise
        except FetchError:
            return _said("GET", url, timeout_s)
    except AbsentError:
        return None


def _said(method: str, url: str, timeout_s: float) -> str:
    import requests

    try:
        with requests.request(method, url, stream=True, timeout=timeout_s, allow_redirects=True) as response:
            _require_success(response)
            said = [response.headers[name] for name in _SAYING if name in response.headers]
            return " ".join(said) if said else f"unknown {uuid.uuid4().hex}"
    except requests.RequestException as error:
        raise _translated(error, timeout_s, url) from error


def _require_success(response: requests.Response) -> None:
    """Raise for a status that is none of success."""
    status = response.status_code
    if status in _RETRIED:
        after = response.headers.get("Retry-After", "")
        raise _AgainError(f"the server answers {status}", float(after) if after.isdigit() else None)
    if status >= _FIRST_ERROR:
        fix = _ADVICE.get(status, "see the entry's homepage")
        kind = AbsentError if status in _ABSENT else FetchError
        raise kind(f"the server answers {status} {response.reason}", where=redact(response.url), fix=fix)


def _patiently(
    attempt: Callable[[], _Answer],
    patience: Patience,
    *,
    what: str,
    where: str,
    fix: str,
    came: Callable[[], int] = lambda: 0,
) -> _Answer:
    """Make attempts until one succeeds, fails for good, or so many in a row after which no more bytes ``came``."""
    left, wait = patience.attempts, patience.wait_s
    while True:
        before = came()
        try:
            return attempt()
        except _AgainError as error:
            left = patience.attempts if came() > before else left - 1
            if left < 1:
                why = f"{error}; gave up after {patience.attempts} attempts"
                raise FetchError(why, where=redact(where), fix=fix) from error
            pause = min(wait if error.wait_s is None else error.wait_s, _LONGEST_WAIT_S)
            logger.warning("%s: %s; trying again in %.0f s", what, error, pause)
            time.sleep(pause)
            wait *= 2


class _AgainError(Exception):
    """An attempt failed in a way that the next one may not."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Collector:
    """Collects a file: resumes with HTTP ranges, tries again after a break, checks what came.

    Parameters
    ----------
    wanted
        The file and what the catalog pins for it.
    part
        Where it is collected.
    patience
        How long to keep trying.
    """

    def __init__(self, wanted: WantedFile, part: Path, patience: Patience) -> None:
        self.wanted, self.part, self.patience = wanted, part, patience
        self.validator = part.with_name(f"{part.name}.etag")
        self.joined = False

    def collect(self) -> None:
        """Bring the file to ``part``, complete and checked."""
        self._collect()
        if self.joined and (problem := mismatch(self.part, self.wanted)):
            logger.warning("%s: put together from pieces it %s; starting again", self.wanted.name, problem)
            self._forget()
            self._collect()
        self.validator.unlink(missing_ok=True)
        check_file(self.part, self.wanted)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _collect(self) -> None:
        """Make attempts until the file is complete or patience ends."""
        first = True

        def attempt() -> None:
            nonlocal first
            undisturbed, first = first and not self._size(), False
            try:
                self._attempt()
            except AbsentError as error:
                if undisturbed:
                    raise
                what = f"{error.what}, though it was there or busy before"
                raise FetchError(what, where=error.where, fix="run again later") from error

        _patiently(
            attempt,
            self.patience,
            what=self.wanted.name,
            where=self.wanted.address,
            fix="check the network and run again: it goes on from what came",
            came=self._size,
        )

    def _attempt(self) -> None:
        import requests

        offset = self._size()
        if offset and offset == self.wanted.size:
            return
        url, timeout = self.wanted.address, self.patience.timeout_s
        try:
            with requests.get(url, headers=self._headers(offset), stream=True, timeout=timeout) as response:
                if response.status_code == 416:  # the file is not longer than what came before
                    self._forget()
                    raise _AgainError("what came before does not fit the file")
                self._refuse(response)
                offset, total = self._position(response, offset)
                with self.part.open("ab" if offset else "wb") as stream:
                    self._receive(response, stream, offset, total)
        except requests.RequestException as error:
            raise _translated(error, timeout, url) from error

    def _headers(self, offset: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}  # lengths and ranges then count the file's own bytes
        known = self.validator.read_text() if self.validator.exists() else ""
        if offset and (known or self.wanted.sha256):
            headers["Range"] = f"bytes={offset}-"
            if known:
                headers["If-Range"] = known
        return headers

    def _refuse(self, response: requests.Response) -> None:
        """Raise for an answer that is not the file."""
        _require_success(response)
        is_html = response.headers.get("Content-Type", "").lower().startswith("text/html")
        if is_html and not self.wanted.name.lower().endswith((".html", ".htm")):
            raise FetchError(
                "the server answers with an HTML page, not with the file",
                where=redact(response.url),
                fix="open the address in a browser: an error page, a login or new terms?",
            )

    def _position(self, response: requests.Response, offset: int) -> tuple[int, int | None]:
        """Return from which byte the answer goes on, and the size of the whole file if it is told."""
        total: int | None = None
        if response.status_code == 206:
            match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != offset:
                self._forget()
                raise _AgainError("the server sent another range than was asked for")
            total = int(match[2]) if match[2] != "*" else None
            self.joined = True
        else:
            if offset:
                logger.info("%s: the server does not resume; starting again", self.wanted.name)
            offset = 0
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
        if total is not None and self.wanted.size is not None and total != self.wanted.size:
            raise FetchError(
                f"has {total} bytes at the provider, the catalog says {self.wanted.size}",
                where=redact(response.url),
                fix="the provider changed the file: check it and correct the catalog entry",
            )
        validator = response.headers.get("ETag", "")
        if not validator or validator.startswith("W/"):  # a weak tag does not vouch for the bytes
            validator = response.headers.get("Last-Modified", "")
        self.validator.write_text(validator)
        return offset, total

    def _receive(self, response: requests.Response, stream: IO[bytes], offset: int, total: int | None) -> None:
        came, limit = offset, total if total is not None else self.wanted.size
        with transfer(self.wanted.name, total=limit, done=offset) as advance:
            for block in response.iter_content(_BLOCK):
                stream.write(block)
                came += len(block)
                advance(len(block))
                if limit is not None and came > limit:
                    break  # more than announced: the check below or the checksum tells
        if total is not None and came != total:
            raise _AgainError(f"{came} of {total} bytes came")

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.validator.unlink(missing_ok=True)


def _translated(error: requests.RequestException, timeout_s: float, url: str) -> Exception:
    """Return what a failed request means: try again, or an error that trying again does not cure."""
    import requests

    text = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        return FetchError("the server's certificate is not accepted", where=redact(url), fix="check clock and proxy")
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return _AgainError(f"nothing came for {timeout_s:g} s")
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        if "resolve" in text.lower():
            return _AgainError("the host name is not known: is there a network?")
        if "refused" in text.lower():
            return _AgainError("the connection was refused")
        return _AgainError("the connection broke")
    return FetchError(f"cannot be requested: {redact(text)}", where=redact(url), fix="check the address in the catalog")
