"""The base of every options class: unknown keys are errors, values do not change after validation."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Strict, immutable options; a field's docstring is its description in the schema and the reference page."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


def refuse_unused(options: Options, names: Iterable[str], why: str) -> None:
    """Refuse options that were changed although they have no effect beside the others; for validators.

    What stands at its default passes: stored options hold all of them.

    Raises
    ------
    ValueError
        Naming the first.
    """
    for name in names:
        if getattr(options, name) != type(options).model_fields[name].get_default(call_default_factory=True):
            raise ValueError(f"{name} has no effect: {why}; leave it out")
