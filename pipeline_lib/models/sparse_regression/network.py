"""A sum of few monomials as a network, its coefficients found by PySINDy."""

from __future__ import annotations

import logging
import math
import warnings
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pipeline_lib.errors import DataError
from pipeline_lib.learning.forecaster import forecast_error
from pipeline_lib.models.state_networks import OdeStep

if TYPE_CHECKING:
    from pipeline_lib.models.sparse_regression import SparseRegression
    from pipeline_lib.models.states import States

logger = logging.getLogger(__name__)


class Monomials(nn.Module):
    """Time derivatives of normalised states as sums of monomials of the states in their own unit."""

    coefficients: Tensor
    powers: Tensor

    def __init__(self, degree: int, states: States) -> None:
        super().__init__()
        dimension = states.dimension
        terms = [t for d in range(degree + 1) for t in combinations_with_replacement(range(dimension), d)]
        powers = [[term.count(component) for component in range(dimension)] for term in terms]
        self.register_buffer("powers", torch.tensor(powers), persistent=False)
        self.register_buffer("coefficients", torch.zeros(dimension, len(terms), dtype=torch.float64))
        self._mean, self._scale = states.mean, states.scale

    def forward(self, state: Tensor) -> Tensor:
        """Return time derivatives."""
        physical = state * self._scale + self._mean
        found: Tensor = (physical.unsqueeze(-2) ** self.powers).prod(dim=-1) @ self.coefficients.T
        return found / self._scale


class SparseStep(OdeStep):
    """One step of a scheme with a sparse polynomial.

    Parameters
    ----------
    options
        Options of the model.
    states
        What is advanced.
    """

    tendency: Monomials

    def __init__(self, options: SparseRegression.Options, states: States) -> None:
        super().__init__(Monomials(options.degree, states), options.scheme, states.step)
        self._options, self._mean, self._scale = options, states.mean, states.scale

    @torch.no_grad()
    def regress(self, train: Tensor, validation: Tensor, horizon: int) -> None:
        """Find the coefficients from consecutive normalised states (time, dimension)."""
        found: dict[float, Tensor] = {}
        for threshold in self._options.thresholds:
            coefficients = self._coefficients(train * self._scale + self._mean, threshold)
            self.tendency.coefficients.copy_(coefficients)
            error = forecast_error(self, validation, horizon)
            kept = int((coefficients != 0).sum())
            logger.info("threshold %g: %d terms, validation rmse %.4g", threshold, kept, error)
            if math.isfinite(error):  # a forecast may blow up
                found.setdefault(error, coefficients)
        if not found:
            raise DataError("no threshold gives finite forecasts", where="sparse_regression.thresholds")
        self.tendency.coefficients.copy_(found[min(found)])

    def _coefficients(self, states: Tensor, threshold: float) -> Tensor:
        """Coefficients (dimension, terms) of one sequentially thresholded regression, in the order of ``powers``."""
        import pysindy

        library = pysindy.PolynomialLibrary(degree=self._options.degree)
        order = 2 if self._options.differences == "central" else 1
        model = pysindy.SINDy(
            optimizer=pysindy.STLSQ(threshold=threshold, alpha=0.0),
            feature_library=library,
            differentiation_method=pysindy.FiniteDifference(order=order, drop_endpoints=True),
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pysindy")  # a component of which all terms were dropped
            model.fit(states.numpy(), t=self._step)
        columns = {tuple(row): i for i, row in enumerate(library.powers_.tolist())}
        rows = [columns[tuple(row)] for row in self.tendency.powers.tolist()]
        return torch.from_numpy(model.coefficients()[:, rows].copy())
