"""What is counted of a closure's answers to true states, beside the exact ones: a-priori scores."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.errors import ScoreError
from pipeline_lib.score.gate import InvalidRunError
from pipeline_lib.tasks.dynamics.names import SUBGRID

Values = NDArray[np.float64]


def count_terms(answers: xr.DataArray | None, exact: xr.DataArray, *, where: str) -> dict[str, Values]:
    """Return sums over the components of each state's term.

    Parameters
    ----------
    answers
        Of the closure (time, ...), in the unit of the exact ones; ``None`` of a model that knows no closure.
    exact
        At the same times.
    where
        Name of the competitor, for messages.

    Returns
    -------
    dict of arrays (time,)
        ``term_values``, their number; ``term`` and ``term_truth``, the sums of both; ``term_square``,
        ``term_truth_square`` and ``term_product`` of their squares and of their product; ``term_error`` of the square
        of their difference. Zeros without answers, so that scores are undefined.

    Raises
    ------
    ScoreError
        If both have other axes.
    InvalidRunError
        If an answer is not finite.
    """
    names = ("values", "", "truth", "square", "truth_square", "product", "error")
    keys = ["_".join(part for part in ("term", name) if part) for name in names]
    count = exact.sizes["time"]
    if answers is None:
        return {key: np.zeros(count) for key in keys}
    if answers.dims != exact.dims or answers.shape != exact.shape:
        found, wanted = dict(answers.sizes), dict(exact.sizes)
        raise ScoreError(f"{SUBGRID} is {found}, in the dataset {wanted}", where=where, fix="predict again")
    x, y = (np.asarray(a.values, dtype=np.float64).reshape(count, -1) for a in (answers, exact))
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if bad.size:
        first = f"{answers.time.values[bad[0]]:.19}"
        raise InvalidRunError(
            f"{bad.size} of {count} answers of the closure are not finite, the first to the state of {first}",
            where=where,
            fix="train a stable model",
        )
    with np.errstate(over="ignore"):  # whoever adds them up refuses what is not finite
        sums = (np.ones_like(x), x, y, x * x, y * y, x * y, (x - y) ** 2)
    return {key: values.sum(axis=1) for key, values in zip(keys, sums, strict=True)}
