"""Strict YAML: safe types only, no key twice, a mapping at the top; and no secrets in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline_lib.errors import ConfigError

_SECRET_KEY = re.compile(
    r"(?:^|_)(?:pass(?:word|wd|phrase)|pwd|(?:api|access|private|secret)_?key|access_?key_?id"
    r"|[a-z]*token|secrets?|credentials?|authorization|bearer)$"
)
_SECRET_IN_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]*@"  # a login before the host
    r"|[?&;](?:[a-z_-]*token|[a-z_-]*key|[a-z_-]*secret|password|sig|signature|x-amz-[a-z-]+)=",  # or in the query
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


_MOST_VALUES = 100_000
"""No file of ours is near that; a few lines of aliases of aliases can stand for billions."""


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, with an error where it would silently keep the last of two equal keys."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            # Mappings merged again and again would pile up their keys; the last of equal ones counts.
            node.value = list({key.value: (key, value) for key, value in node.value}.values())

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag != "tag:yaml.org,2002:str" and key_node.tag != "tag:yaml.org,2002:merge":
                raise _RefusedError(f"key {_shown(key_node)} is not a text", line, "put it in quotes")
            if key_node.value in lines:
                raise _RefusedError(
                    f"key {key_node.value!r} is already on line {lines[key_node.value]}", line, "keep one"
                )
            lines[key_node.value] = line
        return super().construct_mapping(node, deep)


class _RefusedError(Exception):
    """What the loader refuses; becomes a :class:`ConfigError` where the file's name is known."""

    def __init__(self, what: str, line: int, fix: str) -> None:
        super().__init__(what)
        self.what, self.line, self.fix = what, line, fix


def _shown(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else "of several parts"


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises
    ------
    ConfigError
        If the file is missing, unreadable, empty, not YAML, not a mapping, has a key twice, a key that is not a text,
        a tag that is not plain data, or an alias inside its own anchor. The message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError("no such file", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot be read: {reason}", where=str(path)) from error
    value = _parse(text, path)
    if value is None:
        raise ConfigError("is empty", where=str(path))
    if not isinstance(value, dict):
        raise ConfigError("is not a mapping of keys to values", where=str(path), fix="write 'key: value' lines")
    for count, _ in enumerate(walk(value, where=str(path))):  # to the end: that finds aliases inside their own anchor
        if count > _MOST_VALUES:
            what = f"holds more than {_MOST_VALUES} values, counted as aliases repeat them"
            raise ConfigError(what, where=str(path), fix="write what is meant without so many aliases")
    return value


def _parse(text: str, path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except _RefusedError as error:
        raise ConfigError(error.what, where=f"{path}:{error.line}", fix=error.fix) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"is not valid YAML: {error.problem or error.context}", where=place) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"is not valid YAML: {error}", where=str(path)) from error


def refuse_secrets(mapping: Mapping[str, Any], where: str) -> None:
    """Refuse keys that look like credentials, and addresses with a login in them, at any depth.

    Raises
    ------
    ConfigError
        Naming the key path; the value is never shown.
    """
    fix = "remove it: credentials belong to the provider's own login, never to a file of this project"
    for path, value in walk(mapping, where=where):
        key = _CAMEL.sub("_", path[-1]).lower().replace("-", "_") if path else ""
        place = f"{where}: {'.'.join(path)}"
        if _SECRET_KEY.search(key) and not isinstance(value, bool | None):  # a model may have "class_token: true"
            raise ConfigError("looks like a secret", where=place, fix=fix)
        if isinstance(value, str) and _SECRET_IN_URL.search(value):
            raise ConfigError("is an address with a login in it", where=place, fix=fix)


def walk(
    value: object, *, where: str, path: tuple[str, ...] = (), above: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield (key path, value) of everything in nested mappings and lists."""
    yield path, value
    if isinstance(value, str | bytes) or not isinstance(value, Mapping | Sequence):
        return
    if id(value) in above:
        raise ConfigError("contains itself", where=f"{where}: {'.'.join(path)}", fix="remove the alias")
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, inner in items:
        yield from walk(inner, where=where, path=(*path, str(key)), above=(*above, id(value)))
