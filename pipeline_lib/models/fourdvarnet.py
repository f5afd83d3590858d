"""4DVarNet: variational assimilation with a learned prior and a learned solver."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.states import States
from pipeline_lib.models.windows import WindowModel
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.options import refuse_unused

if TYPE_CHECKING:
    import torch

_COMPONENTS = 3
"""Of Lorenz 1963."""
_OTHER_PRIOR = "choose another prior, or states of that system"
Prior = Literal["two_scale", "lorenz63", "lorenz96"]
"""A bilinear network on two scales, or the equations, their parameters to be learned from the true ones on."""


class PriorOptions(BaseOptions):
    """Options of the prior."""

    prior: Prior = "two_scale"
    """What the dynamics expect of a trajectory."""
    features: int = Field(default=30, gt=0)
    """Linear terms of the two-scale prior, and as many bilinear ones: 30 for Lorenz 1963, 50 for Lorenz 1996."""
    kernel: int = Field(default=11, gt=0)
    """Odd width of its first convolution."""
    ring: bool = False
    """Whether components are sites of a ring, over which convolutions run."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.prior != "two_scale":
            refuse_unused(self, ("features", "kernel"), f"the equations of {self.prior} have no convolutions")
        if self.prior == "lorenz63":
            refuse_unused(self, ("ring",), "the components of lorenz63 are no sites of a ring")
        return self

    def build_prior(self, states: States) -> torch.nn.Module:
        """Return the prior for such states."""
        from pipeline_lib.models.state_networks import LorenzEquations
        from pipeline_lib.models.variational_networks import Lorenz96Stencils, OdePrior, TwoScalePrior
        from pipeline_lib.solvers.lorenz96 import SMALLEST_RING

        if self.prior == "two_scale":
            return TwoScalePrior(states.dimension, features=self.features, kernel=self.kernel, ring=self.ring)
        if self.prior == "lorenz63":
            if states.dimension != _COMPONENTS:
                raise ConfigError(_unlike("lorenz63", f"{_COMPONENTS}", states), where="prior", fix=_OTHER_PRIOR)
            return OdePrior(LorenzEquations((10.0, 28.0, 8 / 3), states.mean, states.scale), states.step)
        if states.dimension < SMALLEST_RING:
            raise ConfigError(_unlike("lorenz96", f"{SMALLEST_RING} or more", states), where="prior", fix=_OTHER_PRIOR)
        return OdePrior(Lorenz96Stencils(states.mean, states.scale), states.step)


def _unlike(system: str, components: str, states: States) -> str:
    return f"{system} has {components} components, the states have {states.dimension}"


@MODELS.register("fourdvarnet")
class FourDVarNet(WindowModel):
    """A few steps down a variational cost, each chosen by a recurrent network from the gradient."""

    card: ClassVar[ModelCard] = ModelCard(
        title="4DVarNet",
        summary="Prior, weights of the cost and solver are trained together, so that few steps from an interpolation"
        " end near the truth; gradients of the cost are taken inside the network, and the training differentiates them"
        " again.",
        task="assimilation",
        citation="Fablet, Chapron, Drumetz, Mémin, Pannekoucke, Rousseau, Learning variational data assimilation models"
        " and solvers, Journal of Advances in Modeling Earth Systems 13 (2021)",
        year=2021,
        doi="10.1029/2021MS002572",
        arxiv="2007.12941",
        parameters=PublishedCount(
            total=1117, counts="trainable values of the Lorenz 1996 equations and their solver", confidence="code"
        ),
        facts=(
            Fact(text="Published code trains for hundreds of epochs.", confidence="code"),
            Fact(text="On 4,000 windows of Lorenz 1963, first component observed, one of 23,880 values has after"
                 " twenty epochs a mean square error of 4.8 [2.9, 6.7], a direct network 6.6 [4.7, 8.7], a fixed"
                 " point 3.2 [2.1, 4.4].", confidence="verified"),
            Fact(text="Published code trains the prior at half the rate of the solver, lets its steps grow from 5 to 20"
                 " and clips gradients; one variant learns without true states. Here all learn at one rate, the number"
                 " of steps stays, and true states are needed. A step is x - network(gradient / rms) / steps, as in the"
                 " first of the published codes; the prior is not applied once more at the end.", confidence="code"),
            Fact(text="Published outputs also give the cost of what was found and how far this is from a step of the"
                 " equations (4DVar-score, ODE-score). Reports do not show them.", confidence="code"),
            Fact(text="That no layer of the priors has a bias is known of the first layers only.", confidence="code"),
        ),
        limits=("Training is slow: each step differentiates gradients of all iterations.",),
    )  # fmt: skip

    class Options(PriorOptions):
        """Options of this model."""

        hidden: int = Field(default=25, gt=0)
        """Channels of the solver's recurrent cell: 25 for Lorenz 1963, 5 for Lorenz 1996."""
        iterations: int = Field(default=10, gt=0)
        """Steps of the solver."""
        dropout: float = Field(default=0.25, ge=0, lt=1)
        """Probability that an entry of a gradient is left out in training."""

    @classmethod
    def reconstructor(cls, options: Options, states: States) -> torch.nn.Module:
        """Return the network."""
        from pipeline_lib.models.variational_networks import GradientNetwork, GradientSolver

        network = GradientNetwork(states.dimension, hidden=options.hidden, dropout=options.dropout, ring=options.ring)
        return GradientSolver(options.build_prior(states), network, iterations=options.iterations)
