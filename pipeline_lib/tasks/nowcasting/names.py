"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

VARIABLE = "forecast"
"""The product's forecasts (time, lead, y, x)."""
