"""Names that may stand in generated source."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator

from torch import nn

from pipeline_lib.errors import ConfigError

ELEMENTARY = ("Abs", "cos", "exp", "log", "sin", "sqrt", "tanh")
"""Functions that equations may use besides powers; torch knows them by the same names, in small letters."""

_RESERVED = frozenset(
    {*ELEMENTARY, "Derivative", "diff", "E", "I", "pi"}  # words of the equations
    | {"Tensor", "annotations", "length", "nn", "per", "self", "shape", "state", "time", "torch"}  # words of the source
    | {"check_field", "convolved", "mirrored", "network_field", "on_grid", "wrapped", "order", "system"}
)


def check_name(name: str, *, where: str) -> None:
    """Refuse a name that cannot stand in generated source.

    Raises
    ------
    ConfigError
        If it is no identifier, or means something else in equations, in Python or to ``torch.nn.Module``.
    """
    if not (name.isascii() and name.isidentifier()) or name.startswith("_"):
        raise ConfigError(f"{name!r} is not a name", where=where, fix="write letters, digits and _, a letter first")
    if keyword.iskeyword(name) or name in _RESERVED or hasattr(nn.Module(), name) or hasattr(builtins, name):
        raise ConfigError(f"the name {name!r} is taken", where=where, fix="choose another, such as " + repr(name + "0"))


class Names:
    """Names of the variables of one function, each used once.

    Parameters
    ----------
    taken
        Names that are in use from the start.
    """

    def __init__(self, taken: set[str]) -> None:
        self._taken = set(taken)

    def fresh(self, wish: str) -> str:
        """Return ``wish``, with a number behind it if it is in use already."""
        name, count = wish, 1
        while name in self._taken:
            count += 1
            name = f"{wish}_{count}"
        self._taken.add(name)
        return name

    def series(self, stem: str) -> Iterator[str]:
        """Yield names that start with ``stem`` and end with a number."""
        count = 0
        while True:
            count += 1
            if f"{stem}{count}" not in self._taken:
                yield self.fresh(f"{stem}{count}")
