"""Options that models of frames share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"a kernel has a cell in its middle only if its size is odd, not {value}")
    return value


OddSize = Annotated[int, Field(gt=0), AfterValidator(_odd)]
"""Cells along a side of a kernel that has one in its middle."""
Width = Annotated[int, Field(gt=0)]
"""Channels of a layer."""
