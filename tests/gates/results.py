"""Scores of experiments at full size, which are run if they are not there yet."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from pipeline_lib.score.tables import read_leaderboard
from tests.workflow.project import ROOT, environment

FOLDER = Path(os.environ.get("GYRE_PROJECT", ROOT))
"""Where data and results are."""


@cache
def scores(experiment: str, metric: str) -> dict[str, float]:
    """Values of a metric by competitor, after running what is not there yet."""
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(FOLDER), "--cores", "all"]
    subprocess.run([*command, "--config", f'experiments=["{experiment}"]', "--", "all"], env=environment(), check=True)
    table = read_leaderboard(FOLDER / "results" / experiment / "leaderboard.csv")
    return table[table["metric"] == metric].set_index("model")["value"].to_dict()
