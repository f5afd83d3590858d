"""Arrays whose blocks are read from files when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array as da


def blocks(
    load: Callable[..., np.ndarray], calls: Sequence[tuple[Any, ...]], lengths: Sequence[int], shape: tuple[int, ...]
) -> da.Array:
    """Return blocks of float64 one behind the other along their first axis.

    Parameters
    ----------
    load
        Returns a block; one call each with the arguments in ``calls``.
    lengths
        Size of each block's first axis.
    shape
        Sizes of the other axes, the same in all blocks.
    """
    import dask.array as da
    from dask.delayed import delayed

    lazy = delayed(load, pure=True)
    parts = [
        da.from_delayed(lazy(*call), (length, *shape), dtype="float64")  # type: ignore[no-untyped-call]
        for call, length in zip(calls, lengths, strict=True)
    ]
    joined: da.Array = da.concatenate(parts)  # type: ignore[no-untyped-call]
    return joined
