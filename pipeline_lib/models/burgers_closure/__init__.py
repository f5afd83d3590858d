"""The equation of Burgers on a coarse grid, with a term for what the grid does not see."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.closures import ClosureOptions
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.simulations.burgers import FIELDS, FREQUENCIES, LENGTH, VISCOSITY

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


_UNUSED = MappingProxyType({"none": ("width", "hidden"), "smagorinsky": ("width", "hidden"), "linear": ("hidden",)})
"""Options that a closure does not use."""


@MODELS.register("burgers_closure")
class BurgersClosure(StateModel):
    """A step of the coarse finite-volume solver whose tendency holds a learned convergence of fluxes."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Burgers closure",
        summary="Steps of a coarse finite-volume solver; a closure gives the flux through each face that scales below"
        " the grid would make: none, Smagorinsky's with a fitted constant, a linear stencil or a local network. Trained"
        " through the solver, over as many steps as training.horizon says (a-posteriori), or on the exact term"
        " (training.target: subgrid, a-priori).",
        task="dynamics",
        citation="After Bar-Sinai, Hoyer, Hickey, Brenner, Learning data-driven discretizations for partial"
        " differential equations, PNAS 116 (2019), and the course DLGD2021, theme 4",
        doi="10.1073/pnas.1814058116",
        parameters=PublishedCount(
            total=1248, counts="trainable values of the network, four cells a face, 32 channels", confidence="verified"
        ),
        facts=(
            Fact(
                text="The force of the published case is a sum of 20 waves with wavenumbers up to 3 and frequencies up"
                " to 0.4, another for each trajectory; viscosity is 0.04 in the code",
                confidence="code",
            ),
        ),
        limits=(
            "The force is part of the state and known: one wave for each wavenumber, so that it tells its own future."
            " The published force has many waves for each.",
            "The loss of a training through the solver is a mean over velocity and force, the latter's error being 0;"
            " scores are over what scoring.fields names: in closure-burgers the velocity alone.",
            "A closure stands for the errors of the coarse discretisation as well: it suits this solver, this grid and"
            " this filter.",
        ),
    )

    class Options(ClosureOptions):
        """Options of this model."""

        unused = _UNUSED

        closure: Literal["none", "smagorinsky", "linear", "network"] = "network"
        """``none`` is the coarse solver alone; ``smagorinsky`` the flux -(Cs dx)^2 |u_x| u_x with Cs to be found;
        ``linear`` a flux linear in the cells of the stencil; ``network`` convolutions with tanh."""
        width: int = Field(4, gt=1)
        """Cells around a face that the flux depends on."""
        hidden: int = Field(32, gt=0)
        """Channels of the network."""
        viscosity: float = Field(VISCOSITY, gt=0)
        """nu of the simulation."""
        length: float = Field(LENGTH, gt=0)
        """Period of its domain."""
        frequencies: tuple[float, ...] = FREQUENCIES
        """omega_k of its force, for wavenumbers from 1 on."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.burgers_closure.network import BurgersStep

        fewest = max(options.width, 2 * len(options.frequencies) + 1)
        if len(states.shape) != len(FIELDS) or states.shape[0] != len(FIELDS) or states.shape[1] < fewest:
            raise ConfigError(
                f"states {states.shape} are not {' and '.join(FIELDS)} on at least {fewest} cells",
                where="burgers_closure",
                fix="take a source of the simulation burgers",
            )
        return BurgersStep(options, states)
