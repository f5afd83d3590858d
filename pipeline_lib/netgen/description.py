"""What a YAML file of a system holds, and where the examples are; importing this loads neither SymPy nor torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from pipeline_lib.config.validation import validate
from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.netgen.examples import FOLDER
from pipeline_lib.options import Options

_ZERO_GRADIENT = "zero_gradient"
Side = float | Literal["zero_gradient"]


def _sides(value: object) -> object:
    """Make two sides of one, and tell in one line what is neither."""
    sides = list(value) if isinstance(value, (list, tuple)) else [value, value]
    if len(sides) != 2 or not all(side == _ZERO_GRADIENT or _is_number(side) for side in sides):
        raise ValueError(f"give a number or {_ZERO_GRADIENT}, or two of these for the lower and the upper wall")
    return sides


def _is_number(side: object) -> bool:
    try:
        return not isinstance(side, bool) and math.isfinite(float(side))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


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
    """Points along each coordinate."""
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
    fields: list[str] = Field(default_factory=list)
    """Order of the fields in a state, by default that of the equations: of mappings, some formats keep no order."""
    axes: list[str] = Field(default_factory=list)
    """Order of the axes of a state, by default that of the coordinates."""
    walls: dict[str, dict[str, Annotated[tuple[Side, Side], BeforeValidator(_sides)]]] = Field(default_factory=dict)
    """Coordinates with walls in place of a period: for each prognostic field its value there, or ``zero_gradient``, or
    both for the lower and the upper wall."""

    @model_validator(mode="before")
    @classmethod
    def _with_order(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        orders = {"fields": value.get("equations"), "axes": value.get("coordinates")}
        return {**{name: list(keys) for name, keys in orders.items() if isinstance(keys, Mapping)}, **value}

    @model_validator(mode="after")
    def _ordered(self) -> SystemFile:
        for name, order, keys in (("fields", self.fields, self.equations), ("axes", self.axes, self.coordinates)):
            if sorted(order) != sorted(keys):
                raise ValueError(f"{name} are {', '.join(order)}, not {', '.join(keys)} in some order")
        return self


def example_names() -> list[str]:
    """Return the names of the systems that come with the library."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


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
    return FOLDER / f"{name}.yaml"


def read_description(path: Path) -> SystemFile:
    """Read a system's file without a look at its equations.

    Raises
    ------
    ConfigError
        If a key is missing, unknown or of the wrong kind.
    """
    return validate(SystemFile, load_yaml(path), where=str(path))
