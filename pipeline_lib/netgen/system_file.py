"""Systems of equations out of YAML files."""

from __future__ import annotations

from pathlib import Path

import sympy as sp

from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.netgen.description import Side, SystemFile, read_description
from pipeline_lib.netgen.names import check_name
from pipeline_lib.netgen.parser import parse_expression
from pipeline_lib.netgen.system import System


def read_system(path: Path) -> tuple[System, tuple[int, ...]]:
    """Read a system and the shape of its grid.

    Raises
    ------
    ConfigError
        If the file is no valid description of a system; the message names the file, the key and the term.
    """
    file = read_description(path)
    try:
        return declared(file), tuple(file.grid)
    except ConfigError as error:
        raise ConfigError(error.what, where=f"{path}: {error.where}", fix=error.fix) from error


def declared(file: SystemFile) -> System:
    """Return the system that a file describes.

    Raises
    ------
    ConfigError
        If a name is taken or a term cannot be translated; the message names it.
    """
    words = (file.time, *file.coordinates, *file.constants, *file.trainable)
    words = (*words, *file.equations, *file.exogenous, *file.closures)
    for word in words:
        check_name(word, where=file.name)
        if words.count(word) > 1:
            raise ConfigError(f"{word} is declared twice", where=file.name, fix="give each its own name")
    time, axes = sp.Symbol(file.time), {name: sp.Symbol(name) for name in file.axes}
    fields = {name: sp.Function(name)(time, *axes.values()) for name in file.fields}
    exogenous = {name: sp.Function(name)(*_axes_of(name, file)) for name in file.exogenous}
    numbers = {name: sp.Symbol(name) for name in (*file.constants, *file.trainable)}
    closures = {name: sp.Function(name) for name in file.closures}
    names = {file.time: time, **axes, **numbers, **fields, **exogenous, **closures}
    equations = [
        sp.Eq(
            sp.Derivative(fields[name], time),
            parse_expression(file.equations[name], names, where=f"equations.{name}"),
            evaluate=False,  # two equal sides would be True
        )
        for name in file.fields
    ]
    return System(
        name=file.name,
        coordinates={axes[name]: file.coordinates[name] for name in file.axes},
        equations=equations,
        time=time,
        constants={numbers[name]: value for name, value in file.constants.items()},
        trainable={numbers[name]: value for name, value in file.trainable.items()},
        exogenous=tuple(exogenous.values()),
        closures=tuple(closures.values()),
        walls={
            axes.get(axis, sp.Symbol(axis)): {
                name: (_wall(low), _wall(high)) for name, (low, high) in conditions.items()
            }
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


def _wall(side: Side) -> float | None:
    return None if isinstance(side, str) else side
