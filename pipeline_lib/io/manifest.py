"""Manifests: the small JSON file that declares an artefact complete.

A stage writes its payloads (files, Zarr stores) into a staging folder, moves them to their place and writes the
manifest last. What has no manifest does not exist; what its manifest does not match is refused. A manifest
holds no time, host or absolute path, so that equal work gives equal bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pipeline_lib import __version__
from pipeline_lib.errors import StoreError
from pipeline_lib.io.atomic import sync, write_json, write_text
from pipeline_lib.io.hashing import sha256_file, sha256_json
from pipeline_lib.io.identifier import STORE_METADATA, content_of, mark_store, origin_of

FORMAT = 1
"""Version of the manifest layout; raised when an older reader could misunderstand a newer file."""
_EVERYWHERE = ("numpy", "pandas", "xarray", "zarr", "numcodecs")
"""Distributions that every stage reads or writes with."""


_WRITERS = 4
"""Files that are brought to disk at a time."""


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and SHA-256 of one file of an artefact."""

    size: int
    sha256: str


@dataclass(frozen=True)
class InputRecord:
    """Where an input's manifest lay, relative to this manifest's folder, and the identity it had."""

    path: str
    identity: str


@dataclass(frozen=True)
class Manifest:
    """A manifest as read from disk.

    ``files`` maps paths relative to the manifest's folder to their records; a Zarr store contributes one
    entry per file in it.
    """

    path: Path
    kind: str
    files: Mapping[str, FileRecord]
    inputs: Mapping[str, InputRecord]
    options: Mapping[str, Any]
    content: Mapping[str, Any]
    code: str
    versions: Mapping[str, str]

    @cached_property
    def identity(self) -> str:
        """SHA-256 over kind and files: equal for equal content, whatever made it."""
        return identity_of(self.kind, self.files)

    @cached_property
    def origin(self) -> str:
        """SHA-256 over what it was made of: kind, inputs, options and code; its figures and pages carry it."""
        inputs = {role: record.identity for role, record in self.inputs.items()}
        return origin_of(self.kind, inputs=inputs, options=self.options, code=self.code)

    def content_of(self, store: str) -> str:
        """Return the SHA-256 over the arrays of a Zarr store among the payloads; the store carries it."""
        names = {f.removeprefix(f"{store}/"): f for f in self.files if f.startswith(f"{store}/")}
        return content_of({name: self.files[f].sha256 for name, f in names.items()})

    def file(self, name: str) -> Path:
        """Return the path of a payload file or store; raise :class:`StoreError` if there is none."""
        if name not in self.files and not any(f.startswith(f"{name}/") for f in self.files):
            raise StoreError(f"holds no {name!r}", where=str(self.path), fix=f"it holds {', '.join(self.payloads)}")
        return self.path.parent / name

    @property
    def payloads(self) -> list[str]:
        """Names of the payload files and stores, sorted."""
        return sorted({name.split("/", 1)[0] for name in self.files})


def identity_of(kind: str, files: Mapping[str, FileRecord]) -> str:
    """Return the SHA-256 that identifies an artefact by its kind and content."""
    return sha256_json([kind, {name: record.sha256 for name, record in files.items()}])


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of ``packages`` and of what every stage rests on; absent packages are left out.

    The kind of machine is part of it, the machine is not: the same work elsewhere gives the same manifest.
    """
    kind_of_machine = f"{platform.system()} {platform.machine()}"
    found = {"gyre": __version__, "python": platform.python_version(), "platform": kind_of_machine}
    for package in (*_EVERYWHERE, *packages):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def read_manifest(
    path: Path, *, kind: str | None = None, verify: Literal["none", "quick", "deep"] = "deep"
) -> Manifest:
    """Read a manifest and check its artefact against it.

    Parameters
    ----------
    path
        The manifest file.
    kind
        The kind of artefact that is wanted; any other is refused.
    verify
        ``quick`` compares the set of files and their sizes, ``deep`` their hashes as well: only that finds a flipped
        bit, which decodes to other numbers without a word.

    Raises
    ------
    StoreError
        If the manifest is missing, unreadable, of another kind or format, or does not match the files.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError("no such manifest", where=str(path), fix="run the stage that makes it") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"manifest is not readable: {error}", where=str(path), fix="delete it, run again") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise StoreError("is not a manifest of this version", where=str(path), fix="delete it and run again")
    try:
        manifest = Manifest(
            path=path,
            kind=raw["kind"],
            files={name: FileRecord(**record) for name, record in raw["files"].items()},
            inputs={role: InputRecord(**record) for role, record in raw["inputs"].items()},
            options=raw["options"],
            content=raw["content"],
            code=raw["code"],
            versions=raw["versions"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"manifest lacks {error}", where=str(path), fix="delete it and run again") from error
    if kind is not None and manifest.kind != kind:
        raise StoreError(f"is a {manifest.kind} manifest where a {kind} one is needed", where=str(path))
    if verify != "none":
        check_files(manifest, deep=verify == "deep")
    return manifest


def check_files(manifest: Manifest, *, deep: bool) -> None:
    """Compare an artefact with its manifest and raise :class:`StoreError` at the first difference."""
    folder = manifest.path.parent
    again = f"delete {manifest.path} and run again"
    for name, record in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise StoreError(f"{name} is missing", where=str(manifest.path), fix=again)
        size = file.stat().st_size
        if size != record.size:
            raise StoreError(f"{name} has {size} bytes, not {record.size}", where=str(manifest.path), fix=again)
        if deep and sha256_file(file) != record.sha256:
            raise StoreError(f"{name} does not match its SHA-256", where=str(manifest.path), fix=again)
    for payload in manifest.payloads:
        extra = {f"{payload}/{f}" for f in _files_below(folder / payload)} - set(manifest.files)
        if extra:
            raise StoreError(f"{min(extra)} does not belong there", where=str(manifest.path), fix=again)


def _files_below(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(str(f.relative_to(root)) for f in root.rglob("*") if f.is_file())


@dataclass
class Artefact:
    """Write an artefact: payloads first, into a staging folder, the manifest last.

    Use as a context manager; an exception inside leaves the earlier artefact as it was. Two processes that
    write the same artefact: the second gets a :class:`StoreError`.

    Parameters
    ----------
    path
        The manifest to write; payloads come to lie beside it.
    kind
        Kind of artefact, such as ``dataset`` or ``model``.
    code
        Fingerprint of the code that makes it.
    packages
        Distributions whose versions are recorded, besides those that every stage uses.
    """

    path: Path
    kind: str
    code: str
    packages: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict)
    _inputs: dict[str, InputRecord] = field(default_factory=dict)
    _payloads: list[str] = field(default_factory=list)
    _lock: int = -1
    _origin: str = ""

    @property
    def origin(self) -> str:
        """The identifier that figures and pages of this artefact carry; ask for it when inputs and options are set."""
        self._origin = self._made_of()
        return self._origin

    def _made_of(self) -> str:
        inputs = {role: record.identity for role, record in self._inputs.items()}
        return origin_of(self.kind, inputs=inputs, options=self.options, code=self.code)

    @property
    def staging(self) -> Path:
        """The folder in which payloads are written before they are moved to their place."""
        return self.path.with_name(f".{self.path.stem}.partial")

    def payload(self, name: str) -> Path:
        """Return the temporary path to write the payload called ``name`` to (a file or a folder)."""
        if "/" in name or name in {"", ".", "..", self.path.name}:
            raise ValueError(f"not a payload name: {name!r}")
        if name not in self._payloads:
            self._payloads.append(name)
        return self.staging / name

    def add_input(self, role: str, manifest: Manifest) -> None:
        """Record that this artefact was made from ``manifest``, in the given role."""
        relative = os.path.relpath(manifest.path, self.path.parent)
        self._inputs[role] = InputRecord(path=relative, identity=manifest.identity)

    def __enter__(self) -> Self:
        try:
            self.staging.mkdir(parents=True, exist_ok=True)
            self._lock = _lock_folder(self.staging)
            for leftover in self.staging.iterdir():  # of a writer that was killed
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        except OSError as error:
            raise StoreError(f"cannot be written: {error.strerror or error}", where=str(self.path)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._commit()
        except OSError as problem:
            raise StoreError(f"cannot be written: {problem.strerror or problem}", where=str(self.path)) from problem
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)
            if self._lock >= 0:
                os.close(self._lock)
        if isinstance(error, OSError):
            raise StoreError(f"cannot be written: {error.strerror or error}", where=str(self.path)) from error

    @property
    def _owner_file(self) -> Path:
        """Names of the payloads that this artefact ever wrote; outlives the manifest, which Snakemake deletes."""
        return self.path.with_name(f".{self.path.stem}.payloads")

    def _owned(self) -> set[str]:
        try:
            return set(self._owner_file.read_text(encoding="utf-8").split("\n")) - {""}
        except FileNotFoundError:
            return set()

    def _commit(self) -> None:
        if self._origin not in {"", self._made_of()}:
            raise ValueError("inputs or options were set after the origin had been written into a payload")
        files = {name: record for payload in sorted(self._payloads) for name, record in self._records(payload)}
        owned = self._owned()
        for payload in self._payloads:
            if payload not in owned and os.path.lexists(self.path.parent / payload):
                raise StoreError(
                    "stands in the way and is not of this artefact",
                    where=str(self.path.parent / payload),
                    fix="move it, or choose another folder",
                )
        write_text(self._owner_file, "\n".join(sorted(owned | set(self._payloads))))
        self.path.unlink(missing_ok=True)  # from here on the old artefact is not valid any more
        for payload in sorted(owned | set(self._payloads)):
            final = self.path.parent / payload
            if final.is_dir() and not final.is_symlink():
                shutil.rmtree(final)
            if payload in self._payloads:
                (self.staging / payload).replace(final)
            else:  # an earlier run made it, this one does not
                final.unlink(missing_ok=True)
        sync(self.path.parent)
        write_json(
            self.path,
            {
                "format": FORMAT,
                "kind": self.kind,
                "identity": identity_of(self.kind, files),
                "files": {name: vars(record) for name, record in files.items()},
                "inputs": {role: vars(record) for role, record in self._inputs.items()},
                "options": dict(self.options),
                "content": dict(self.content),
                "code": self.code,
                "versions": versions_of(self.packages),
            },
        )

    def _records(self, payload: str) -> Iterable[tuple[str, FileRecord]]:
        root = self.staging / payload
        if root.is_file():
            names = [payload]
        elif root.is_dir():
            names = [f"{payload}/{name}" for name in _files_below(root)]
        else:
            raise StoreError(f"payload {payload} was not written", where=str(self.path))
        metadata_file = f"{payload}/{STORE_METADATA}"
        plain = [name for name in names if name != metadata_file]
        with ThreadPoolExecutor(_WRITERS) as pool:  # a thread that waits for the disk leaves the processor to another
            found = dict(zip(plain, pool.map(_settle, [self.staging / name for name in plain]), strict=True))
        if metadata_file in names:
            mark_store(root, content_of({n.removeprefix(f"{payload}/"): record.sha256 for n, record in found.items()}))
            found[metadata_file] = _settle(self.staging / metadata_file)
        yield from sorted(found.items())


def _settle(file: Path) -> FileRecord:
    """Bring a file to disk and record what it holds."""
    sync(file)
    return FileRecord(size=file.stat().st_size, sha256=sha256_file(file))


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[int]:
    """Hold a folder for one process as long as the block runs; it is made if missing.

    Yields the descriptor of the lock: a process that inherits it holds the folder too, for as long as it lives.

    Raises
    ------
    StoreError
        If another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", where=str(folder)) from error
    descriptor = _lock_folder(folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_folder(folder: Path) -> int:
    """Take an exclusive lock on a folder; the lock dies with the process, so a killed writer leaves none."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreError("another process is writing it", where=str(folder), fix="wait for it to end") from error
    except OSError:  # a file system without locks: one writer at a time is then up to the workflow engine
        pass
    if not folder.exists() or not os.path.samestat(os.fstat(descriptor), folder.stat()):
        # Its writer ended in between and removed it; what is there now may be another's, with a lock of its own.
        os.close(descriptor)
        raise StoreError("another process is writing it", where=str(folder), fix="wait for it to end")
    return descriptor
