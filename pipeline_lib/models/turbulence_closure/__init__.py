"""A box of turbulence on a coarse grid, with a term for what the grid does not see."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.closures import ClosureOptions
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.simulations.turbulence import DIFFUSIVITY, FIELDS, FORCING, GRADIENT, VISCOSITY

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster

_AXES = 3
_FEWEST_POINTS = 4


_ALL = ("width", "layers", "hidden")
_UNUSED = MappingProxyType(
    {
        **dict.fromkeys(("none", "smagorinsky", "linear", "scalar_network", "invariant_network"), _ALL),
        "linear_stencil": ("hidden",),
    }
)
"""Options that a closure does not use."""


@MODELS.register("turbulence_closure")
class TurbulenceClosure(StateModel):
    """A step of the coarse spectral solver whose tendency holds a learned convergence of fluxes."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Turbulence closure",
        summary="Steps of a coarse spectral solver of velocity and a scalar in a box; a closure gives the stress and"
        " the flux of the scalar that scales below the grid would make: none, Smagorinsky's with two fitted constants,"
        " products of gradients with fitted constants, a linear regression on the gradients around a point, or a local"
        " network of them. Trained through the solver, over training.horizon steps (a-posteriori), or on the exact"
        " term (training.target: subgrid, a-priori).",
        task="dynamics",
        citation="After Frezat, Balarac, Le Sommer, Fablet, Lguensat, Physical invariance in neural networks for"
        " subgrid-scale scalar flux modeling, Physical Review Fluids 6 (2021)",
        year=2021,
        doi="10.1103/PhysRevFluids.6.024607",
        arxiv="2010.04663",
        parameters=PublishedCount(
            total=5616, counts="trainable values of the network with the default options; not of the publication",
            confidence="verified",
        ),
        facts=(
            Fact(text="Published: 512 x 512 x 512 points, filtered to 64 x 64 x 64 and less, a closure for the scalar"
                 " alone, scored a-priori; a plain network of 295,248 values and one with the invariances built in, of"
                 " 338,936. Both are here, as scalar_network and invariant_network.", confidence="code"),
            Fact(text="There, the correlation with the term is .36 for a dynamic Smagorinsky closure, .50 for a dynamic"
                 " gradient model, .56 for the plain and .61 for the invariant network.", confidence="code"),
            Fact(text="The linear forcing of our box is Lundgren's (2003) as Rosales and Meneveau (2005) write it,"
                 " recalled, not checked against the texts; its rate, 1/3, and all other constants are ours.",
                 confidence="memory"),
        ),
        limits=(
            "A small box at a low Reynolds number, held in balance by linear forcing and a mean gradient of the scalar;"
            " the published data are not used.",
            "subgrid_correlation is over the terms of velocity and scalar together, the published correlation over that"
            " of the scalar alone: scoring.fields: [3] scores it, and nothing else, here.",
            "The published networks give the scalar's term itself, of which the mean is taken out; the momentum has"
            " none.",
            "A closure stands for the errors of the coarse discretisation as well: it suits this solver, this grid and"
            " this filter.",
        ),
    )  # fmt: skip

    class Options(ClosureOptions):
        """Options of this model."""

        unused = _UNUSED

        closure: Literal[
            "none", "smagorinsky", "linear", "linear_stencil", "network", "scalar_network", "invariant_network"
        ] = "network"
        """``none`` is the coarse solver alone; ``smagorinsky`` an eddy viscosity (Cs dx)^2 |S| with the rate of strain
        S and an eddy diffusivity (Cc dx)^2 |S|, constants to be found; ``linear`` a sum of products of gradients, with
        seven constants; ``network`` convolutions of gradients with tanh, ``linear_stencil`` a linear regression on the
        gradients at the same points; ``scalar_network`` and ``invariant_network`` the published networks, for the
        scalar alone."""
        width: Literal[1, 3, 5] = 3
        """Points that a convolution of ``network`` sees along each axis."""
        layers: int = Field(1, gt=0)
        """Such convolutions, one on the other; ``linear_stencil`` sees as many points as they all do."""
        hidden: int = Field(16, gt=0)
        """Channels of ``network``."""
        viscosity: float = Field(VISCOSITY, ge=0)
        """nu of the simulation."""
        diffusivity: float = Field(DIFFUSIVITY, ge=0)
        """Its kappa."""
        forcing: float = Field(FORCING, ge=0)
        """Its rate of forcing A."""
        gradient: float = GRADIENT
        """Its mean gradient of the scalar."""

    @classmethod
    def diagnosed(cls, options: Options) -> frozenset[str]:  # noqa: ARG003 - as in the base
        """Return what the flow tells."""
        return frozenset({"kinetic_energy", "scalar_variance"})

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.turbulence_closure.network import TurbulenceStep

        fewest = max(_FEWEST_POINTS, options.layers * (options.width // 2))
        fields, *sides = states.shape
        if fields != len(FIELDS) or len(sides) != _AXES or len(set(sides)) != 1 or sides[0] < fewest:
            raise ConfigError(
                f"states {states.shape} are not {len(FIELDS)} fields on a cubic grid of {fewest} points a side or more",
                where="turbulence_closure",
                fix="take a source of the simulation turbulence",
            )
        return TurbulenceStep(options, states)
