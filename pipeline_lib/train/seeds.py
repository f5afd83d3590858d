"""Random numbers as functions of a seed and a named context, so that any epoch can be repeated on its own."""

from __future__ import annotations

import hashlib

import numpy as np


def sequence(seed: int, *context: str | int) -> np.random.SeedSequence:
    """Return the seed sequence of a context, for example ``sequence(0, "batches", epoch)``."""
    digest = hashlib.sha256(repr(context).encode()).digest()
    words = np.frombuffer(digest[:16], dtype="<u4")
    return np.random.SeedSequence([seed, *(int(word) for word in words)])


def generator(seed: int, *context: str | int) -> np.random.Generator:
    """Return a NumPy generator for a context."""
    return np.random.Generator(np.random.PCG64(sequence(seed, *context)))


def torch_seed(seed: int, *context: str | int) -> int:
    """Return a seed for ``torch.manual_seed`` for a context."""
    return int(sequence(seed, *context).generate_state(1, np.uint64)[0] >> np.uint64(1))
