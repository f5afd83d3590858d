"""How models take a step of a differential equation: options."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.options import Options, refuse_unused
from pipeline_lib.solvers.tableau import require_explicit

OneStep = Literal["euler", "midpoint", "heun", "ssp3", "rk4", "rk38", "dormand_prince", "backward_euler"]
"""Schemes that need no past."""


class Tableau(Options):
    """An explicit Runge-Kutta scheme by its numbers, as textbooks print them."""

    stages: list[list[float]] = Field(default=[])
    """Rows of the tableau below its diagonal, from the second stage on: row i has i numbers."""
    weights: list[float] = Field(min_length=1)
    """Weights of the stages; they sum to 1."""

    @model_validator(mode="after")
    def _explicit(self) -> Self:
        require_explicit(self.stages, self.weights)
        return self


class SchemeOptions(Options):
    """A scheme by its name or by its numbers."""

    scheme: OneStep = "rk4"
    """How a step is taken."""
    tableau: Tableau | None = None
    """A Runge-Kutta scheme of one's own, in place of ``scheme``."""

    @model_validator(mode="after")
    def _one_scheme(self) -> Self:
        if self.tableau is not None:
            refuse_unused(self, ("scheme",), "tableau stands in its place")
        return self
