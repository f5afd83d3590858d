"""Many short sequences of frames, one after the other: what simulations that draw them share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import AfterValidator, Field

from pipeline_lib.options import Options

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{bounds[0]:g} is above {bounds[1]:g}: the smaller bound comes first")
    return bounds


NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Range = Annotated[tuple[NotNegative, NotNegative], AfterValidator(_ordered)]
"""Bounds between which a value is drawn evenly, none of them below zero."""
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
"""Bounds between which a value above zero is drawn evenly."""


class SequenceOptions(Options):
    """How much is drawn, and from what."""

    seed: int = Field(0, ge=0)
    """Of all that is drawn. A sequence depends on it and on its own number, not on how many follow."""
    length: int = Field(20, gt=1)
    """Frames of a sequence."""
    side: int = Field(64, ge=8)
    """Rows and columns of a frame."""


class Described(NamedTuple):
    """What a variable of the frames is."""

    dims: tuple[str, ...]
    """Dimensions besides time."""
    units: str
    long_name: str


Draw = Callable[["np.random.Generator", int], Mapping[str, "NDArray[np.float64]"]]
"""Makes a sequence, (length, ...) of each variable, from a generator of its own and its number, counted from 0."""


def drawn(options: SequenceOptions, times: int, draw: Draw, variables: Mapping[str, Described]) -> xr.Dataset:
    """Return one sequence after the other, the last of them cut, and ``age`` (time,), frames since its first one.

    Variables are mapped from files in the system's folder for temporary ones (``TMPDIR``), which end with the process:
    writing them to where they are kept takes little memory, however many sequences there are.

    Parameters
    ----------
    options
        Seed and length of the sequences.
    times
        Frames of all sequences.
    draw
        Makes one of them.
    variables
        What it makes.

    Raises
    ------
    StoreError
        If there is no room for such a file.
    """
    import numpy as np
    import xarray as xr

    from pipeline_lib.io.mapped_array import ArrayFile

    files: dict[str, ArrayFile] = {}
    folder = Path(tempfile.gettempdir())
    for number, start in enumerate(range(0, times, options.length)):
        made = draw(np.random.default_rng([options.seed, number]), number)
        for name in variables:
            values = made[name][: times - start]
            if name not in files:
                shape = (times, *values.shape[1:])
                files[name] = ArrayFile(folder, shape, np.float64, purpose="a simulation keeps what it drew")
            files[name].write(values)
    ages = (np.arange(times) % options.length).astype(float)
    about = {"units": "1", "long_name": "frames since the start of the sequence"}
    described = {
        name: (("time", *what.dims), files[name].mapped().values, {"units": what.units, "long_name": what.long_name})
        for name, what in variables.items()
    }
    return xr.Dataset({**described, "age": ("time", ages, about)})


def evenly(rng: np.random.Generator, bounds: tuple[float, float], count: int) -> NDArray[np.float64]:
    """Return values (count,) drawn evenly between bounds."""
    return rng.uniform(*bounds, size=(count,))


def folded(way: NDArray[np.float64], span: float) -> NDArray[np.float64]:
    """Return where something is that has gone ``way`` from 0 and bounces off the ends of [0, span].

    The reflections of a straight path are a triangle wave of period ``2 span``; any way, also a negative one, is met.
    """
    import numpy as np

    return span - np.abs(way % (2 * span) - span)
