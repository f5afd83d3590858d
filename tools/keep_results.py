"""Keep the leaderboards of full-size runs in ``docs/results``, with a page that shows them.

Run from the repository's root::

    python tools/keep_results.py results closure-burgers lorenz63-forecast
    python tools/keep_results.py results     # rewrites the page only

The page is made from the tables that are there and from nothing else.
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline_lib.config.loader import LoadedExperiment, load_experiment
from pipeline_lib.metrics import METRICS
from pipeline_lib.report.gather import title_of
from pipeline_lib.report.numbers import show
from pipeline_lib.score.tables import read_leaderboard

ROOT = Path(__file__).parents[1]
KEPT, EXPERIMENTS = ROOT / "docs/results", ROOT / "config/experiments"
SHOWN = 3
"""Metrics on the page; the tables hold all."""
HEAD = """# What full-size runs showed

Written by `tools/keep_results.py` from the leaderboards beside this page, which runs on two CPU cores made. Each table
has the first metrics of its experiment, a file has all. In brackets are intervals of 95 % over dates and seeds.
Published numbers stand where a row of a publication is about the same model; whether they may be compared is in the
experiment's report.
"""


def page() -> str:
    """Return the page of the tables that are kept."""
    files = sorted(KEPT.glob("*.csv"))
    return "\n".join([HEAD, *(_section(load_experiment(EXPERIMENTS / f"{f.stem}.yaml"), f) for f in files)])


def _section(experiment: LoadedExperiment, file: Path) -> str:
    table = read_leaderboard(file)
    metrics = list(dict.fromkeys(table["metric"]))[:SHOWN]
    published = bool(table["published"].notna().any())
    names = ["model", "seeds", *((METRICS.get(m).__doc__ or m).splitlines()[0].rstrip(".") for m in metrics)]
    lines = [f"## {experiment.spec.title}\n", f"[`{file.stem}`]({file.name}): {experiment.spec.description.strip()}\n"]
    lines += _row([*names, *["published"] * published]), "|" + "---|" * (len(names) + published)
    by_metric = {metric: table[table["metric"] == metric].set_index("model") for metric in metrics}
    first = by_metric[metrics[0]]
    for model in first.index:
        cells = [_cell(by_metric[metric].loc[model], METRICS.get(metric).unit) for metric in metrics]
        beside = [show(first.loc[model, "published"], METRICS.get(metrics[0]).unit)] * published
        seeds = str(first.loc[model, "seed_count"])
        lines.append(_row([title_of(experiment.spec, str(model)), seeds, *cells, *beside]))
    return "\n".join([*lines, ""])


def _cell(row: pd.Series, unit: str) -> str:
    if row["status"] != "ok":
        return str(row["status"])
    value = show(row["value"], unit)
    if math.isnan(row["ci_low"]):
        return value
    return f"{value} [{show(row['ci_low'], unit)}, {show(row['ci_high'], unit)}]"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Copy what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="folder with a folder for each experiment")
    parser.add_argument("experiments", nargs="*", help="names of experiments whose leaderboards are kept")
    args = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in args.experiments:
        shutil.copyfile(args.results / name / "leaderboard.csv", KEPT / f"{name}.csv")
    (KEPT / "README.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
