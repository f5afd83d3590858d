"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

VARIABLE = "forecast"
"""The product's forecasts (time, lead, y, x)."""
KNOWN = "known"
"""The product's coordinate (y, x): 1 where a frame should have a value, 0 where no frame of the training had one."""
