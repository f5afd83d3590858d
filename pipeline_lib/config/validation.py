"""Validation of plain values against options classes, with one clear line per mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from pipeline_lib.errors import ConfigError, ConfigErrors, closest

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], raw: Mapping[str, Any], *, where: str) -> M:
    """Validate plain values against an options class.

    Raises
    ------
    ConfigErrors
        With one line per problem: file, key path, what is wrong, and the closest valid key for an unknown one.
    """
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        raise ConfigErrors([_problem(model, dict(e), where) for e in error.errors()]) from error


def _problem(model: type[BaseModel], error: dict[str, Any], where: str) -> ConfigError:
    path = ".".join(str(part) for part in error["loc"])
    separator = "." if ": " in where else ": "  # behind a file name, or behind the first keys of a path
    place = f"{where}{separator}{path}" if path else where
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, error["loc"][:-1])
        return ConfigError("unknown key", where=place, fix=closest(str(error["loc"][-1]), known))
    message = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return ConfigError(f"{message[:1].lower()}{message[1:]}{shown}", where=place)


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Names of the fields of the options class that lies at a key path below ``model``."""
    current, keyed = model, False
    for part in loc:
        if isinstance(part, int) or keyed:
            keyed = False  # an index of a list, or a name in a mapping of names to options
            continue
        field = current.model_fields.get(part)
        inner = model_in(field.annotation) if field else None
        if field is None or inner is None:
            return []
        current, keyed = inner, get_origin(field.annotation) in (dict, Mapping)
    return list(current.model_fields)


def model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type annotation
    """Return the first options class in a type annotation, also inside lists and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = model_in(argument)
        if found is not None:
            return found
    return None
