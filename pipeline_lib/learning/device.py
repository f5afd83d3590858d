"""Words for where and in which number format networks compute; importing this loads no torch."""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "float32", "bfloat16", "float64"]
Device = Literal["auto", "cpu", "cuda"]
