"""The true equations, as the model that is better than all learned ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import FittedModel, ModelCard
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.schemes import OneStep
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.options import refuse_unused

if TYPE_CHECKING:
    import torch

    from pipeline_lib.learning.forecaster import Forecaster

_LEAST = {"lorenz63": 3, "lorenz96": 4}


@MODELS.register("known_dynamics")
class KnownDynamics(StateModel, FittedModel):
    """The equations that the states follow, with the parameters that they follow; nothing is learned."""

    card: ClassVar[ModelCard] = ModelCard(
        title="True equations",
        summary="One step of a scheme with the equations and parameters behind the states: what is left of its error is"
        " the scheme's. The reference of learned models, in forecasts and in data assimilation.",
        task="dynamics",
        citation="Lorenz (1963), Deterministic nonperiodic flow; Lorenz (1996), Predictability: a problem partly"
        " solved; Brajard, Charantonis, Sirven (2019), Representing ill-known parts of a numerical model using a"
        " machine learning approach",
        limits=("For simulated states of known parameters only.",),
    )

    class Options(BaseOptions):
        """Options of this model."""

        system: Literal["lorenz63", "lorenz96", "shallow_water"] = "lorenz63"
        """The equations, at the parameters of the simulation's defaults."""
        forcing: float | None = None
        """F of ``lorenz96``; null for that of the simulation's defaults. For the slow sites of two scales, these
        equations with the same F are the model without a closure."""
        scheme: OneStep = "rk4"
        """How a step is taken; shallow water takes the leapfrog steps of its simulation."""

        @model_validator(mode="after")
        def _forced(self) -> KnownDynamics.Options:
            if self.forcing is not None and self.system != "lorenz96":
                raise ValueError(f"{self.system} has no forcing to choose; leave it out")
            if self.system == "shallow_water":
                refuse_unused(self, ("scheme",), "shallow_water takes the leapfrog steps of its simulation")
            return self

    @classmethod
    def diagnosed(cls, options: Options) -> frozenset[str]:
        """Return what the basin tells, and nothing of other systems."""
        from pipeline_lib.models.shallow_water_forcing import DIAGNOSED

        return DIAGNOSED if options.system == "shallow_water" else frozenset()

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network, which has no values to learn."""
        if options.system == "shallow_water":
            from pipeline_lib.models.shallow_water_networks import BasinStep

            return BasinStep(states)

        from pipeline_lib.models.state_networks import KnownTendency, OdeStep
        from pipeline_lib.solvers.lorenz63 import Lorenz63
        from pipeline_lib.solvers.lorenz96 import Lorenz96

        cls.check_shapes(options, [states.shape])
        ring = Lorenz96() if options.forcing is None else Lorenz96(options.forcing)
        system = Lorenz63() if options.system == "lorenz63" else ring
        return OdeStep(KnownTendency(system, states.mean, states.scale), options.scheme, states.step)

    @classmethod
    def check_shapes(cls, options: Options, shapes: Sequence[tuple[int, ...] | None]) -> None:
        """Refuse states of another size than the system's; of shallow water they are looked at when it is built.

        Raises
        ------
        ConfigError
            If there is another number of components.
        """
        if options.system == "shallow_water" or shapes[0] is None:
            return
        least, there = _LEAST[options.system], math.prod(shapes[0])
        if there < least or (options.system == "lorenz63" and there > least):
            raise ConfigError(
                f"{options.system} has other states than these of {there} components",
                where="options.system",
                fix="name the system that the source simulates",
            )

    @classmethod
    def fit(cls, network: Any, train: torch.Tensor, validation: torch.Tensor, *, horizon: int) -> None:  # noqa: ANN401 - as in the base
        """Do nothing: all is known."""
