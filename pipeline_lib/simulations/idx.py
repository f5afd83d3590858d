"""Images in IDX files, the format of MNIST."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from typing import TYPE_CHECKING, Protocol

from pipeline_lib.errors import FetchError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_GZIP = b"\x1f\x8b"
_BYTES = 0x08
"""Code of the type: unsigned bytes."""
_AXES = 3
"""Image, row, column."""
_FIX = "give a file of images as MNIST has them, plain or gzip"


class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the images (image, row, column) of a file, plain or compressed by gzip.

    The file begins with two zero bytes, the type's code and the number of axes; the length of each axis follows as
    four bytes, the highest first, then the values, the last axis fastest.

    Raises
    ------
    FetchError
        If it cannot be read, or is anything else than images of unsigned bytes, no more and no less than it says.
    """
    try:
        with path.open("rb") as stream:
            compressed = stream.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if compressed else path.open("rb") as stream:
            return _images(stream, str(path))
    except (OSError, EOFError, zlib.error) as error:
        raise FetchError(f"cannot be read: {error}", where=str(path), fix=_FIX) from error


def _images(stream: _Stream, where: str) -> NDArray[np.uint8]:
    import numpy as np

    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise FetchError(f"is no IDX file: it begins with {magic.hex(' ') or 'nothing'}", where=where, fix=_FIX)
    kind, axes = magic[2:]
    if kind != _BYTES:
        raise FetchError(f"holds values of type 0x{kind:02x}, not unsigned bytes, 0x08", where=where, fix=_FIX)
    if axes != _AXES:
        raise FetchError(f"has {axes} axes, not image, row and column", where=where, fix=_FIX)
    lengths = stream.read(4 * _AXES)
    if len(lengths) < 4 * _AXES:
        raise FetchError("ends within its header", where=where, fix="fetch it again")
    shape = struct.unpack(f">{_AXES}I", lengths)
    wanted = math.prod(shape)
    if not wanted:
        raise FetchError(f"holds no images: its axes are {_by(shape)}", where=where, fix=_FIX)
    values = stream.read()
    if len(values) != wanted:
        what = f"says {_by(shape)}, {wanted} values, and holds {len(values)}"
        raise FetchError(what, where=where, fix="fetch it again")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
