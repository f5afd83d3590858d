"""What the models have in common that stand for scales below a coarse grid: options."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Self

from pydantic import Field, model_validator

from pipeline_lib.models.schemes import OneStep
from pipeline_lib.options import Options, refuse_unused


class ClosureOptions(Options):
    """A closure and the steps of the coarse solver that it is added to."""

    unused: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    """Options that a closure, by its name, does not use: one without effect misleads."""

    closure: str
    """Name of the closure."""
    scheme: OneStep = "rk4"
    """How a step is taken."""
    substeps: int = Field(1, gt=0)
    """Steps of the coarse solver between two states."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        refuse_unused(self, self.unused.get(self.closure, ()), f"closure {self.closure} has none")
        return self
