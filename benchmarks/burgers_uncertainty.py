"""Case B of PDE-NetGen: the unknowns of the error statistics of Burgers forecasts, from ensembles.

    PYTHONPATH=. python benchmarks/burgers_uncertainty.py --trajectories 40

One core. Each trajectory is a background drawn around (1 + cos 2 pi (x - 1/4)) / 4 with its ensemble of 400, over 500
steps; mean, variance and nu of the last 101 states make the pairs for ordinary least squares. Published (Pannekoucke &
Fablet 2020, trained on 400 trajectories): a = 0.9331, b = 0.7519, c = -1.8039; for locally Gaussian errors 1, 3/4, -2.
"""

from __future__ import annotations

import argparse
import math
import time

import torch

from pipeline_lib.netgen.calibration import least_squares
from pipeline_lib.netgen.description import find_system
from pipeline_lib.netgen.ensemble import moments, perturbations
from pipeline_lib.netgen.source import build
from pipeline_lib.netgen.system_file import read_system
from pipeline_lib.solvers.schemes import integrate

POINTS, DT, STEPS, KEPT = 241, 0.002, 500, 100
TOLD_EVERY = 10
ERRORS = {"deviation": 0.005, "correlation_length": 0.02}


def main() -> None:
    """Parse arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=40)
    parser.add_argument("--members", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(args.seed)
    x = torch.arange(POINTS, dtype=torch.float64) / POINTS
    around = 0.25 * (1 + torch.cos(2 * math.pi * (x - 0.25)))
    model = build(read_system(find_system("burgers"))[0], (POINTS,))
    unknown = build(read_system(find_system("burgers_uncertainty"))[0], (POINTS,))
    before, after = [], []
    start = time.process_time()
    with torch.no_grad():
        for number in range(1, args.trajectories + 1):
            background = around + perturbations(generator, (), POINTS, **ERRORS)
            ensemble = background + perturbations(generator, (args.members,), POINTS, **ERRORS)
            late = integrate(model, ensemble.unsqueeze(-2), dt=DT, steps=STEPS - KEPT, every=STEPS - KEPT)[-1]
            series = moments(integrate(model, late, dt=DT, steps=KEPT).squeeze(-2))
            before.append(series[:-1])
            after.append(series[1:])
            if number % TOLD_EVERY == 0 or number == args.trajectories:
                found = least_squares(unknown, torch.cat(before), torch.cat(after), DT)
                values = ", ".join(f"{name} = {value:.4f}" for name, value in found.items())
                spent = time.process_time() - start
                print(f"{number} trajectories, {number * KEPT} pairs, {spent:.0f} s: {values}", flush=True)


if __name__ == "__main__":
    main()
