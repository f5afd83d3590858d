"""Is what lies on disk what its manifests say? Whole folders at once: damage, outdated results, leftovers.

A *manifest* is known by its content, so a plain JSON file beside it is left alone; what was a manifest once is known
by the hidden list of payloads that every artefact keeps beside it. Payload folders are looked into through their
manifest only. What counts as an error and what as a warning: docs/adr/0008.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline_lib.errors import StoreError
from pipeline_lib.io.manifest import InputRecord, check_files, read_manifest

Severity = Literal["error", "warning", "busy"]
"""``error``: not what its manifest says; ``warning``: whole, but something is unfinished or gone; ``busy``: being
written at this moment, which is nothing to repair."""

_OWNER = ".payloads"
_LEFTOVERS = {
    ".partial": "was left by a writer that was stopped",
    ".incoming": "holds transfers that were stopped, or files that were rejected",
}
"""Hidden names that end so lie beside manifests only while something is being written, or after a kill."""
_AHEAD = 64
"""Artefacts waiting for each thread: enough to keep it busy, and few enough to hold thousands in little memory."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be: where, what, and how to repair it."""

    path: Path
    what: str
    fix: str
    severity: Severity = "error"

    @property
    def line(self) -> str:
        """The finding on one line."""
        return StoreError(self.what, where=str(self.path), fix=self.fix).line


@dataclass(frozen=True)
class Checked:
    """What is kept of an artefact after it was read: enough to judge those that were made from it."""

    path: Path
    identity: str
    inputs: Mapping[str, InputRecord]
    files: int
    size: int


@dataclass
class Verification:
    """The outcome of a walk.

    Attributes
    ----------
    artefacts, files, size
        How many manifests, files and bytes were compared.
    findings
        What is not as it should be, at most one per artefact, in order of path.
    """

    artefacts: int = 0
    files: int = 0
    size: int = 0
    findings: list[Finding] = field(default_factory=list)

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]


def verify_tree(
    roots: Iterable[Path], *, deep: bool = True, threads: int = 1, advance: Callable[[int, int], None] | None = None
) -> Verification:
    """Compare every artefact below ``roots`` with its manifest, and each manifest with those it was made from.

    Parameters
    ----------
    roots
        Folders to walk, or single manifests.
    deep
        Compare hashes; otherwise the set of files and their sizes only.
    threads
        Threads that hash; the outcome does not depend on it.
    advance
        Called after each artefact with the number of artefacts and of bytes compared so far.
    """
    outcome = Verification()
    known: dict[str, Checked | None] = {}
    broken: set[Path] = set()
    candidates: list[Path] = []
    for root in roots:
        for place in _walk(root, outcome.findings):
            _beside(place, outcome.findings)
            candidates += sorted(place.glob("*.json")) if place.is_dir() else [place]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for checked, finding in _in_order(pool, candidates, deep, ahead=threads * _AHEAD):
            if finding is not None:
                outcome.findings.append(finding)
                broken.add(finding.path)
            if checked is not None:
                known[_key(checked.path)] = checked
                outcome.artefacts += 1
                outcome.files += checked.files
                outcome.size += checked.size
                if advance is not None:
                    advance(outcome.artefacts, outcome.size)
    here = [checked for checked in known.values() if checked is not None]
    outcome.findings += [f for c in here if c.path not in broken and (f := _chain(c, known)) is not None]
    outcome.findings.sort(key=lambda finding: str(finding.path))
    return outcome


def _walk(root: Path, findings: list[Finding]) -> Iterator[Path]:
    """Yield the folders that can hold manifests, or the one manifest; payloads and hidden folders are passed over."""
    if root.is_file():
        yield root
        return

    def refused(error: OSError) -> None:
        folder = Path(error.filename or root)
        findings.append(Finding(folder, f"cannot be read: {error.strerror}", "correct its permissions"))

    for place, folders, _ in os.walk(root, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(".zarr"))
        yield Path(place)


def _beside(folder: Path, findings: list[Finding]) -> None:
    """Find what writers left in a folder: staging folders, unfinished transfers, payloads without their manifest."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        hidden = sorted(entry.name for entry in entries if entry.name.startswith("."))
    for name in hidden:
        path = folder / name
        if path.suffix in _LEFTOVERS:
            findings.append(_leftover(path))
        elif path.suffix == _OWNER and not os.path.lexists(manifest := folder / f"{path.stem.removeprefix('.')}.json"):
            what = "is not there, though files of it are: it was deleted, or its writer was stopped"
            findings.append(Finding(manifest, what, "run again", "warning"))


def _leftover(path: Path) -> Finding:
    if path.is_dir() and _is_held(path):
        return Finding(path, "is being written at this moment", "look again when its writer has ended", "busy")
    fix = "run again, which clears it up, or delete it"
    return Finding(path, _LEFTOVERS[path.suffix], fix, "warning")


def _is_held(folder: Path) -> bool:
    """Whether a living process holds the lock of a staging folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


Outcome = tuple[Checked | None, Finding | None]


def _in_order(pool: ThreadPoolExecutor, paths: Iterable[Path], deep: bool, *, ahead: int) -> Iterator[Outcome]:
    """Yield the outcome of each path in the order given, with no more than ``ahead`` under way."""
    waiting: list[Future[Outcome]] = []
    for path in paths:
        waiting.append(pool.submit(_check, path, deep))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _check(path: Path, deep: bool) -> Outcome:
    """Read one manifest and compare its files; ``(None, None)`` for a JSON file that is no manifest."""
    try:
        manifest = read_manifest(path, verify="none")
    except StoreError as error:
        was_one = path.with_name(f".{path.stem}{_OWNER}").exists()
        return None, Finding(path, error.what, f"delete {path} and run again") if was_one else None
    found = None
    try:
        check_files(manifest, deep=deep)
    except StoreError as error:
        found = Finding(path, error.what, error.fix)
    except OSError as error:
        found = Finding(path, f"{error.filename} cannot be read: {error.strerror}", f"delete {path} and run again")
    size = sum(record.size for record in manifest.files.values())
    return Checked(path, manifest.identity, manifest.inputs, len(manifest.files), size), found


def _chain(artefact: Checked, known: dict[str, Checked | None]) -> Finding | None:
    """Compare the identities that an artefact recorded of its inputs with what these are now."""
    changed, gone = [], []
    for role, record in sorted(artefact.inputs.items()):
        path = artefact.path.parent / record.path
        if _key(path) not in known:
            known[_key(path)] = _outside(path)
        now = known[_key(path)]
        if now is None:
            gone.append(role)
        elif now.identity != record.identity:
            changed.append(role)
    if changed:
        what = f"is out of date: its input {changed[0]!r}{_more(changed)} has changed since"
        return Finding(
            artefact.path, what, f"run the workflow; if it finds nothing to do, delete {artefact.path} first"
        )
    if gone:
        what = f"is whole, but its input {gone[0]!r}{_more(gone)} is not there any more"
        return Finding(artefact.path, what, "run again what made it, to have the chain complete", "warning")
    return None


def _outside(path: Path) -> Checked | None:
    """Read an input that lies outside the folders that are walked; ``None`` if it is gone or unreadable."""
    try:
        manifest = read_manifest(path, verify="none")
    except StoreError:
        return None
    return Checked(path, manifest.identity, manifest.inputs, 0, 0)


def _more(roles: list[str]) -> str:
    return f" (and {len(roles) - 1} more)" if len(roles) > 1 else ""


def _key(path: Path) -> str:
    """Return one text for all spellings of a path; links are followed for the folder, as the writer's paths were."""
    return str(path.parent.resolve() / path.name)
