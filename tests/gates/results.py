"""Scores of experiments at full size, which are run if they are not there yet."""

from __future__ import annotations

import math
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.io.counts_table import read_counts
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.score.leaderboard import leaderboard
from pipeline_lib.score.stage import COUNTS_FILE
from pipeline_lib.score.tables import read_leaderboard
from tests.workflow.project import ROOT, environment

FOLDER = Path(os.environ.get("GYRE_PROJECT", ROOT))
"""Where data and results are."""


@cache
def run(experiment: str) -> Path:
    """Return the folder of an experiment's results, after running what is not there yet; or as it is, if told so."""
    folder = FOLDER / "results" / experiment
    if os.environ.get("GYRE_AS_IS"):
        return folder
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(FOLDER), "--cores", "all"]
    subprocess.run([*command, "--config", f'experiments=["{experiment}"]', "--", "all"], env=environment(), check=True)
    return folder


@cache
def scores(experiment: str, metric: str) -> dict[str, float]:
    """Values of a metric by competitor."""
    table = read_leaderboard(run(experiment) / "leaderboard.csv")
    return table[table["metric"] == metric].set_index("model")["value"].to_dict()


def counts(experiment: str, model: str) -> dict[int, xr.Dataset]:
    """Counts of each date that the scores of a competitor are made of, by seed."""
    manifests = {
        int(path.parent.name.removeprefix("seed")): read_manifest(path, kind="score")
        for path in run(experiment).glob(f"{model}/seed*/score.json")
    }
    return {seed: read_counts(manifest.file(COUNTS_FILE)) for seed, manifest in manifests.items()}


def products(experiment: str, model: str) -> dict[int, list[xr.Dataset]]:
    """Forecasts of a competitor, period by period, by seed."""
    found: dict[int, list[xr.Dataset]] = {}
    for path in sorted(run(experiment).glob(f"{model}/seed*/products/*.json")):
        manifest = read_manifest(path, kind="product")
        period = xr.open_zarr(manifest.file(f"{manifest.content['period']}.zarr"))
        found.setdefault(int(path.parents[1].name.removeprefix("seed")), []).append(period)
    return found


def mean_spread(periods: list[xr.Dataset]) -> np.ndarray:
    """Return the standard deviation of forecasts by a bivariate Gaussian, (lead, 2), as a mean over all starts."""
    both = [period["distribution"].isel(parameter=slice(2, 4)).values for period in periods]
    return np.asarray(np.concatenate(both).mean(axis=0, dtype=np.float64))


def loss_of_one_spread(found: xr.Dataset) -> float:
    """Return the log loss of the same forecasts of vectors with one spread at all times, leads and components.

    It is the best one, known only when all errors are: -log of a Gaussian's density is log 2 pi s^2 + e^2 / 2 s^2 for
    an error of length e, least in the mean at s^2 = <e^2> / 2.
    """
    squared = float(found["squared_error"].sum() / found["values"].sum())
    return math.log(math.pi * squared) + 1


def loss_of_one_value(found: xr.Dataset) -> float:
    """Return the MSE of frames that have the same value everywhere, the best one: the mean of all true frames."""
    values, squares, cells = (float(found[name].sum()) for name in ("truth_values", "truth_squares", "cells"))
    return squares / cells - (values / cells) ** 2


class Behind(NamedTuple):
    """How much worse one competitor is than another, and the interval of that: above 0 where it is surely worse."""

    by: float
    low: float
    high: float


@cache
def behind(experiment: str, metric: str, *, better: str, worse: str) -> Behind:
    """How much worse one competitor is than another, negative if it is the better one.

    From the counts of the two, resampled as for the leaderboard: it gives the same numbers whoever else competes.
    """
    both = {(model, seed): found for model in (better, worse) for seed, found in counts(experiment, model).items()}
    intervals = load_experiment(ROOT / f"config/experiments/{experiment}.yaml").scoring.intervals
    first, second = leaderboard(both, metrics=[metric], options=intervals).ranking.to_dict("records")
    by, low, high = (second[column] for column in ("behind", "behind_low", "behind_high"))
    return Behind(by, low, high) if first["model"] == better else Behind(-by, -high, -low)
