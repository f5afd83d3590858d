"""What a step of the shallow-water model costs in torch, beside the same step in plain numpy, on one thread.

    PYTHONPATH=. python benchmarks/shallow_water.py --size 80 --steps 500

Times are of the processor, so that other work on the machine counts little; both start at rest and must end alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from pipeline_lib.solvers.schemes import integrate
from pipeline_lib.solvers.shallow_water import ASSELIN, BASINS, DENSITY, FRICTION, Basin, Leapfrog, ShallowWater

HERE, AFTER, BEFORE = slice(1, -1), slice(2, None), slice(None, -2)


def in_numpy(basin: Basin, steps: int) -> np.ndarray:
    """Return u, v and h after steps from rest: whole arrays with a ghost ring, as one would write them in numpy."""
    n, dx, H = basin.size, basin.spacing, basin.depth
    f, tau = basin.coriolis + basin.beta * basin.northing().numpy(), basin.wind()[0].numpy()
    now, filtered = np.zeros((3, n + 2, n + 2)), np.zeros((3, n, n))
    head, vorticity = np.zeros((n + 2, n + 2)), np.zeros((n + 2, n + 2))
    for _ in range(steps):
        (u, v, h), (uc, vc, hc) = now, now[:, HERE, HERE]
        east, north = u[HERE, BEFORE] + uc, vc + v[AFTER, HERE]
        head[HERE, HERE] = (east**2 + north**2) / 4 + basin.gravity * hc
        vorticity[HERE, HERE] = (v[HERE, AFTER] - vc - uc + u[BEFORE, HERE]) / dx + f
        corner = vorticity[HERE, HERE]
        four = north + v[HERE, AFTER] + v[AFTER, AFTER]
        du = (vorticity[AFTER, HERE] + corner) * four / 8 - (head[HERE, AFTER] - head[HERE, HERE]) / dx
        four = east + u[BEFORE, HERE] + u[BEFORE, BEFORE]
        dv = -(corner + vorticity[HERE, BEFORE]) * four / 8 - (head[HERE, HERE] - head[BEFORE, HERE]) / dx
        inflow = u[HERE, BEFORE] * (H + (hc + h[HERE, BEFORE]) / 2) - uc * (H + (hc + h[HERE, AFTER]) / 2)
        inflow += vc * (H + (hc + h[BEFORE, HERE]) / 2) - v[AFTER, HERE] * (H + (hc + h[AFTER, HERE]) / 2)
        for field, centre, change in ((u, uc, du), (v, vc, dv)):
            around = field[HERE, AFTER] + field[HERE, BEFORE] + field[AFTER, HERE] + field[BEFORE, HERE]
            change += basin.viscosity * (around - 4 * centre) / dx**2 - FRICTION * centre
        du += tau / (DENSITY * (H + (hc + h[HERE, AFTER]) / 2))
        du[:, -1] = dv[0] = 0
        after = np.zeros_like(now)
        for k, change in enumerate((du, dv, inflow / dx)):
            after[k, HERE, HERE] = filtered[k] + 2 * basin.step * change
            filtered[k] = now[k, HERE, HERE] + ASSELIN * (filtered[k] - 2 * now[k, HERE, HERE] + after[k, HERE, HERE])
        now = after
    return now[:, HERE, HERE]


def in_torch(basin: Basin, steps: int, batch: int = 1) -> np.ndarray:
    """Return the same, of each member of a batch."""
    rest = torch.zeros(batch, 2, 3, basin.size, basin.size, dtype=torch.float64)
    with torch.inference_mode():
        states = integrate(ShallowWater(basin), rest, dt=basin.step, steps=steps, scheme=Leapfrog(), every=steps)
    return states[-1, :, 0].numpy()


def seconds(work: Callable[[], np.ndarray], repeats: int = 5) -> float:
    """Return the least processor time of several runs."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, choices=sorted(BASINS), default=80)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    basin, steps = BASINS[options.size], options.steps
    np.testing.assert_allclose(in_torch(basin, steps)[0], in_numpy(basin, steps), rtol=0, atol=1e-9)
    numpy = seconds(lambda: in_numpy(basin, steps))
    print(f"{'numpy':20} {1e3 * numpy / steps:7.3f} ms a step")
    for batch in (1, options.batch):
        torch_ = seconds(lambda batch=batch: in_torch(basin, steps, batch)) / batch
        print(f"{f'torch, batch of {batch}':20} {1e3 * torch_ / steps:7.3f} ms a step, {torch_ / numpy:.2f} of numpy")


if __name__ == "__main__":
    main()
