"""The classes of a segmentation: their codes, names and CF attributes."""

from __future__ import annotations

from typing import Any

import numpy as np

CLASSES = ("none", "anticyclonic", "cyclonic")
"""Names of the class codes 0, 1, 2."""

LAND = -1
"""Class code of cells without data in a product."""


def flag_attrs() -> dict[str, Any]:
    """CF attributes of a variable that holds class codes."""
    return {"flag_values": np.arange(len(CLASSES), dtype="int8"), "flag_meanings": " ".join(CLASSES)}
