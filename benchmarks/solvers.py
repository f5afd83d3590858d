"""A thousand trajectories at once in torch against one after the other in scipy, at equal error.

    PYTHONPATH=. python benchmarks/solvers.py [--trajectories 1000] [--rtol 1e-6] [--time 1] [--device cuda]

Lorenz 1963 from states on the attractor, for a time, one process and one thread. The scipy loop calls ``solve_ivp`` for
each trajectory, with a plain Python function, the usual way; its error against a reference of order 8 at 1e-12 decides
how many steps of RK4 the batch takes: the number whose error is nearest. Errors are root mean squares of the last state
over a hundred of the trajectories. Prints one line per method of scipy; times are processor time, robust on a shared
machine. With ``--device cuda`` the batch is integrated on a GPU, and its time is of the clock; scipy stays where it is.
"""

from __future__ import annotations

import argparse
import json
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy starts its threads

import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402

from benchmarks.clock import best  # noqa: E402
from pipeline_lib.solvers.lorenz63 import Lorenz63  # noqa: E402
from pipeline_lib.solvers.schemes import integrate  # noqa: E402

SAMPLE = 100
TURNS = 3
MOST_STEPS = 4096
CPU = torch.device("cpu")


def plain(_time, state):
    """Lorenz 1963 as one writes it for scipy."""
    x, y, z = state
    return 10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z


def one_by_one(starts, duration, method, tolerance):
    """Last states of the trajectories, by a loop over them."""
    ends = [
        solve_ivp(plain, (0.0, duration), start, method=method, rtol=tolerance, atol=tolerance).y[:, -1]
        for start in starts
    ]
    return np.stack(ends)


def at_once(starts, duration, steps, device=CPU):
    """Last states of the trajectories, as one batch; the way to the device and back is part of it."""
    batch = torch.from_numpy(starts).to(device)
    return integrate(Lorenz63(), batch, dt=duration / steps, steps=steps, every=steps)[-1].cpu().numpy()


def error(ends, reference):
    """Root mean square over trajectories and components."""
    return float(np.sqrt(np.mean((ends[: len(reference)] - reference) ** 2)))


def steps_of_error(starts, duration, reference, wanted):
    """Number of steps of RK4 whose error is nearest to the wanted one; the error falls with the number."""
    low, high = 10, MOST_STEPS
    while high - low > 1:
        middle = (low + high) // 2
        if error(at_once(starts[: len(reference)], duration, middle), reference) > wanted:
            low = middle
        else:
            high = middle
    return high


def main() -> None:
    """Parse arguments, match errors, time both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=1000)
    parser.add_argument("--rtol", type=float, default=1e-6)
    parser.add_argument("--time", type=float, default=1.0)
    parser.add_argument("--methods", nargs="+", default=["RK45", "DOP853", "LSODA"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of the batch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)

    first = np.random.default_rng(0).normal((0.0, 0.0, 25.0), 5.0, (options.trajectories, 3))
    starts = at_once(first, 20.0, 2000)  # onto the attractor
    reference = one_by_one(starts[:SAMPLE], options.time, "DOP853", 1e-12)
    for method in options.methods:
        wanted = error(one_by_one(starts[:SAMPLE], options.time, method, options.rtol), reference)
        steps = steps_of_error(starts, options.time, reference, wanted)
        reached = error(at_once(starts, options.time, steps, device), reference)
        if not 0.8 < reached / wanted < 1.25:
            raise SystemExit(f"{method}: errors {wanted:.2e} and {reached:.2e} differ by more than 20 %")
        (loop,) = best(CPU, lambda m=method: one_by_one(starts, options.time, m, options.rtol), turns=1)
        (batch,) = best(device, lambda n=steps: at_once(starts, options.time, n, device), turns=TURNS)
        row = {"method": method, "device": device.type, "error": wanted, "steps of RK4": steps, "its error": reached}
        print(json.dumps({**row, "loop s": round(loop, 3), "batch s": round(batch, 4), "ratio": round(loop / batch)}))


if __name__ == "__main__":
    main()
