"""Small files of images as MNIST has them."""

from __future__ import annotations

import hashlib
import struct

import numpy as np


def packed(images):
    return bytes([0, 0, 8, images.ndim]) + struct.pack(f">{images.ndim}I", *images.shape) + images.tobytes()


def flat_images(folder, count, size=10):
    """Write images that are all of one value, 1 + their number; return the options that name the file."""
    values = np.arange(1, count + 1, dtype=np.uint8)
    content = packed(np.broadcast_to(values[:, None, None], (count, size, size)))
    (folder / "images-idx3-ubyte").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return {"images": str(folder / "images-idx3-ubyte"), "sha256": digest, "size": size}
