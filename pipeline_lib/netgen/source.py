"""From a system to the source of a PyTorch module, and from that source to the module."""

from __future__ import annotations

import hashlib
import inspect
import linecache
import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.netgen import operators
from pipeline_lib.netgen.lowering import Algebra, Continue, Convolve, Kernel, Lowered, Network, Step, lower
from pipeline_lib.netgen.names import Names
from pipeline_lib.netgen.printing import equation_text, tensor_code
from pipeline_lib.netgen.stencils import check_order
from pipeline_lib.netgen.system import System

_BODY = " " * 8
_LONGEST_LINE = 120


def generate(system: System, shape: Sequence[int], *, order: int = 2) -> str:
    """Return the source of a module that computes the time derivative of a system's state.

    The class is a tendency, ``tendency(state, time)``, for `pipeline_lib.solvers.schemes`. A state has shape
    ``(..., fields, n)`` or ``(..., fields, n, m)``; leading dimensions are a batch. It is written for double precision,
    ``.float()`` and ``.to(device)`` lead to others. Parameters are the unknown numbers and whatever networks and given
    fields bring along; kernels and constants are buffers. The source imports torch and nothing else.

    Parameters
    ----------
    system
        The equations.
    shape
        Points along each axis: the default of the class. Their spacing is the length of the axis over their number.
    order
        Order of accuracy of the stencils, even.

    Returns
    -------
    str
        Python. Equal arguments give equal text.

    Raises
    ------
    ConfigError
        If the order is not available, the shape is not made of positive integers or does not fit the coordinates, or a
        stencil does not fit the grid.
    """
    check_order(order)
    shape = tuple(shape)
    if not all(isinstance(size, int) and size > 0 for size in shape):
        what = f"the grid {shape} is not made of positive integers"
        raise ConfigError(what, where=system.name, fix="give the points along each coordinate")
    if len(shape) != len(system.axes):
        what = f"the grid {shape} has {len(shape)} axes, the system {len(system.axes)}"
        raise ConfigError(what, where=system.name, fix="give the points along each coordinate")
    return _Writer(system, shape, order).text()


def build(system: System, shape: Sequence[int], *, order: int = 2, **given: Tensor | nn.Module | float) -> nn.Module:
    """Return the module: `generate`, executed.

    Its class lives in no file, so it cannot be pickled: keep its ``state_dict()``, or write the source to a file and
    import that.

    Parameters
    ----------
    system, shape, order
        As for `generate`.
    **given
        Arguments of the generated class, by name: the exogenous fields and the networks of the closures, which it
        needs; other values of constants and unknowns. A field has one dimension for each coordinate of its
        declaration, in the order there, behind those of a batch.

    Raises
    ------
    ConfigError
        As `generate`; and if a field or network is missing, a field has another shape, or a name is not known.
    """
    source = generate(system, shape, order=order)
    needed = {f.func.__name__ for f in system.exogenous} | {c.__name__ for c in system.closures}
    possible = needed | {s.name for s in (*system.constants, *system.trainable)}
    for name in sorted(needed - set(given)):
        raise ConfigError(f"{name} is not given", where=system.name, fix=f"pass it: build(..., {name}=...)")
    for name in sorted(set(given) - possible):
        raise ConfigError(f"{name} is no part of the system", where=system.name, fix=closest(name, possible))
    file = f"<netgen {system.name} {hashlib.sha256(source.encode()).hexdigest()[:8]}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # for tracebacks
    namespace: dict[str, Any] = {"__name__": system.name}
    exec(compile(source, file, "exec"), namespace)  # noqa: S102 - of names that were checked, and numbers
    try:
        module: nn.Module = namespace[class_name(system)](**given)
    except ValueError as error:  # what the source, which stands alone, has to say
        raise ConfigError(str(error), where=system.name) from error
    return module


def class_name(system: System) -> str:
    """Return the name of the generated class."""
    return "".join(part[:1].upper() + part[1:] for part in system.name.split("_"))


class _Writer:
    def __init__(self, system: System, shape: tuple[int, ...], order: int) -> None:
        self.system, self.shape, self.order = system, shape, order
        self.exogenous = {f.func.__name__: tuple(map(system.axes.index, f.args)) for f in system.exogenous}
        self.declared = {f.func.__name__: str(f) for f in system.exogenous}
        self.closures = [c.__name__ for c in system.closures]
        self.unknowns = [f.func.__name__ for f in system.fields]
        numbers = (system.time, *system.axes, *system.constants, *system.trainable)
        names = Names({*(s.name for s in numbers), *self.exogenous, *self.closures, *self.unknowns})
        self.per = {axis: names.fresh(f"per_{axis}") for axis in system.axes}
        self.lowered: Lowered = lower(system, shape, order, names)

    def text(self) -> str:
        parts = [
            f'"""{self.docstring()}"""',
            "from __future__ import annotations",
            "import torch\nfrom torch import Tensor, nn",
        ]
        functions = [_source_of(name) for name in self.operators()]
        body = "\n".join((*self.head(), "", *self.constructor(), "", *self.forward()))
        return "\n\n".join(parts) + "\n\n\n" + "\n\n\n".join((*functions, body)) + "\n"

    def operators(self) -> list[str]:
        kinds = {type(step) for step in self.lowered.steps.values()}
        used = {"convolved": Convolve in kinds, "network_field": Network in kinds}
        used |= dict.fromkeys(("check_field", "on_grid"), bool(self.exogenous))
        walls = {step.axis in self.system.walls for step in self.lowered.steps.values() if isinstance(step, Continue)}
        used |= {"wrapped": False in walls, "mirrored": True in walls}
        order = ("convolved", "wrapped", "mirrored", "check_field", "on_grid", "network_field")
        return [name for name in order if used[name]]

    def docstring(self) -> str:
        functions = frozenset({*self.system.fields, *self.system.exogenous})
        lines = [_safe(self.system.title) or class_name(self.system), ""]
        texts = "\n".join(equation_text(equation, functions) for equation in self.system.equations)
        lines += [f"    {line}" for line in texts.split("\n")]
        lines += ["", *filter(None, [_safe(self.system.notes)])]
        lines += [f"Written by pipeline_lib.netgen: central differences of order {self.order}.", ""]
        return "\n".join(lines)

    def head(self) -> Iterator[str]:
        points = ", ".join(map(str, self.shape))
        yield f"class {class_name(self.system)}(nn.Module):"
        yield '    """Time derivative of a state, called with the state and a time.'
        yield ""
        yield f"    A state has shape (..., {len(self.unknowns)}, {points}): {', '.join(self.unknowns)} on a grid."
        for axis, length in self.system.coordinates.items():
            bounds = "between walls" if axis in self.system.walls else "periodic"
            yield f"    Axis {axis} is {bounds}, of length {length:g}."
        yield '    """'

    def constructor(self) -> Iterator[str]:
        yield "    def __init__("
        yield f"{_BODY}self,"
        yield f"{_BODY}*,"
        for name in self.exogenous:
            yield f"{_BODY}{name}: Tensor,"
        for name in self.closures:
            yield f"{_BODY}{name}: nn.Module,"
        for symbol, value in self.system.constants.items():
            yield f"{_BODY}{symbol}: float | Tensor = {float(value)!r},"
        for symbol, value in self.system.trainable.items():
            yield f"{_BODY}{symbol}: float = {float(value)!r},"
        yield f"{_BODY}shape: tuple[int, ...] = {self.shape!r},"
        yield f"{_BODY}length: tuple[float, ...] = {tuple(map(float, self.system.coordinates.values()))!r},"
        yield "    ) -> None:"
        yield f"{_BODY}super().__init__()"
        yield f"{_BODY}if any(size < least for size, least in zip(shape, {self.lowered.least!r}, strict=True)):"
        yield f'{_BODY}    raise ValueError(f"{{shape}} points are less than the stencils need, {self.lowered.least}")'
        yield f"{_BODY}if any(not extent > 0 for extent in length):"
        yield f'{_BODY}    raise ValueError(f"the lengths {{length}} are not positive numbers")'
        yield f"{_BODY}self.shape = tuple(shape)"
        for name in self.exogenous:
            yield from self.field_or_parameter(name)
        for name in self.closures:
            yield f"{_BODY}self.{name} = {name}"
        for symbol in self.system.constants:
            yield _buffer(symbol.name, f"torch.as_tensor({symbol}, dtype=torch.float64)")
        for symbol in self.system.trainable:
            yield f"{_BODY}self.{symbol} = nn.Parameter(torch.tensor({symbol}, dtype=torch.float64))"
        yield from self.spacings()
        for name, kernel in self.lowered.kernels.items():
            yield _buffer(name, self.kernel(kernel))

    def field_or_parameter(self, name: str) -> Iterator[str]:
        axes = self.exogenous[name]
        sizes = ", ".join(f"shape[{axis}]" for axis in axes) + "," * (len(axes) == 1)
        yield f'{_BODY}check_field("{self.declared[name]}", {name}, ({sizes}))'
        yield f"{_BODY}if isinstance({name}, nn.Parameter):"
        yield f"{_BODY}    self.{name} = {name}"
        yield f"{_BODY}else:"
        yield "    " + _buffer(name, name)

    def spacings(self) -> Iterator[str]:
        used = {kernel.axis for kernel in self.lowered.kernels.values()}
        for index, axis in enumerate(self.system.axes):
            if axis in used:
                yield f"{_BODY}{self.per[axis]} = shape[{index}] / length[{index}]  # points per unit of {axis}"

    def kernel(self, kernel: Kernel) -> str:
        weights = ", ".join(str(weight) for weight in kernel.weights)
        power = f"**{kernel.derivative}" if kernel.derivative > 1 else ""
        return f"torch.tensor([{weights}], dtype=torch.float64) * {self.per[kernel.axis]}{power}"

    def forward(self) -> Iterator[str]:
        axis = -1 - len(self.shape)
        yield "    def forward(self, state: Tensor, time: float | Tensor = 0.0) -> Tensor:"
        yield f'{_BODY}"""Return the time derivative, of the shape of the state."""'
        yield f"{_BODY}expected = ({len(self.unknowns)}, *self.shape)"
        yield f"{_BODY}if state.shape[{axis}:] != expected:"
        yield f"{_BODY}    given = tuple(state.shape)"
        yield f'{_BODY}    raise ValueError(f"the state has shape {{given}}; it must end with {{expected}}")'
        yield f"{_BODY}{', '.join(self.unknowns)}{',' * (len(self.unknowns) == 1)} = state.unbind({axis})"
        yield from self.loads()
        for name, step in self.lowered.steps.items():
            code = self.code(step)
            if name in self.lowered.uniform:
                code = f"{code} + torch.zeros_like({self.unknowns[0]})"
            yield f"{_BODY}{name} = " + code.replace("\n", f"\n{_BODY}")
        first, *others = self.lowered.trends
        trends = ", ".join((first, *others))
        whole = f"torch.stack(torch.broadcast_tensors({trends}), {axis})" if others else f"{first}.unsqueeze({axis})"
        yield f"{_BODY}return {whole}"

    def loads(self) -> Iterator[str]:
        """Yield the lines that give numbers and given fields a short name, if a step needs them."""
        steps = self.lowered.steps.values()
        used = {s.name for step in steps if isinstance(step, Algebra) for s in step.expression.free_symbols}
        used |= {step.source.name for step in steps if isinstance(step, Continue | Convolve)}
        used |= {symbol.name for step in steps if isinstance(step, Network) for symbol in step.inputs}
        for symbol in (*self.system.constants, *self.system.trainable):
            if symbol.name in used:
                yield f"{_BODY}{symbol} = self.{symbol}"
        for name in self.exogenous:
            if name in used:
                yield f"{_BODY}{name} = on_grid(self.{name}, {self.exogenous[name]}, self.shape)"
        if self.system.time.name in used:
            yield f"{_BODY}{self.system.time} = torch.as_tensor(time, dtype=state.dtype, device=state.device)"

    def code(self, step: Step) -> str:
        if isinstance(step, Algebra):
            return tensor_code(step.expression)
        if isinstance(step, Network):
            inputs = ", ".join(symbol.name for symbol in step.inputs) + "," * (len(step.inputs) == 1)
            return f"network_field(self.{step.network}, ({inputs}), self.shape)"
        axis = self.system.axes.index(step.axis) - len(self.shape)
        if isinstance(step, Convolve):
            return f"convolved({step.source}, self.{step.kernel}, {axis})"
        wall = self.system.wall(step.field, step.axis)
        if wall is None:
            return f"wrapped({step.source}, {axis}, {step.width})"
        low, high = (None if value is None else float(value) for value in wall)
        return f"mirrored({step.source}, {axis}, {step.width}, {low!r}, {high!r})"


def _buffer(name: str, value: str) -> str:
    line = f'{_BODY}self.register_buffer("{name}", {value}, persistent=False)'
    if len(line) <= _LONGEST_LINE:
        return line
    inner = "".join(f"{_BODY}    {part},\n" for part in (f'"{name}"', value, "persistent=False"))
    return f"{_BODY}self.register_buffer(\n{inner}{_BODY})"


def _source_of(operator: str) -> str:
    return re.sub(r"  # type: ignore.*", "", inspect.getsource(getattr(operators, operator))).rstrip()


def _safe(text: str) -> str:
    """Return free text so that it cannot end the docstring it stands in."""
    return re.sub(r"[^\S\n]+\n", "\n", text.replace("\\", "\\\\").replace('"', "'")).strip()
