"""Two-dimensional turbulence on a coarse grid, with a term for what the grid does not see."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.closures import ClosureOptions
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.simulations.quasigeostrophic import DRAG, STRENGTH, VISCOSITY

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster

_AXES = 2
_FEWEST_POINTS = 8


_ALL = ("width", "layers", "hidden")
_UNUSED = MappingProxyType({"none": _ALL, "smagorinsky": _ALL, "leith": _ALL, "linear": ("hidden",)})
"""Options that a closure does not use."""


@MODELS.register("quasigeostrophic_closure")
class QuasiGeostrophicClosure(StateModel):
    """A step of the coarse spectral solver whose tendency holds a learned convergence of fluxes."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Quasi-geostrophic closure",
        summary="Steps of a coarse spectral solver of barotropic vorticity; a closure gives the flux of vorticity that"
        " scales below the grid would make: none, an eddy viscosity with a fitted constant, a linear stencil or a local"
        " network of vorticity and streamfunction. Trained through the solver, over training.horizon steps"
        " (a-posteriori), or on the exact term (training.target: subgrid, a-priori).",
        task="dynamics",
        citation="After Frezat, Le Sommer, Fablet, Balarac, Lguensat, A posteriori learning for quasi-geostrophic"
        " turbulence parametrization, Journal of Advances in Modeling Earth Systems 14 (2022)",
        year=2022,
        doi="10.1029/2022MS003124",
        parameters=PublishedCount(
            total=5248, counts="trainable values, three convolutions of width 3, 16 channels", confidence="verified"
        ),
        facts=(
            Fact(
                text="The code that goes with the paper sets a 512 x 512 grid, a sharp filter to a quarter of it, and a"
                " forcing with slowly moving phases; roll-outs grow with the epochs",
                confidence="code",
            ),
        ),
        limits=(
            "The forcing stands still, drag and viscosity are higher and grids are smaller than in the publication; the"
            " length of roll-outs does not grow during training.",
            "A closure stands for the errors of the coarse discretisation as well: it suits this solver, this grid and"
            " this filter.",
            "The solver computes in double precision, whatever the network does.",
        ),
    )

    class Options(ClosureOptions):
        """Options of this model."""

        unused = _UNUSED

        closure: Literal["none", "smagorinsky", "leith", "linear", "network"] = "network"
        """``none`` is the coarse solver alone; ``smagorinsky`` an eddy viscosity (Cs dx)^2 |S| with the strain S,
        ``leith`` one of (Cl dx)^3 |grad q|, with constants to be found; ``linear`` a flux linear in the points of the
        network's stencil; ``network`` convolutions with tanh."""
        width: int = Field(3, gt=1)
        """Points that a convolution sees along each axis."""
        layers: int = Field(3, gt=0)
        """Such convolutions."""
        hidden: int = Field(16, gt=0)
        """Channels of the network."""
        viscosity: float = Field(VISCOSITY, ge=0)
        """nu of the simulation."""
        drag: float = Field(DRAG, ge=0)
        """Its mu."""
        strength: float = Field(STRENGTH, ge=0)
        """Half the mean square of its forcing."""

    @classmethod
    def diagnosed(cls, options: Options) -> frozenset[str]:  # noqa: ARG003 - as in the base
        """Return what the flow tells."""
        return frozenset({"kinetic_energy"})

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.quasigeostrophic_closure.network import QuasiGeostrophicStep

        fewest = max(_FEWEST_POINTS, options.layers * (options.width // 2))
        fits = len(states.shape) == _AXES and len(set(states.shape)) == 1 and min(states.shape) >= fewest
        if not fits:
            raise ConfigError(
                f"states {states.shape} are not vorticity on a square grid of at least {fewest} points a side",
                where="quasigeostrophic_closure",
                fix="take a source of the simulation quasigeostrophic",
            )
        return QuasiGeostrophicStep(options, states)
