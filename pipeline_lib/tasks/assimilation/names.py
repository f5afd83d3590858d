"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

ANALYSIS, SPREAD, USED, POSITION = "analysis", "spread", "used", "window_position"
"""The product's states (time, ...); of ensembles, the standard deviation over the members; whether there was an
observation to use; time steps since the start of the window (time,)."""
KNOWN_AT_START = "known_at_start"
"""Attribute of the position: what was known at the start of a window, ``climatology`` or ``truth``."""
