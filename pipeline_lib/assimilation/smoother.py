"""The backward pass of a smoother, over the ensembles that a filter leaves behind."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_lib.assimilation.cycle import Estimate, Record
from pipeline_lib.assimilation.linear_algebra import finite_part

_SPECTRUM = 0.9999
"""Share of the variance of the forecasts that the regression uses: the leading principal components that hold it; as
codes of analog data assimilation have it."""


def rauch_tung_striebel(filtered: Estimate) -> Estimate:
    """Run the ensemble smoother of Rauch, Tung and Striebel, EnRTS (Raanes 2016, Q. J. R. Meteorol. Soc. 142).

    Backwards in time, the members after the analysis move by J times what the smoother changed in their own forecasts
    one time later, where J is the regression of the one on the other in the ensemble. For a linear model without error
    this is the ensemble Kalman smoother; it is not localised.

    Parameters
    ----------
    filtered
        Result of a filter that kept its ensembles.

    Returns
    -------
    Estimate
        At the same times; the last is the filter's.

    Raises
    ------
    ValueError
        If the ensembles were not kept.
    """
    if filtered.analyses is None or filtered.forecasts is None:
        raise ValueError("the filter did not keep its ensembles: run it with keep=True")
    analyses, forecasts = filtered.analyses.unbind(-3), filtered.forecasts.unbind(-3)
    smoothed = [analyses[-1]]
    for analysis, forecast in zip(analyses[-2::-1], forecasts[:0:-1], strict=True):
        smoothed.append(analysis + _regressed(analysis, forecast, smoothed[-1] - forecast))
    record = Record(keep=True)
    for members in reversed(smoothed):
        record.add(members)
    return record.estimate()


def _regressed(analysis: Tensor, forecast: Tensor, change: Tensor) -> Tensor:
    """Return what a change of the forecasts ``(..., N, n)`` says of the states they started from."""
    start = analysis - analysis.mean(-2, keepdim=True)
    end, finite = finite_part(forecast - forecast.mean(-2, keepdim=True))
    members, values, components = torch.linalg.svd(end, full_matrices=False)
    energy = values**2
    total = energy.sum(-1, keepdim=True)
    floor = values[..., :1] * max(end.shape[-2:]) * torch.finfo(end.dtype).eps
    # A component counts while those before it hold less than the share.
    kept = (energy.cumsum(-1) - energy < _SPECTRUM * total) & (values > floor)
    inverse = torch.where(kept, 1 / torch.where(kept, values, 1.0), 0.0)
    moved = ((change @ components.mT) * inverse.unsqueeze(-2)) @ (members.mT @ start)
    return torch.where(finite, moved, torch.nan)
