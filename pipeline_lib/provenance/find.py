"""From a file to the manifest that vouches for it: beside it, or, when it was copied elsewhere, by what it holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.errors import StoreError
from pipeline_lib.io.hashing import sha256_file
from pipeline_lib.io.identifier import STORE_METADATA, carried_by, store_attributes
from pipeline_lib.io.manifest import Manifest, read_manifest

_LEVELS = 3
"""Folders above a file in which its manifest may lie: a figure lies one folder below its own."""


@dataclass(frozen=True)
class Found:
    """The manifest of a file, and how it was found.

    Attributes
    ----------
    manifest
        The manifest; of a product made from a file of the user's own, that of the model.
    how
        How the two belong together, in words.
    identifier
        What the file carries; ``None`` if it carries nothing.
    trouble
        What is wrong with the file, in words; empty if nothing is.
    """

    manifest: Manifest
    how: str
    identifier: str | None = None
    trouble: str = ""


def find_manifest(target: Path, *, below: Path) -> Found:
    """Return the manifest that a file or store belongs to.

    Parameters
    ----------
    target
        A manifest, any file or Zarr store that an artefact holds, or a copy of one.
    below
        Folder that is searched when no manifest near the target lists it.

    Raises
    ------
    StoreError
        If the target is missing, or no manifest knows it.
    """
    if not target.exists():
        raise StoreError("no such file", where=str(target))
    if target.is_file() and target.suffix == ".json" and (manifest := _manifest(target)):
        return Found(manifest, "is a manifest")
    identifier = carried_by(target)
    for manifest in _near(target):
        name = Path(os.path.relpath(target.absolute(), manifest.path.absolute().parent)).as_posix()
        if name in manifest.files or any(f.startswith(f"{name}/") for f in manifest.files):
            return Found(manifest, "is listed by it", identifier, _difference(manifest, name, target))
    found = _elsewhere(target, identifier, below)
    if found is not None:
        return found
    carries = f"carries the identifier {identifier}, but" if identifier else "carries no identifier, and"
    raise StoreError(
        f"{carries} no manifest beside it or below {below} knows it",
        where=str(target),
        fix="name the project's folder with --below, or run the stage that makes it",
    )


def _manifest(path: Path) -> Manifest | None:
    try:
        return read_manifest(path, verify="none")
    except StoreError:
        return None


def _near(target: Path) -> Iterator[Manifest]:
    for folder in list(target.absolute().parents)[:_LEVELS]:
        for path in sorted(folder.glob("*.json")):
            if path != target.absolute() and (manifest := _manifest(path)):
                yield manifest


def _difference(manifest: Manifest, name: str, target: Path) -> str:
    """Return in words how a file or store differs from what its manifest says of it."""
    for file, record in manifest.files.items():
        if file != name and not file.startswith(f"{name}/"):
            continue
        path = target if file == name else target / file.removeprefix(f"{name}/")
        if not path.is_file():
            return f"{file} is missing"
        if sha256_file(path) != record.sha256:
            return f"{file} is not what {manifest.path.name} says: it was changed"
    return ""


def _elsewhere(target: Path, identifier: str | None, below: Path) -> Found | None:
    """Find the manifest of a copy: equal bytes first, then the identifier, then the model that a product names."""
    characteristic = target / STORE_METADATA if target.is_dir() else target
    sha256 = sha256_file(characteristic) if characteristic.is_file() else ""
    model = store_attributes(target).get("gyre_model_identity") if target.is_dir() else None
    by_identifier = by_model = None
    for manifest in _manifests(below):
        for file, record in manifest.files.items():
            name = file.removesuffix(f"/{STORE_METADATA}") if target.is_dir() else file
            if record.sha256 == sha256 and (target.is_file() or name != file):
                return Found(manifest, f"is a copy of its {name}", identifier, _difference(manifest, name, target))
        if identifier is not None and identifier in _identifiers(manifest):
            by_identifier = Found(manifest, "carries its identifier, but not its bytes: it was edited", identifier)
        if manifest.kind == "model" and manifest.identity == model:
            by_model = Found(manifest, "was made with this model, from a file outside the workflow", identifier)
    return by_identifier or by_model


def _identifiers(manifest: Manifest) -> set[str]:
    stores = {f.removesuffix(f"/{STORE_METADATA}") for f in manifest.files if f.count("/") == 1}
    return {manifest.origin, *(manifest.content_of(s) for s in stores if f"{s}/{STORE_METADATA}" in manifest.files)}


def _manifests(below: Path) -> Iterator[Manifest]:
    """Yield all manifests below a folder; hidden folders and Zarr stores hold none."""
    for folder, names, files in os.walk(below):
        names[:] = sorted(n for n in names if not n.startswith(".") and STORE_METADATA not in files)
        for file in sorted(files):
            if file.endswith(".json") and (manifest := _manifest(Path(folder, file))):
                yield manifest
