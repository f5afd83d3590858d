"""Sparse identification of nonlinear dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline_lib.models.base import FittedModel, ModelCard
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.schemes import OneStep
from pipeline_lib.models.states import StateModel, States
from pipeline_lib.options import Options as BaseOptions

if TYPE_CHECKING:
    import torch

    from pipeline_lib.learning.forecaster import Forecaster


@MODELS.register("sparse_regression")
class SparseRegression(StateModel, FittedModel):
    """Few polynomial terms whose sum is the time derivative."""

    card: ClassVar[ModelCard] = ModelCard(
        title="Sparse regression (SINDy)",
        summary="Finite differences of the states are regressed on polynomials, terms with small coefficients are"
        " dropped and the rest fitted again; the best threshold on the validation states is kept.",
        task="dynamics",
        citation="Brunton, Proctor, Kutz, Discovering governing equations from data by sparse identification of"
        " nonlinear dynamical systems, PNAS 113 (2016), 3932-3937; software: de Silva et al., PySINDy, JOSS 5 (2020)",
        year=2016,
        doi="10.1073/pnas.1517384113",
        limits=(
            "The error of the differences stays in the coefficients, whatever the scheme of the forecast.",
            "Noise is divided by the time step.",
        ),
    )

    class Options(BaseOptions):
        """Options of this model."""

        degree: int = Field(2, gt=0)
        """Highest degree of the polynomials."""
        differences: Literal["central", "forward"] = "central"
        """How time derivatives are estimated."""
        thresholds: list[Annotated[float, Field(ge=0)]] = Field(default=[0.005, 0.02, 0.1, 0.5], min_length=1)
        """Coefficients, in the unit of the states, below which a term is dropped; validation chooses among them."""
        scheme: OneStep = "rk4"
        """How a step of a forecast is taken."""

    @classmethod
    def forecaster(cls, options: Options, states: States) -> Forecaster:
        """Return the network, all its coefficients zero."""
        from pipeline_lib.models.sparse_regression.network import SparseStep

        return SparseStep(options, states)

    @classmethod
    def fit(cls, network: Any, train: torch.Tensor, validation: torch.Tensor, *, horizon: int) -> None:  # noqa: ANN401 - what build returns
        """Regress with each threshold and keep the coefficients that forecast best."""
        network.regress(train, validation, horizon)
