"""Optical flow and extrapolation of a batch of frames against loops with scikit-image, scipy and pysteps.

    PYTHONPATH=. python benchmarks/optical_flow.py [--sizes 128 256] [--samples 8] [--leads 20]

Each sample is two frames of blobs that move and turn; wanted is the flow between them, and the last frame moved along
it for some leads. Ours: the models' flows and advections, all samples at once, float32. Theirs, one after the other:
``skimage.registration.optical_flow_ilk`` and a loop of ``scipy.ndimage.map_coordinates`` over the leads, float32; and,
where it can be imported, ``dense_lucaskanade`` and semi-Lagrangian extrapolation of pysteps. One process, one thread,
best processor time of some turns. The error is that of the last lead, as a share of that of the last frame; the ratios
are the times of scikit-image and pysteps over that of the row.
"""

from __future__ import annotations

import argparse
import json
import os
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy starts its threads

import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.ndimage import map_coordinates  # noqa: E402
from skimage.registration import optical_flow_ilk  # noqa: E402

from pipeline_lib.motion.advection import follow_trajectories, warp_repeatedly  # noqa: E402
from pipeline_lib.motion.farneback import farneback_flow  # noqa: E402
from pipeline_lib.motion.lucas_kanade import lucas_kanade_flow  # noqa: E402
from pipeline_lib.motion.variational import variational_flow  # noqa: E402

TURNS = 3
VELOCITY, TURN = (2.0, -1.0), 0.004
BLOBS_PER_CELL = 1 / 150
EDGE = 32


def frame(size, lead, seed):
    """Blobs after so many steps, grey values of 0 to 255."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    draw = np.random.default_rng(seed)
    middle, angle = (size - 1) / 2, TURN * lead
    field = np.zeros((size, size), np.float32)
    for _ in range(int(BLOBS_PER_CELL * size**2)):
        x, y = draw.uniform(-middle - 30, middle + 30, 2)
        width, top = draw.uniform(2, 6), draw.uniform(30, 100)
        column = middle + np.cos(angle) * x - np.sin(angle) * y + VELOCITY[0] * lead
        row = middle + np.sin(angle) * x + np.cos(angle) * y + VELOCITY[1] * lead
        top_row, left = max(int(row - 4 * width), 0), max(int(column - 4 * width), 0)
        near = slice(top_row, max(int(row + 4 * width) + 1, 0)), slice(left, max(int(column + 4 * width) + 1, 0))
        field[near] += top * np.exp(-((columns[near] - column) ** 2 + (rows[near] - row) ** 2) / (2 * width**2))
    return np.clip(field, 0, 255)


def with_scikit_image(first, second, leads):
    """Forecasts of one sample, the usual way."""
    v, u = optical_flow_ilk(first, second, radius=7, dtype=np.float32)
    rows, columns = np.mgrid[: second.shape[0], : second.shape[1]]
    forecasts, moved = [], second
    for _ in range(leads):
        moved = map_coordinates(moved, [rows - v, columns - u], order=1, mode="grid-constant", prefilter=False)
        forecasts.append(moved)
    return np.stack(forecasts)


def with_pysteps(first, second, leads):
    """Forecasts of one sample by pysteps."""
    from pysteps.extrapolation.semilagrangian import extrapolate
    from pysteps.motion.lucaskanade import dense_lucaskanade

    return extrapolate(second, dense_lucaskanade(np.stack((first, second))), leads, outval=0.0)


OURS = {
    "rover": (variational_flow, warp_repeatedly),
    "farneback": (farneback_flow, follow_trajectories),
    "lucas_kanade": (lucas_kanade_flow, follow_trajectories),
}
THEIRS = {"scikit-image": with_scikit_image, "pysteps": with_pysteps}


def seconds(work):
    """Best processor time of a few turns, and what the last one returned."""
    best, result = float("inf"), None
    for _ in range(TURNS):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def measure(size, samples, leads):
    """Seconds per sample and relative errors of each way."""
    first, second, truth = (np.stack([frame(size, lead, seed) for seed in range(samples)]) for lead in (-1, 0, leads))
    within = (slice(None), slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    still = np.sqrt(np.mean((second - truth)[within] ** 2))
    pair = torch.from_numpy(first), torch.from_numpy(second)
    found = {}
    for name, (flow, advect) in OURS.items():
        taken, forecast = seconds(lambda f=flow, a=advect: a(pair[1], f(*pair), leads))
        found[name] = taken / samples, forecast[:, -1].numpy()
    for name, way in THEIRS.items():
        try:
            taken, forecast = seconds(lambda w=way: [w(a, b, leads)[-1] for a, b in zip(first, second, strict=True)])
        except ImportError:
            continue
        found[name] = taken / samples, np.stack(forecast)
    return {name: (t, np.sqrt(np.mean((last - truth)[within] ** 2)) / still) for name, (t, last) in found.items()}


def main() -> None:
    """Parse arguments, print one line per size and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--leads", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for size in options.sizes:
        found = measure(size, options.samples, options.leads)
        for name, (taken, error) in found.items():
            ratios = {f"{other} / this": round(found[other][0] / taken, 1) for other in THEIRS if other in found}
            row = {"size": size, "way": name, "ms": round(1e3 * taken, 1), "error": round(float(error), 3)}
            print(json.dumps({**row, **ratios}))


if __name__ == "__main__":
    main()
