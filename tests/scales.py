"""Scales that tests share."""

from __future__ import annotations

from pipeline_lib.rain import RainScale

HKO7 = RainScale(58.53, 1.56, lowest_dbz=-10.0, highest_dbz=60.0)
"""The scale of the HKO-7 benchmark, dBZ = 70 share - 10 (Shi et al. 2017, arXiv:1706.03458)."""
