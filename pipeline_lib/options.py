"""The base of every options class: unknown keys are errors, values do not change after validation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Strict, immutable options; a field's docstring is its description in the schema and the reference page."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
