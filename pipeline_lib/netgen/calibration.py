"""Unknown numbers of a system from data, where the tendency is linear in them: least squares, without iterations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline_lib.errors import TrainingError

_LINEAR = 1e-6
"""How far the tendency may be from linear in the unknowns, relative to its size."""


def least_squares(
    module: nn.Module, before: Tensor, after: Tensor, dt: float, *, time: float = 0.0
) -> dict[str, float]:
    """Return the values of a module's unknown numbers that explain (after - before) / dt best.

    Every field counts by its own scale: variances may be a millionth of velocities. The error of the step is that of
    Euler; where it matters, train the same module through `pipeline_lib.solvers.schemes` from here.

    Parameters
    ----------
    module
        A generated tendency whose parameters are single numbers and enter linearly. It is not changed.
    before, after
        Pairs of states, ``(pairs, fields, n)`` or ``(pairs, fields, n, m)``, in the precision of the module.
    dt
        Time between the two.
    time
        Time of ``before``.

    Returns
    -------
    dict
        Values by name of the parameter.

    Raises
    ------
    TrainingError
        If a parameter is more than a number, the tendency is not linear in them, or not finite, or the data cannot
        tell them apart.
    """
    names = [name for name, _ in module.named_parameters()]
    if not names or any(parameter.dim() for parameter in module.parameters()):
        raise TrainingError("least squares needs parameters that are single numbers", fix="train by gradients")
    axes = [0, *range(2, before.dim())]
    scale = ((after - before) / dt).square().mean(axes, keepdim=True).sqrt().clamp(min=torch.finfo(before.dtype).tiny)

    def tendency(values: Tensor) -> Tensor:
        with torch.no_grad():
            result: Tensor = torch.func.functional_call(module, dict(zip(names, values, strict=True)), (before, time))
        return (result / scale).flatten()

    unit = torch.eye(len(names), dtype=before.dtype, device=before.device)
    rest = tendency(torch.zeros_like(unit[0]))
    effects = torch.stack([tendency(row) - rest for row in unit], -1)
    _check_linear(rest + 2 * effects.sum(-1), tendency(2 * unit.sum(0)))
    wanted = ((after - before) / dt / scale).flatten() - rest
    # Columns of one length: which unknown is large must not decide which can be told from the others.
    size = effects.square().mean(0).sqrt()
    for name, of in zip(names, size.tolist(), strict=True):
        if not of:
            raise TrainingError(f"the data say nothing about {name}", fix="take other data, or leave it out")
    if int(torch.linalg.matrix_rank(effects / size)) < len(names):
        raise TrainingError(f"the data cannot tell {', '.join(names)} apart", fix="take other data, or fewer unknowns")
    driver = "gelsd" if effects.device.type == "cpu" else None  # the same bits wherever arrays lie in memory
    solution = torch.linalg.lstsq(effects / size, wanted.unsqueeze(-1), driver=driver).solution.squeeze(-1) / size
    return dict(zip(names, solution.tolist(), strict=True))


def _check_linear(predicted: Tensor, found: Tensor) -> None:
    if not bool(found.isfinite().all()):
        raise TrainingError("the tendency of the data is not finite", fix="leave out states where fields vanish")
    if float((predicted - found).abs().max()) > _LINEAR * float(found.abs().max()):
        raise TrainingError("the tendency is not linear in its unknowns", fix="train by gradients")
