"""Systems as YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import sympy as sp
from pydantic import Field, PositiveInt

from pipeline_lib.config.validation import validate
from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.netgen.names import check_name
from pipeline_lib.netgen.parser import parse_expression
from pipeline_lib.netgen.system import System, Wall
from pipeline_lib.options import Options

EXAMPLES = Path(__file__).parent / "examples"

Side = float | Literal["zero_gradient"]


class SystemFile(Options):
    """A system of partial differential equations."""

    name: str
    """Names the generated class."""
    title: str = ""
    """One line about the system."""
    notes: str = ""
    """More lines, such as the source of the equations and of the constants."""
    time: str = "t"
    """Symbol of time."""
    coordinates: dict[str, float]
    """Length of the domain along each coordinate, in the order of the axes of a state."""
    grid: list[PositiveInt] = Field(min_length=1)
    """Numbers of points along each coordinate."""
    equations: dict[str, str]
    """Time derivative of each prognostic field, in the order of a state."""
    constants: dict[str, float] = Field(default_factory=dict)
    """Known numbers."""
    trainable: dict[str, float] = Field(default_factory=dict)
    """Unknown numbers and where their training starts."""
    exogenous: dict[str, list[str]] = Field(default_factory=dict)
    """Fields that are given, constant in time, each with the coordinates on which it depends, in the order of the
    dimensions of its values."""
    closures: list[str] = Field(default_factory=list)
    """Unknown functions."""
    walls: dict[str, dict[str, Side | tuple[Side, Side]]] = Field(default_factory=dict)
    """Coordinates with walls in place of a period: for each prognostic field its value there, or ``zero_gradient``, or
    both for the lower and the upper wall."""


def example_names() -> list[str]:
    """Return the names of the systems that come with the library."""
    return sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


def find_system(name: str) -> Path:
    """Return the file of a system: a path, or the name of an example.

    Raises
    ------
    ConfigError
        If there is neither.
    """
    path = Path(name)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    if name not in example_names():
        raise ConfigError("no such file or example", where=name, fix=closest(name, example_names()))
    return EXAMPLES / f"{name}.yaml"


def read_system(path: Path) -> tuple[System, tuple[int, ...]]:
    """Read a system and the shape of its grid.

    Raises
    ------
    ConfigError
        If the file is no valid description of a system; the message names the file, the key and the term.
    """
    file = validate(SystemFile, load_yaml(path), where=str(path))
    try:
        return _system(file), tuple(file.grid)
    except ConfigError as error:
        raise ConfigError(error.what, where=f"{path}: {error.where}", fix=error.fix) from error


def _system(file: SystemFile) -> System:
    words = (file.time, *file.coordinates, *file.constants, *file.trainable)
    words = (*words, *file.equations, *file.exogenous, *file.closures)
    for word in words:
        check_name(word, where=file.name)
        if words.count(word) > 1:
            raise ConfigError(f"{word} is declared twice", where=file.name, fix="give each its own name")
    time, axes = sp.Symbol(file.time), {name: sp.Symbol(name) for name in file.coordinates}
    fields = {name: sp.Function(name)(time, *axes.values()) for name in file.equations}
    exogenous = {name: sp.Function(name)(*_axes_of(name, file)) for name in file.exogenous}
    numbers = {name: sp.Symbol(name) for name in (*file.constants, *file.trainable)}
    closures = {name: sp.Function(name) for name in file.closures}
    names = {file.time: time, **axes, **numbers, **fields, **exogenous, **closures}
    equations = [
        sp.Eq(sp.Derivative(fields[name], time), parse_expression(text, names, where=f"equations.{name}"))
        for name, text in file.equations.items()
    ]
    return System(
        name=file.name,
        coordinates={axes[name]: length for name, length in file.coordinates.items()},
        equations=equations,
        time=time,
        constants={numbers[name]: value for name, value in file.constants.items()},
        trainable={numbers[name]: value for name, value in file.trainable.items()},
        exogenous=tuple(exogenous.values()),
        closures=tuple(closures.values()),
        walls={
            axes.get(axis, sp.Symbol(axis)): {name: _wall(value) for name, value in conditions.items()}
            for axis, conditions in file.walls.items()
        },
        title=file.title,
        notes=file.notes,
    )


def _axes_of(name: str, file: SystemFile) -> list[sp.Symbol]:
    for axis in file.exogenous[name]:
        if axis not in (*file.coordinates, file.time):
            what = f"{axis} is no coordinate"
            raise ConfigError(what, where=f"exogenous.{name}", fix=closest(axis, file.coordinates))
    if not file.exogenous[name]:
        raise ConfigError("depends on no coordinate", where=f"exogenous.{name}", fix="declare a constant")
    return [sp.Symbol(axis) for axis in file.exogenous[name]]


def _wall(value: Side | tuple[Side, Side]) -> Wall:
    low, high = value if isinstance(value, tuple) else (value, value)
    return (None if isinstance(low, str) else low, None if isinstance(high, str) else high)
