"""A region between two longitudes and two latitudes."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline_lib.options import Options


class Box(Options):
    """A region; taken are the cells whose centres lie inside."""

    west: float = Field(ge=-180, le=360)
    """Western edge, degrees east."""
    east: float = Field(ge=-180, le=360)
    """Eastern edge, degrees east."""
    south: float = Field(ge=-90, le=90)
    """Southern edge, degrees north."""
    north: float = Field(ge=-90, le=90)
    """Northern edge, degrees north."""

    @model_validator(mode="after")
    def _not_empty(self) -> Box:
        if self.west >= self.east or self.south >= self.north:
            raise ValueError("the box is empty: west must be below east, south below north")
        return self
