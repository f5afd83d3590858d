"""What goes into the search for eddies and what comes out, in the plain form that compiled code can take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.ocean.eddies.contours import Int64
from pipeline_lib.ocean.grid import Array


class Grid(NamedTuple):
    """What the kernels need to know of the grid; index space to degrees."""

    latitude: Array
    cosine: Array
    west: float
    longitude_step: float
    periodic: bool


class Rules(NamedTuple):
    """The limits of the search; see ``DetectionOptions`` for their meaning."""

    step: float
    shape_error: float
    fewest_cells: int
    most_cells: int
    steps_of_amplitude: int
    most_extrema: int
    steps_of_extremum: int


class Found(NamedTuple):
    """Eddies in the order in which they were found; contours by number.

    ``effective_cells`` and ``speed_cells`` are the class maps (0, 1 anticyclonic, 2 cyclonic). Columns of
    ``fits``: longitude, latitude, radius [m] and shape error [%] of the circles fitted to the speed, the
    effective and the innermost contour.
    """

    effective: Int64
    speed: Int64
    polarity: NDArray[np.int8]
    amplitude: Array
    speed_average: Array
    fits: Array
    effective_cells: NDArray[np.int8]
    speed_cells: NDArray[np.int8]
