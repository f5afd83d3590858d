"""What a catalog entry tells of a dataset before anything of it is made: sizes, marks of variables, steps of time.

It stands apart from simulations and preparations, and knows them by name: a change of it makes no data again. Of what
it does not know, nothing is said, and the stages tell mistakes when they meet the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline_lib.config.validation import validate
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import ConfigError
from pipeline_lib.rain import RainScale
from pipeline_lib.simulations.registry import SIMULATIONS

if TYPE_CHECKING:
    from pipeline_lib.catalog import Source

RAIN, TEMPERATURE, PRECISION = "rain", "temperature", "precision"
"""Marks of variables: a scale of rain rates, one of brightness temperatures, how precise observations are."""

_MINUTES = 60
_ROUNDING = 1e-6
"""Relative: by so much may a decimal number be off."""
_AGE = "age"
_SPEED = "m s-1"
_NONE: frozenset[str] = frozenset()
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Variable:
    """A variable of a dataset that is still to be made.

    Attributes
    ----------
    shape
        Sizes of its axes besides time; ``None`` if only the data tell.
    marks
        What its attributes will say, of :data:`RAIN`, :data:`TEMPERATURE` and :data:`PRECISION`; ``None`` likewise.
    contract
        What the entry promises of its values, such as their unit; ``None`` if it does not.
    scale
        What shares of rain stand for, where :data:`RAIN` is among the marks.
    limits
        No value is below the first or above the second.
    """

    shape: Shape | None = None
    marks: frozenset[str] | None = None
    contract: VariableSpec | None = None
    scale: RainScale | None = None
    limits: tuple[float, float] = (-math.inf, math.inf)


_SHARES = 0.0, 1.0
"""Limits of shares and of masks."""
UNKNOWN = Variable()


@dataclass(frozen=True)
class Outlook:
    """A dataset that is still to be made.

    Attributes
    ----------
    source
        Name of the catalog entry.
    variables
        Those of which something is known.
    step_minutes
        Between two times; ``None`` if the entry does not say.
    regular
        Whether all times are so far apart, as those of simulations are; others may lack some.
    sequence
        Times of each sequence or trajectory where there are several, and how many is known.
    """

    source: str
    variables: Mapping[str, Variable]
    step_minutes: float | None
    regular: bool
    sequence: int | None

    def of(self, name: str) -> Variable:
        """Return what is known of a variable."""
        return self.variables.get(name, UNKNOWN)

    def check_row(self, step_minutes: float, needed: int) -> None:
        """Refuse rows of ``needed`` times, ``step_minutes`` apart, that the dataset cannot hold.

        Raises
        ------
        ConfigError
            If no two of its times are so far apart, or its sequences are shorter.
        """
        if self.step_minutes is not None:
            steps = step_minutes / self.step_minutes
            if not math.isclose(steps, 1 if self.regular else max(round(steps), 1), rel_tol=_ROUNDING):
                raise ConfigError(
                    f"is {step_minutes:g}, the times of {self.source} are {self.step_minutes:g} minutes apart",
                    where="training.step_minutes",
                    fix=f"set {self.step_minutes:g}",
                )
        if self.sequence is not None and needed > self.sequence:
            raise ConfigError(
                f"windows of {needed} times do not fit into the sequences of {self.source}, which have {self.sequence}",
                where="training",
                fix="see and forecast fewer: reduce seen or leads",
            )


def outlook_of(source: Source) -> Outlook:
    """Return what the entry of a source tells of its dataset."""
    simulated, sequence = source.driver == "simulate", None
    limits = {key: _limits(spec.valid_min, spec.valid_max) for key, spec in source.variables.items()}
    made = {key: Variable(contract=spec, limits=limits[key]) for key, spec in source.variables.items()}
    if simulated:
        name = getattr(source.driver_options, "simulation", "")
        options: Any = validate(
            SIMULATIONS.get(name).Options,
            getattr(source.driver_options, "options", {}),
            where=f"{source.where}.fetch.options",
        )
        shapes = _SIMULATED.get(name, _none)(options)
        made = {
            key: Variable(shapes.get(spec.name), _NONE, spec, limits=limits[key])
            for key, spec in source.variables.items()
        }
        aged = source.preparation.name in _KEEP_AGES and _AGE in source.variables
        if aged or _AGE in source.dataset_variables():
            sequence = _SEQUENCE.get(name, _length)(options)
    prepare = _PREPARED.get(source.preparation.name)
    told = simulated or "step_hours" in source.time.model_fields_set
    return Outlook(
        source=source.name,
        variables={} if prepare is None else prepare(source.preparation_options, made),
        step_minutes=source.time.step_hours * _MINUTES if told else None,
        regular=simulated,
        sequence=sequence,
    )


def _limits(lowest: float | None, highest: float | None) -> tuple[float, float]:
    """Return what a contract promises of values."""
    return -math.inf if lowest is None else lowest, math.inf if highest is None else highest


# ---- simulations, by their names -----------------------------------------------------------------------------


def _none(options: Any) -> dict[str, Shape]:  # noqa: ANN401, ARG001 - of any simulation
    return {}


def _frames(*names: str, levels: str | None = None) -> Callable[[Any], dict[str, Shape]]:
    def shapes(options: Any) -> dict[str, Shape]:  # noqa: ANN401 - of sequences of frames
        found: dict[str, Shape] = dict.fromkeys(names, (options.side, options.side))
        return found if levels is None else found | {levels: (options.levels, options.side, options.side)}

    return shapes


def _length(options: Any) -> int | None:  # noqa: ANN401 - of any simulation
    length = getattr(options, "length", None)
    return length if isinstance(length, int) else None


_SIMULATED: Mapping[str, Callable[[Any], dict[str, Shape]]] = MappingProxyType(
    {
        "lorenz63": lambda _: {"state": (3,)},
        "lorenz96": lambda options: {"state": (options.sites,)},
        "lorenz96_two_scale": lambda options: {"state": (options.sites,)},
        "shallow_water": lambda options: {"state": (6, options.size, options.size)},
        "burgers": lambda options: {"state": (2, options.cells)},
        "burgers_uncertainty": lambda options: {"state": (3, options.points)},
        "quasigeostrophic": lambda options: {"state": (options.points, options.points)},
        "turbulence": lambda options: {"state": (4, options.points, options.points, options.points)},
        "moving_digits": _frames("image"),
        "moving_digits_plus": _frames("image"),
        "rain_cells": _frames("rain_rate"),
        "cold_clouds": _frames("brightness_temperature", "rain_rate"),
        "storm_cells": _frames("vertical_velocity", "buoyancy", levels="reflectivity"),
        "site_rain": lambda options: {"rain": (), **_frames(levels="reflectivity")(options)},
        "wind_field": lambda options: {
            **dict.fromkeys(("ff", "dd"), (options.stations,)),
            **_frames("nwp_u", "nwp_v")(options),
        },
    }
)
"""Sizes of the variables that a simulation makes, besides time."""
_SEQUENCE: Mapping[str, Callable[[Any], int | None]] = MappingProxyType(
    {"burgers": lambda _: None, "burgers_uncertainty": lambda options: options.last_step - options.first_step + 1}
)
"""Times of a sequence where ``length`` does not say them."""

# ---- preparations, by theirs ---------------------------------------------------------------------------------

Known = dict[str, Variable]


def _as_is(options: Any, source: Known) -> Known:  # noqa: ANN401 - its own Options
    return {name: source.get(name, UNKNOWN) for name in options.variables}


def _components(options: Any, source: Known) -> Known:  # noqa: ANN401 - its own Options
    state = source.get(options.variable, UNKNOWN)
    shape = None if state.shape is None else (len(options.components), *state.shape[1:])
    return {options.variable: Variable(shape, state.marks, state.contract, limits=state.limits)}


def _observed(options: Any, source: Known) -> Known:  # noqa: ANN401 - its own Options
    state = source.get(options.variable, UNKNOWN)
    observed = Variable(state.shape, frozenset({PRECISION}))
    return {options.variable: Variable(state.shape, _NONE, state.contract), "observation": observed}


def _cells(size: int | None, chosen: tuple[int, int] | None, reduce: int) -> int | None:
    """Rows or columns that are left of so many."""
    left = size if chosen is None else chosen[1] - chosen[0]
    return None if left is None else left // reduce


def _echo(options: Any, source: Known) -> Known:  # noqa: ANN401 - its own Options
    rows, columns = source.get(options.variable, UNKNOWN).shape or (None, None)
    left = _cells(rows, options.rows, options.reduce), _cells(columns, options.columns, options.reduce)
    shape = None if left[0] is None or left[1] is None else (left[0], left[1])
    return {"echo": Variable(shape, frozenset({RAIN}), scale=options.scale, limits=_SHARES), **_kept(options, source)}


def _same_cells(made: str, of: str, *marks: str) -> Callable[[Any, Known], Known]:
    """Shares made cell by cell, of the highest value where there are levels."""

    def variables(options: Any, source: Known) -> Known:  # noqa: ANN401 - its own Options
        shape = source.get(getattr(options, of), UNKNOWN).shape
        frame = Variable(None if shape is None else shape[-2:], frozenset(marks), limits=_SHARES)
        return {made: frame, **_kept(options, source)}

    return variables


def _wind(options: Any, source: Known) -> Known:  # noqa: ANN401 - its own Options
    speed = source.get(options.speed, UNKNOWN)
    made = {name: Variable(speed.shape, _NONE, VariableSpec(name=name, units=_SPEED)) for name in ("u", "v")}
    kept = _kept(options, source)
    if options.box is None:
        return {**made, **kept}
    # How many cells are left of a field tell the data; of a series nothing is cut.
    return {**made, **{name: replace(variable, shape=_uncut(variable.shape)) for name, variable in kept.items()}}


def _uncut(shape: Shape | None) -> Shape | None:
    """Sizes of a variable, unless it is a field."""
    return None if shape is None or len(shape) > 1 else shape


def _kept(options: Any, source: Known) -> Known:  # noqa: ANN401 - options with ``keep``
    return {name: source.get(name, UNKNOWN) for name in options.keep}


_PREPARED: Mapping[str, Callable[[Any, Known], Known]] = MappingProxyType(
    {
        "as_is": _as_is,
        "state_components": _components,
        "observed_states": _observed,
        "rain_frames": _echo,
        "temperature_frames": _same_cells("cloud_top", "variable", TEMPERATURE),
        "cloud_mask": _same_cells("cloud", "variable"),
        "storm_boxes": _same_cells("storm", "reflectivity"),
        "station_wind": _wind,
    }
)
"""Variables of a dataset, given those of its source."""
_KEEP_AGES = frozenset({"state_components", "observed_states"})
"""Preparations that hand on ages without being asked to."""


def times_in(seconds: float, step_days: float) -> int:
    """Return how many times lie in so many seconds, one at their beginning."""
    return math.floor(seconds / (step_days * 86400) + 1e-6) + 1
