"""Ensemble filters against DAPPER's, and a training step of 4DVarNet against the naive double backward pass.

    make .venv-dapper/.installed
    PYTHONPATH=. python benchmarks/assimilation.py [--members 40] [--cycles 60] [--runs 32] [--device cuda]

Filters: Lorenz 1996, 40 sites, all observed every 0.05 with variance 1. DAPPER's own functions for step, analysis and
inflation in a loop, without its statistics; ours as one run, and as many runs in one batch. Cycles per second of
processor time, runs times cycles; the analyses must agree to 1e-9 where nothing is random.

4DVarNet: Lorenz 1963, two-scale prior, cell with 25 channels, 16 windows of 200 times. Naive is what one writes first:
``cost.backward(create_graph=True)`` and ``state.grad``. Gradients of all parameters must agree.

One process, one thread; turns alternate, the best of each counts. With ``--device cuda`` our filters and both ways of
4DVarNet run on a GPU and all times are of the clock; DAPPER stays on the CPU. Where it is not installed it is left out,
and our analyses must be those of the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy starts its threads
os.environ["MPLBACKEND"] = "agg"

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.clock import best  # noqa: E402
from pipeline_lib.assimilation.cycle import assimilate  # noqa: E402
from pipeline_lib.assimilation.ensemble import ETKF, EnKF  # noqa: E402
from pipeline_lib.assimilation.observations import Observations  # noqa: E402
from pipeline_lib.models.variational_networks import GradientNetwork, GradientSolver, TwoScalePrior  # noqa: E402
from pipeline_lib.solvers.lorenz96 import Lorenz96  # noqa: E402
from pipeline_lib.solvers.schemes import integrate  # noqa: E402

SITES, STEP, INFLATION = 40, 0.05, 1.05
TURNS = 5
CPU = torch.device("cpu")
PACKAGES = Path(__file__).parents[1] / ".venv-dapper" / "lib"


def dapper_cycles(kind, members, values, inflation):
    """Means after the analyses of DAPPER's filter."""
    from dapper.da_methods.ensemble import EnKF_analysis, post_process
    from dapper.mods.Lorenz96 import step
    from dapper.tools.randvars import GaussRV

    noise = GaussRV(C=1, M=SITES)
    means = []
    for cycle, seen in enumerate(values):
        members = step(members, 0.0, STEP) if cycle else members
        members = post_process(EnKF_analysis(members, members, noise, seen, kind), inflation, False)
        means.append(members.mean(0))
    return np.array(means)


def forecast(states, steps=1):
    """States so many steps later."""
    return integrate(Lorenz96(), states, dt=STEP, steps=steps, every=steps)[-1]


def our_cycles(analysis, members, values, inflation):
    """Means after the analyses of our filter."""
    return assimilate(analysis, forecast, members, Observations(values, 1.0), inflation=inflation).mean


def twin(count, cycles, runs):
    """Members (run, member, site) at the start, and observations (run, cycle, site)."""
    generator = torch.Generator().manual_seed(0)
    truth = 8 + torch.randn(runs, 1, SITES, dtype=torch.float64, generator=generator)
    members = truth + torch.randn(runs, count, SITES, dtype=torch.float64, generator=generator)
    states = [forecast(truth[:, 0], 400)]
    for _ in range(cycles - 1):
        states.append(forecast(states[-1]))
    truth = torch.stack(states, 1)
    members = members - members.mean(1, keepdim=True) + truth[:, :1]
    values = truth + torch.randn(truth.shape, dtype=torch.float64, generator=generator)
    return members, values


def check_agreement(members, values, device, *, by_dapper):
    """End the program where our analyses are not DAPPER's or, without it, those on the CPU."""
    few = 20
    found = our_cycles(ETKF(), members[0].to(device), values[0, :few].to(device), 1.0).cpu().numpy()
    if by_dapper:
        expected = dapper_cycles("Sqrt", members[0].numpy(), values[0, :few].numpy(), 1.0)
    else:
        expected = our_cycles(ETKF(), members[0], values[0, :few], 1.0).numpy()
    difference = float(np.abs(found - expected).max())
    if difference > 1e-9:
        raise SystemExit(f"the filters differ by {difference:.1e}")


def filters(count, cycles, runs, device):
    """Compare both filters, alone and in a batch."""
    by_dapper = find_spec("dapper") is not None
    members, values = twin(count, cycles, runs)
    check_agreement(members, values, device, by_dapper=by_dapper)
    there, seen = members.to(device), values.to(device)
    for name, kind, analysis in (("EnKF", "PertObs", EnKF()), ("ETKF", "Sqrt", ETKF())):
        works = {
            "DAPPER": lambda k=kind: dapper_cycles(k, members[0].numpy(), values[0].numpy(), INFLATION),
            "one run": lambda a=analysis: our_cycles(a, there[0], seen[0], INFLATION),
            f"{runs} runs": lambda a=analysis: our_cycles(a, there, seen, INFLATION),
        }
        if not by_dapper:
            del works["DAPPER"]
        least = best(device, *works.values(), turns=TURNS)
        speed = {work: cycles / seconds for work, seconds in zip(works, least, strict=True)}
        speed[f"{runs} runs"] *= runs
        row = {"filter": name, "members": count, "device": device.type}
        if by_dapper:
            row["ratios"] = [round(speed[work] / speed["DAPPER"], 2) for work in ("one run", f"{runs} runs")]
        print(json.dumps({**row, **{k: round(v) for k, v in speed.items()}}))


def naive(solver, start, values, mask):
    """The solver as one writes it first: every step back-propagates into all parameters as well."""
    state, memory, rms = start, None, None
    for _ in range(solver.iterations):
        state = state.requires_grad_() if state.is_leaf else state
        state.retain_grad()
        misfit = ((state - values)[mask] ** 2).sum() * solver.observed_weight**2
        surprise = ((state - solver.prior(state)) ** 2).sum() * solver.prior_weight**2
        ((misfit + surprise) / start[0].numel()).backward(create_graph=True)
        gradient, state.grad = state.grad, None
        rms = gradient.detach().square().mean((-1, -2), keepdim=True).sqrt() if rms is None else rms
        step, memory = solver.network(gradient / rms, memory)
        state = state - step / solver.iterations
    return state


def training(iterations, windows, device):
    """Compare one training step, forward and backward."""
    torch.manual_seed(0)
    prior = TwoScalePrior(3, features=30)
    solver = GradientSolver(prior, GradientNetwork(3, hidden=25, dropout=0.0), iterations=iterations).to(device)
    truth = torch.randn(windows, 3, 200)
    mask = (torch.rand(truth.shape) < 1 / 8).to(device)
    truth = truth.to(device)

    def step(method):
        found = method(torch.zeros_like(truth), truth, mask)
        solver.zero_grad()
        (found - truth).square().mean().backward()
        return [p.grad.clone() for p in solver.parameters() if p is not solver.channel_weights]

    import warnings

    warnings.filterwarnings("ignore", message="Using backward.. with create_graph=True")
    first = lambda *given: naive(solver, *given)  # noqa: E731
    for ours, theirs in zip(step(solver), step(first), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)
    slow, fast = best(device, lambda: step(first), lambda: step(solver), turns=TURNS)
    row = {"4DVarNet": f"{iterations} steps, {windows} windows", "device": device.type}
    print(json.dumps({**row, "naive s": round(slow, 3), "ours s": round(fast, 3), "ratio": round(slow / fast, 2)}))


def main() -> None:
    """Parse arguments, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[40, 100])
    parser.add_argument("--cycles", type=int, default=60)
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of ours")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    sys.path.extend(map(str, PACKAGES.glob("python*/site-packages")))  # after our own, which win
    for members in options.members:
        filters(members, options.cycles, options.runs, device)
    training(options.iterations, options.windows, device)


if __name__ == "__main__":
    main()
