"""The identifier that a file carries, so that it can be traced when it has left its folder.

A figure or a page carries the *origin* of its artefact: the SHA-256 over what it was made of. A Zarr store carries the
SHA-256 over its own arrays: stores with equal values stay equal to the byte, whatever file the values came from. Both
follow from a manifest, so no manifest needs to hold them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline_lib.io.hashing import sha256_json

ATTRIBUTE = "gyre_identifier"
"""Global attribute of a Zarr store."""
STORE_METADATA = "zarr.json"
"""The file that makes a folder a Zarr 3 store."""

_TEXT = "gyre-identifier:{}"
_PATTERN = re.compile(rb"gyre-identifier:([0-9a-f]{64})")
"""What follows is not asked for: in a PNG file it is a checksum, which may look like letters."""
_MARKED = frozenset({".png", ".pdf", ".gif", ".html"})


def origin_of(kind: str, *, inputs: Mapping[str, str], options: Mapping[str, Any], code: str) -> str:
    """Return the SHA-256 over what an artefact is made of.

    Parameters
    ----------
    kind
        Kind of artefact.
    inputs
        Identities of its inputs, by role.
    options
        Its resolved options, plain values.
    code
        Fingerprint of the code.
    """
    return sha256_json([kind, inputs, options, code])


def content_of(files: Mapping[str, str]) -> str:
    """Return the SHA-256 over the arrays of a Zarr store, from the SHA-256 of its files by their names within it."""
    return sha256_json({name: sha256 for name, sha256 in files.items() if name != STORE_METADATA})


def as_text(identifier: str) -> str:
    """Return the text that stands for an identifier in the metadata of pictures, PDF files and pages."""
    return _TEXT.format(identifier)


def mark_store(store: Path, identifier: str) -> None:
    """Write an identifier into the global attributes of a Zarr store that is not in its place yet."""
    file = store / STORE_METADATA
    metadata = json.loads(file.read_text(encoding="utf-8"))
    metadata["attributes"] = {**metadata.get("attributes", {}), ATTRIBUTE: identifier}
    file.write_text(json.dumps(metadata, indent=2), encoding="utf-8")


def store_attributes(store: Path) -> Mapping[str, Any]:
    """Return the global attributes of a Zarr 3 store; empty for anything else."""
    try:
        attributes = json.loads((store / STORE_METADATA).read_text(encoding="utf-8"))["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return attributes if isinstance(attributes, dict) else {}


def carried_by(path: Path) -> str | None:
    """Return the identifier that a file or a Zarr store carries, ``None`` if it carries none."""
    if path.is_dir():
        found = store_attributes(path).get(ATTRIBUTE)
        return found if isinstance(found, str) else None
    if path.suffix.lower() not in _MARKED:
        return None
    match = _PATTERN.search(path.read_bytes())
    return match[1].decode() if match else None
