"""Any system of partial differential equations, given as text, with unknown numbers and functions that are learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.base import Fact, ModelCard, PublishedCount
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.schemes import OneStep
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.netgen.description import SystemFile, find_system, read_description
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    from pipeline_lib.learning.forecaster import Forecaster


def _read(value: object) -> object:
    """Put the content of a file in place of its name: what is stored must not change with a file elsewhere."""
    if not isinstance(value, str):
        return value
    try:
        return read_description(find_system(value))
    except ConfigError as error:
        raise ValueError(error.line) from error


@MODELS.register("generated_pde")
class GeneratedPde(StateModel):
    """Steps of a Runge-Kutta scheme whose tendency is a network generated from equations."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Generated PDE",
        summary="A module made from equations in text takes Runge-Kutta steps: central differences with fixed kernels,"
        " unknown numbers as parameters, unknown functions as local networks. Trained through the scheme.",
        task="dynamics",
        citation="Pannekoucke, Fablet, PDE-NetGen 1.0: from symbolic partial differential equation (PDE)"
        " representations of physical processes to trainable neural network representations, Geosci. Model Dev. 13,"
        " 3373-3382",
        year=2020,
        doi="10.5194/gmd-13-3373-2020",
        parameters=PublishedCount(
            total=3, counts="unknown numbers of burgers_uncertainty; kernels and constants are not", confidence="code"
        ),
        facts=(
            Fact(
                text="Published for burgers_uncertainty, trained on 400 trajectories: a = 0.9331, b = 0.7519,"
                " c = -1.8039; for locally Gaussian errors a = 1, b = 3/4, c = -2",
                confidence="code",
            ),
            Fact(
                text="Published training: mean squared error of one RK4 step on the last fifth of the trajectories, raw"
                " units, Adam, batches of 32, 30 epochs each at rates of .1, .01 and .001",
                confidence="code",
            ),
        ),
        limits=(
            "A forecaster knows a state and no time: equations that hold the time or a given field are refused.",
            "Fields that a system divides by must stay away from 0; a step that crosses it ends in no numbers.",
            "Central differences have no upwinding: fronts thinner than the grid oscillate.",
        ),
    )

    class Options(BaseOptions):
        """Options of this model."""

        system: Annotated[SystemFile, BeforeValidator(_read, json_schema_input_type=str | SystemFile)] = Field(
            default="burgers_uncertainty", validate_default=True
        )
        """The equations: the name of an example of ``python -m pipeline_lib netgen``, a file of such a system, or what
        stands in one. The content is what is stored with the model."""
        points: Literal["system", "states"] = "system"
        """``system`` refuses states on other points than those of the system's ``grid``; ``states`` takes the points
        of the states, whatever ``grid`` says."""
        values: dict[str, float] = Field(default_factory=dict)
        """Other values of constants; of unknown numbers, where their training starts."""
        draw: float = Field(0.0, ge=0)
        """Standard deviation of what the seed adds to the starts of unknown numbers that are not in ``values``; 0 where
        they are not learned."""
        learn: bool = True
        """Whether unknown numbers are learned, or stay where they start."""
        lengths: dict[str, float] = Field(default_factory=dict)
        """Other lengths of the domain, by coordinate."""
        scales: dict[str, float] = Field(default_factory=dict)
        """Value of each field of the equations that stands for 1 in the states; 1 where nothing is said."""
        order: int = 2
        """Order of accuracy of the differences, even."""
        scheme: OneStep = "rk4"
        """How a step is taken."""
        substeps: int = Field(1, gt=0)
        """Steps of the scheme between two states."""
        hidden: int = Field(16, gt=0)
        """Channels of the networks that stand for unknown functions, of tanh."""
        layers: int = Field(2, gt=0)
        """Their hidden layers."""
        width: int = 1
        """Points that the first of them sees along each axis, an odd number; the others see one."""

        @field_validator("width")
        @classmethod
        def _odd(cls, width: int) -> int:
            if width < 1 or width % 2 == 0:
                raise ValueError(f"{width} is not an odd number of points")
            return width

        @field_validator("scales")
        @classmethod
        def _positive(cls, scales: dict[str, float]) -> dict[str, float]:
            for name, value in scales.items():
                if value <= 0:
                    raise ValueError(f"the scale {value:g} of {name} is not positive")
            return scales

        @model_validator(mode="after")
        def _drawn_to_learn(self) -> GeneratedPde.Options:
            # What is not learned is not stored with the weights, and would be drawn anew at each prediction.
            if self.draw and not self.learn:
                raise ValueError(f"draw {self.draw:g} with learn: false: leave draw out, or give numbers in values")
            return self

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network."""
        from pipeline_lib.models.generated_pde.network import generated_step

        return generated_step(options, states)
