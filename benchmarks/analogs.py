"""Analog forecasting of a batch against a loop that searches the whole catalogue for each state.

    PYTHONPATH=. python benchmarks/analogs.py

Lorenz 1963, local-linear regression on 50 analogs, one thread; both make the same forecasts.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline_lib.models.registry import MODELS
from pipeline_lib.solvers.lorenz63 import Lorenz63
from pipeline_lib.solvers.schemes import RK4, integrate

STEP, NEIGHBOURS, QUERIES = 0.01, 50, 1000
CATALOGUES = (10_000, 100_000)


def by_loop(
    states: NDArray[np.float64], successors: NDArray[np.float64], query: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the forecast of one state, as one would write it down."""
    squares = ((states - query) ** 2).sum(axis=1)
    nearest = np.argsort(squares)[:NEIGHBOURS]
    typical = np.sort(squares[nearest])[(NEIGHBOURS - 1) // 2]
    roots = np.exp(-squares[nearest] / typical / 2)[:, None]
    features = np.hstack([np.ones((NEIGHBOURS, 1)), states[nearest] - query])
    found, *_ = np.linalg.lstsq(roots * features, roots * successors[nearest], rcond=None)
    return np.asarray(found[0])


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    start = torch.tensor([8.0, 0.0, 30.0], dtype=torch.float64)
    states = integrate(Lorenz63(), start, dt=STEP, steps=max(CATALOGUES) + 500 + QUERIES, scheme=RK4)[500:]
    model = MODELS.get("analog")
    queries = states[-QUERIES:]
    for size in CATALOGUES:
        options = model.Options(catalogue=size, neighbours=[NEIGHBOURS])
        network = model.build(options, shape=(3,), step=STEP, mean=0.0, scale=1.0).double()
        network.remember(states[: size + 1])
        network.advance(queries[:2], None)  # the tree is grown at the first call
        begin = time.perf_counter()
        found, _ = network.advance(queries, None)
        batched = time.perf_counter() - begin
        near, after = states[:size].numpy(), states[1 : size + 1].numpy()
        begin = time.perf_counter()
        looped = np.stack([by_loop(near, after, query) for query in queries.numpy()])
        loop = time.perf_counter() - begin
        difference = np.abs(found.numpy() - looped).max()
        print(f"catalogue of {size:,}: ratio {loop / batched:.0f}; largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
