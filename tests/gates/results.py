"""Scores of experiments at full size, which are run if they are not there yet."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

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
    folder = run(experiment)
    manifests = {
        (model, int(path.parent.name.removeprefix("seed"))): read_manifest(path, kind="score")
        for model in (better, worse)
        for path in folder.glob(f"{model}/seed*/score.json")
    }
    counts = {key: read_counts(manifest.file(COUNTS_FILE)) for key, manifest in manifests.items()}
    intervals = load_experiment(ROOT / f"config/experiments/{experiment}.yaml").scoring.intervals
    first, second = leaderboard(counts, metrics=[metric], options=intervals).ranking.to_dict("records")
    by, low, high = (second[column] for column in ("behind", "behind_low", "behind_high"))
    return Behind(by, low, high) if first["model"] == better else Behind(-by, -high, -low)
