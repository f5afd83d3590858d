"""Words for what values lie on; importing this loads nothing."""

from __future__ import annotations

from typing import Literal

Form = Literal["maps", "states"]
"""A regular grid of latitude and longitude, or the state space of a simulation."""
