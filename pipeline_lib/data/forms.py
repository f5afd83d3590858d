"""Words for what values lie on; importing this loads nothing."""

from __future__ import annotations

from typing import Literal

Form = Literal["maps", "states", "frames", "stations"]
"""A regular grid of latitude and longitude, the state space of a simulation, pictures of a radar or satellite: on a
grid of either latitude and longitude or a projection, with gaps in space and in time; or series of stations, with gaps
too, and fields beside them."""

GAPPY = ("frames", "stations")
"""Forms in which times and values may be missing."""
