"""Second-order fit of a network that advances states: nonlinear least squares over all windows at once."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, least_squares
from torch import Tensor, nn
from torch.func import functional_call, jvp, vmap
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from pipeline_lib.errors import TrainingError
from pipeline_lib.train.problem import Batch

logger = logging.getLogger(__name__)

_COST_TOLERANCE = 1e-8
"""Relative change of the cost below which the fit ends."""
_TOLERANCE = 1e-15
"""Relative change of the parameters, and gradient, below which it ends: as far as float64 goes."""
_AT_THE_LIMIT = 0
"""Status of a fit that all evaluations did not suffice for."""
_COLUMNS = 16
"""Columns of the Jacobian that are computed at once."""

Values = NDArray[np.float64]


def fit_least_squares(
    network: nn.Module, train: Batch, validation: Batch, *, iterations: int, scale: float
) -> pd.DataFrame:
    """Fit the parameters of a network by a trust-region Levenberg-Marquardt method and leave the best in it.

    The Jacobian is exact, by forward differentiation. The step is that of Branch, Coleman and Li (1999, SIAM J. Sci.
    Comput. 21, 1-23) without bounds, by a singular value decomposition, so that parameters of which only a
    combination matters do no harm.

    Parameters
    ----------
    network
        In float64; changed in place.
    train, validation
        All windows of each, in float64.
    iterations
        Evaluations of the forecasts at most; a fit that needs more is warned of.
    scale
        Losses in the history are mean squared errors times this.

    Returns
    -------
    pandas.DataFrame
        One row per iteration: epoch, train_loss, val_loss, val_rmse. Epoch 0 is the start, which may be the end, too:
        where the gradient vanishes, or a single evaluation is allowed. The parameters kept are those of the least
        ``val_loss``.

    Raises
    ------
    TrainingError
        If a forecast is not finite, or cannot be differentiated forwards.
    """
    shapes = {name: value.shape for name, value in network.named_parameters()}
    misfit, kept = _Misfit(network, shapes, train), _Best(_Misfit(network, shapes, validation), scale)

    def note(intermediate_result: OptimizeResult) -> None:
        found = torch.from_numpy(intermediate_result.x.copy())
        kept.note(found, train_loss=scale * 2 * float(intermediate_result.cost) / train.target.numel())

    start = parameters_to_vector(network.parameters()).detach()
    try:
        with torch.no_grad():
            kept.note(start.clone(), train_loss=scale * float(misfit(start).square().mean()))
            result = least_squares(
                _numpy(misfit),
                start.numpy(),
                jac=_numpy(misfit.jacobian),
                x_scale="jac",
                method="trf",
                ftol=_COST_TOLERANCE,
                xtol=_TOLERANCE,
                gtol=_TOLERANCE,
                max_nfev=iterations,
                callback=note,
            )
    except ValueError as error:  # of the library, on residuals that are not finite
        raise TrainingError(f"no fit: {error}", where="levenberg_marquardt", fix="set optimizer: adam") from error
    if result.status == _AT_THE_LIMIT:
        logger.warning("the fit had not converged after %d evaluations: raise training.max_epochs", iterations)
    if kept.vector is None:
        what = "no fit: no values give finite forecasts of the validation days"
        raise TrainingError(what, where="levenberg_marquardt", fix="set optimizer: adam, or a shorter horizon")
    vector_to_parameters(kept.vector, network.parameters())
    return pd.DataFrame(kept.rows)


@dataclass(frozen=True)
class _Misfit:
    """Forecasts less the truth, all in one row, as a function of the parameters in one row."""

    network: nn.Module
    shapes: dict[str, torch.Size]
    windows: Batch

    def __call__(self, vector: Tensor) -> Tensor:
        values = torch.split(vector, [size.numel() for size in self.shapes.values()])
        parameters = {n: value.view(size) for (n, size), value in zip(self.shapes.items(), values, strict=True)}
        found: Tensor = functional_call(self.network, parameters, (self.windows.inputs,))
        return (found - self.windows.target).flatten()

    def jacobian(self, vector: Tensor) -> Tensor:
        """Return the derivatives (misfit, parameter), some columns at once."""
        columns = vmap(lambda direction: jvp(self, (vector,), (direction,))[1], chunk_size=_COLUMNS)
        try:
            found: Tensor = columns(torch.eye(len(vector), dtype=vector.dtype))
        except RuntimeError as error:  # of which NotImplementedError is one kind
            raise TrainingError(
                f"no derivatives by forward differentiation: {str(error).splitlines()[0]}",
                where="levenberg_marquardt",
                fix="set optimizer: adam",
            ) from error
        return found.T


class _Best:
    """The parameters with the least validation loss so far, if one was finite, and the history."""

    def __init__(self, misfit: Callable[[Tensor], Tensor], scale: float) -> None:
        self._misfit, self._scale = misfit, scale
        self.vector: Tensor | None = None
        self._least = math.inf
        self.rows: list[dict[str, float]] = []

    def note(self, vector: Tensor, *, train_loss: float) -> None:
        """Take the parameters of an iteration in."""
        with torch.no_grad():
            error = float(self._misfit(vector).square().mean())
        loss, rmse = self._scale * error, error**0.5
        if loss < self._least:  # which no NaN is
            self.vector, self._least = vector, loss
        epoch = len(self.rows)
        self.rows.append({"epoch": epoch, "train_loss": train_loss, "val_loss": loss, "val_rmse": rmse})
        logger.info("iteration %d: train loss %.4g, validation rmse %.4g", epoch, train_loss, rmse)


def _numpy(function: Callable[[Tensor], Tensor]) -> Callable[[Values], Values]:
    return lambda vector: function(torch.from_numpy(vector)).numpy()
