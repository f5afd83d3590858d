"""SHA-256 of files and of plain values."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def canonical_json(value: object) -> str:
    """Return the one JSON text of a plain value: sorted keys, no spaces, no NaN.

    Raises
    ------
    ValueError
        If the value holds a NaN or an infinity.
    TypeError
        If the value holds something that JSON cannot express.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_json(value: object) -> str:
    """Return the SHA-256 of :func:`canonical_json` of a plain value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
