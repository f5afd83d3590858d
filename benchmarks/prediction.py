"""Whole-map prediction of a global 1/4 degree map (720 x 1440 cells) in one call: time and peak memory.

    python benchmarks/prediction.py --model eddynet

Weights are fresh: their values do not change the work. The map is smooth noise with continents cut out of it. For
comparison, the same network is applied to the whole map at once, without tiles.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from pipeline_lib.learning.precision import resolve_precision
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.segmentation.predict import network_function
from pipeline_lib.tasks.segmentation.tiles import Tiling, predict_map

ROWS, COLUMNS = 720, 1440


def global_map() -> np.ndarray:
    """Return a smooth field (1, 720, 1440), zero on blobs that stand for land."""
    rng = np.random.default_rng(0)
    field = gaussian_filter(rng.normal(size=(ROWS, COLUMNS)), 4, mode="wrap")
    land = gaussian_filter(rng.normal(size=(ROWS, COLUMNS)), 40, mode="wrap")
    field = np.where(land > np.quantile(land, 0.7), 0.0, field / field.std())
    return field[None].astype("float32")


def run(model: str, way: str, threads: int) -> None:
    """Predict once and print seconds and peak memory."""
    torch.set_num_threads(threads)
    entry = MODELS.get(model)
    network = entry.build(entry.Options(), in_channels=1, classes=3).eval()
    field = global_map()
    tiling = Tiling() if way == "tiles" else Tiling(tile=2 * COLUMNS)
    cpu = torch.device("cpu")
    start = time.perf_counter()
    predict = network_function(network, cpu, resolve_precision("auto", cpu))
    out = predict_map(field, predict, tiling, multiple=entry.size_multiple, periodic=True)
    seconds = time.perf_counter() - start
    if out.shape != (3, ROWS, COLUMNS) or not np.isfinite(out).all():
        raise SystemExit("the prediction is not whole")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"way": way, "seconds": round(seconds, 2), "peak_mb": round(peak)}))


def main() -> None:
    """Parse arguments; run one way, or both in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="eddynet")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--way", choices=("tiles", "whole"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        run(args.model, args.way, args.threads)
        return
    for way in ("tiles", "whole"):
        more = ["--model", args.model, "--threads", str(args.threads), "--way", way]
        subprocess.run([sys.executable, __file__, *more], check=True)


if __name__ == "__main__":
    main()
