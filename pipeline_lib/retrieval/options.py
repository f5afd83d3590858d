"""Options of a retrieval."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline_lib.options import Options


class RetrievalOptions(Options):
    """A self-organising feature map, and a linear map to rain for each of its units, as PERSIANN has them.

    The two parts are those of Hsu et al. (1997, J. Appl. Meteorol. 36, 1176-1190; recalled), about 15 x 15 units of six
    features too. All other defaults are ours.
    """

    method: Literal["sofm"] = "sofm"
    """The only one."""
    target: str
    """Variable of the dataset that is retrieved: a rain rate in mm h-1."""
    surface: str | None = None
    """Variable of the dataset that says what lies below, in numbers (0 sea, 1 land): one more feature. A forecast takes
    that of its start."""
    rows: int = Field(default=15, gt=0)
    """Units of the map along one axis."""
    columns: int = Field(default=15, gt=0)
    """And along the other."""
    samples: int = Field(default=100_000, gt=0)
    """Pixels that it is fitted on, about as many from each training frame, drawn at random."""
    epochs: int = Field(default=20, gt=0)
    """How often all of them are shown to the map."""
    fewest: int = Field(default=50, gt=0)
    """Samples that a unit's linear map is fitted to at least; with fewer it borrows those of the units around it."""
    penalty: float = Field(default=1.0, gt=0)
    """Of the squared slopes of standardised features, in the sum of squared errors of a unit."""
    seed: int = Field(default=0, ge=0)
    """Of the drawing of pixels. Not that of the run: all competitors and seeds share one retrieval."""
