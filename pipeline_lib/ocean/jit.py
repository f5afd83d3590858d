"""Compilation of the numeric kernels: one typed door to numba, with its cache on disk where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Compile ``function`` with numba; the machine code is kept on disk so that the next process starts fast.

    A kernel that calls another one must sit in the same file: numba renews its cache by the date of the file
    that holds the outer kernel only, so an edit of an inner kernel elsewhere would go unnoticed.
    """
    try:
        compiled = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:
        # No folder on this machine can hold the cache (read-only container): compile in memory.
        compiled = numba.njit(error_model="numpy")(function)
    return cast(Function, compiled)
