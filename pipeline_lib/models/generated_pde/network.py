"""A generated tendency as a forecaster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sympy as sp
import torch
from sympy.core.function import AppliedUndef
from torch import Tensor, nn

from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.learning.forecaster import Forecaster
from pipeline_lib.netgen.operators import mirrored, wrapped
from pipeline_lib.netgen.source import build
from pipeline_lib.netgen.system import System
from pipeline_lib.netgen.system_file import declared
from pipeline_lib.solvers.schemes import SCHEMES

if TYPE_CHECKING:
    from pipeline_lib.models.generated_pde import GeneratedPde
    from pipeline_lib.models.states import States

_MODEL = "generated_pde"


class LocalNetwork(nn.Module):
    """An unknown function of fields: the same at every point, zero before training.

    Parameters
    ----------
    inputs
        Fields that it sees.
    walls
        For each axis whether it lies between walls, behind which fields go on as in a mirror, or is periodic.
    width
        Points that the first layer sees along each axis.
    hidden, layers
        Channels and number of the hidden layers.
    """

    def __init__(self, inputs: int, walls: tuple[bool, ...], *, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        self._walls, self._reach = walls, width // 2
        convolution = nn.Conv1d if len(walls) == 1 else nn.Conv2d
        parts: list[nn.Module] = [convolution(inputs, hidden, width), nn.Tanh()]
        for _ in range(layers - 1):
            parts += [convolution(hidden, hidden, 1), nn.Tanh()]
        last = convolution(hidden, 1, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.net = nn.Sequential(*parts, last)

    def forward(self, fields: Tensor) -> Tensor:
        """Return the function (batch, 1, *grid) of fields (batch, inputs, *grid)."""
        if self._reach:
            for axis, between in enumerate(self._walls, start=-len(self._walls)):
                if between:
                    fields = mirrored(fields, axis, self._reach, None, None)
                else:
                    fields = wrapped(fields, axis, self._reach)
        found: Tensor = self.net(fields)
        return found


class GeneratedStep(Forecaster):
    """States from one to the next, by a scheme on a tendency in its own units.

    Parameters
    ----------
    tendency
        A generated module: fields (batch, fields, *grid) to their time derivatives.
    scales
        Value of each of its fields that stands for 1 in the states.
    grid
        Points along each of its axes.
    options, states
        Of the model, and what is advanced.
    """

    _mean: Tensor
    _scale: Tensor

    def __init__(
        self,
        tendency: nn.Module,
        scales: list[float],
        grid: tuple[int, ...],
        options: GeneratedPde.Options,
        states: States,
    ) -> None:
        super().__init__()
        self.tendency, self._fields = tendency, (len(scales), *grid)
        self._step, self._substeps = states.step, options.substeps
        self._take = SCHEMES[options.scheme].start()
        scale = torch.tensor(scales, dtype=torch.float64).reshape(-1, *[1] * len(grid))
        self.register_buffer("_scale", scale * states.scale, persistent=False)
        self.register_buffer("_mean", scale * states.mean, persistent=False)

    def advance(self, state: Tensor, memory: Any) -> tuple[Tensor, Any]:  # noqa: ANN401 - has none
        """Return the next state; it is computed in the network's own format."""
        fields = state.to(self._scale.dtype).reshape(*state.shape[:-1], *self._fields) * self._scale + self._mean
        step = self._step / self._substeps
        for number in range(self._substeps):
            fields = self._take(self.tendency, fields, number * step, step)
        return ((fields - self._mean) / self._scale).reshape(state.shape).to(state.dtype), memory


def generated_step(options: GeneratedPde.Options, states: States) -> GeneratedStep:
    """Return the network of a model's options for some states.

    Raises
    ------
    ConfigError
        If the equations cannot be translated, do not fit the states, or hold what no state tells.
    """
    system = _system(options)
    fields = [field.func.__name__ for field in system.fields]
    _require_known(options.scales, fields, "scales")
    _check_autonomous(system)
    grid = states.shape if len(fields) == 1 and len(states.shape) == len(system.axes) else states.shape[1:]
    if states.dimension != len(fields) * math.prod(grid) or len(grid) != len(system.axes):
        axes = ", ".join(map(str, system.axes))
        raise ConfigError(
            f"states {states.shape} do not hold the fields {', '.join(fields)} along {axes}",
            where=f"{_MODEL}: {system.name}",
            fix="choose a system that has the fields of the source, in their order",
        )
    _require_points(options, grid, system)
    networks = {closure.__name__: _network(closure.__name__, system, options) for closure in system.closures}
    tendency = build(system, grid, order=options.order, **networks).double()
    return GeneratedStep(tendency, [options.scales.get(name, 1.0) for name in fields], grid, options, states)


def _system(options: GeneratedPde.Options) -> System:
    """Declare the system with the values that the options give; what is not to be learned is a constant."""
    file = options.system
    _require_known(options.values, {**file.constants, **file.trainable}, "values")
    _require_known(options.lengths, file.coordinates, "lengths")
    started = {
        name: options.values.get(name, value + options.draw * float(torch.randn((), dtype=torch.float64)))
        for name, value in sorted(file.trainable.items())
    }
    constants = {name: options.values.get(name, value) for name, value in file.constants.items()}
    settled = {} if options.learn else started
    return declared(
        file.model_copy(
            update={
                "coordinates": {**file.coordinates, **options.lengths},
                "constants": {**constants, **settled},
                "trainable": {} if settled else started,
            }
        )
    )


def _require_known(given: Mapping[str, float], known: Mapping[str, Any] | list[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"{name} is no part of the system", where=f"{_MODEL}.{what}", fix=closest(name, known))


def _require_points(options: GeneratedPde.Options, grid: tuple[int, ...], system: System) -> None:
    """Refuse states on other points than the system's, unless any will do, and too few for its networks."""
    where = f"{_MODEL}: {system.name}"
    expected = tuple(options.system.grid)
    if options.points == "system" and grid != expected:
        what = f"states lie on {_points(grid)}, the system on {_points(expected)}"
        fix = "choose the system of the source, or set points: states if it may lie on any"
        raise ConfigError(what, where=where, fix=fix)
    if system.closures and options.width > min(grid):
        what = f"is {options.width}, and states lie on {_points(grid)}"
        raise ConfigError(what, where=f"{_MODEL}.width", fix="take a smaller one")


def _points(grid: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, grid))} points"


def _check_autonomous(system: System) -> None:
    """Refuse what a forecaster cannot know: given fields, and the time."""
    for given in system.exogenous:
        name = given.func.__name__
        fix = "make it a constant, or a prognostic field with an equation that the states hold"
        raise ConfigError(f"no state tells the field {name}", where=f"{_MODEL}: {system.name}", fix=fix)
    for equation in system.equations:
        functions = {function: sp.Dummy() for function in equation.rhs.atoms(AppliedUndef)}
        if system.time in equation.rhs.xreplace(functions).free_symbols:
            fix = "write the equations without it"
            raise ConfigError(f"no state tells the time {system.time}", where=f"{_MODEL}: {system.name}", fix=fix)


def _network(name: str, system: System, options: GeneratedPde.Options) -> LocalNetwork:
    calls = [call for eq in system.equations for call in eq.rhs.atoms(AppliedUndef) if call.func.__name__ == name]
    inputs = {len(call.args) for call in calls}
    if len(inputs) != 1:
        what = f"{name} is called with {', '.join(map(str, sorted(inputs))) or 'no'} arguments"
        raise ConfigError(what, where=f"{_MODEL}: {system.name}", fix="call it with the same number everywhere")
    walls = tuple(axis in system.walls for axis in system.axes)
    return LocalNetwork(inputs.pop(), walls, width=options.width, hidden=options.hidden, layers=options.layers)
