"""Registries: a decorator puts a class under a name, and the name finds it again.

Names are found by *reading* the files of a package, not by importing them, so that listing models costs no
import of torch, and one broken plug-in does not take the others down. A module is imported when one of its
names is asked for.

A name that ends in ``*`` is a family: its class makes a member of what stands in place of the star, so that
``rmse_*`` answers to ``rmse_1`` and ``rmse_28``. It has a class method ``member`` that takes this text and returns the
member, or raises :class:`ConfigError`.

Packages outside this repository add entries through the entry-point group ``gyre.<kind>s``, for example::

    [project.entry-points."gyre.models"]
    my_net = "my_package.my_net"          # the module whose decorator registers "my_net"
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline_lib.errors import ConfigError, closest

T = TypeVar("T")

FAMILY = "*"
"""Ends the name of a family."""


class Registry(Generic[T]):
    """The entries of one kind (models, labellers, ...), found below one package.

    Parameters
    ----------
    kind
        The singular word used in messages and in the entry-point group.
    variable
        The name of this registry as the decorators spell it (``@MODELS.register("eddynet")``).
    package
        The package whose files are searched for decorators.
    """

    def __init__(self, kind: str, variable: str, package: str) -> None:
        self.kind, self.variable, self.package = kind, variable, package
        self._entries: dict[str, T] = {}
        self._members: dict[str, T] = {}

    def register(self, name: str) -> Callable[[type], type]:
        """Register the decorated class under ``name``; a name can be taken once."""

        def put(entry: Any) -> Any:  # noqa: ANN401 - hands back the very class it was given
            known = self._entries.get(name)
            if known is not None and getattr(known, "__qualname__", None) != entry.__qualname__:
                raise ConfigError(f"two {self.kind}s are called {name!r}", where=entry.__module__)
            self._entries[name] = entry
            return entry

        return put

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._modules)

    def module(self, name: str) -> str:
        """Return the dotted module that defines ``name``, or a family; raise :class:`ConfigError` if unknown."""
        return self._modules[name if name in self._modules else self._listed(name)]

    def _listed(self, name: str) -> str:
        """Return the name under which ``name`` is found: its own, or that of its family."""
        if name in self._modules and not name.endswith(FAMILY):
            return name
        families = [f for f in self._modules if f.endswith(FAMILY) and name.startswith(f.removesuffix(FAMILY))]
        if not families or name.endswith(FAMILY):
            raise ConfigError(f"unknown {self.kind} {name!r}", fix=closest(name, self._modules))
        return max(families, key=len)

    def get(self, name: str) -> T:
        """Return the entry called ``name``, importing its module if needed.

        Raises
        ------
        ConfigError
            If the name is unknown, or its module cannot be imported.
        """
        listed = self._listed(name)
        module = self._modules[listed]
        if listed not in self._entries:
            try:
                importlib.import_module(module)
            except ConfigError:
                raise
            except Exception as error:  # whatever a plug-in does when it is imported, the others go on
                told = f"{type(error).__name__}: {error}"
                raise ConfigError(f"{self.kind} {name!r} cannot be loaded: {told}", where=module) from error
        if listed not in self._entries:
            raise ConfigError(f"{module} does not register {self.kind} {listed!r}", where=module)
        if listed != name and name not in self._members:
            try:
                family: Any = self._entries[listed]
                self._members[name] = family.member(name.removeprefix(listed.removesuffix(FAMILY)))
            except ConfigError as error:
                raise ConfigError(f"unknown {self.kind} {name!r}: {error.what}", fix=error.fix) from error
        return self._entries[name] if listed == name else self._members[name]

    @cached_property
    def _modules(self) -> dict[str, str]:
        found: dict[str, str] = {}
        spec = importlib.util.find_spec(self.package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            root = Path(folder)
            for file in sorted(root.rglob("*.py")):
                parts = file.relative_to(root).with_suffix("").parts
                dotted = ".".join((self.package, *(p for p in parts if p != "__init__")))
                for name in _registered_names(file, self.variable):
                    if name in found:
                        raise ConfigError(f"two {self.kind}s are called {name!r}", where=f"{found[name]}, {dotted}")
                    found[name] = dotted
        for point in entry_points(group=f"gyre.{self.kind}s"):
            if point.name in found:
                raise ConfigError(f"two {self.kind}s are called {point.name!r}", where=point.value)
            found[point.name] = point.value
        return found


def _registered_names(file: Path, variable: str) -> list[str]:
    """Names given to ``@<variable>.register("...")`` decorators in a file."""
    text = file.read_text(encoding="utf-8")
    if f"@{variable}.register(" not in text:
        return []
    try:
        tree = ast.parse(text, filename=str(file))
    except SyntaxError:  # told when the name is asked for
        return re.findall(rf"""^@{variable}\.register\(["']([^"']+)["']\)""", text, flags=re.MULTILINE)
    names = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            match decorator:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=owner), attr="register"),
                    args=[ast.Constant(value=str(name))],
                ) if owner == variable:
                    names.append(name)
    return names
