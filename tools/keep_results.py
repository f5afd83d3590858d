"""Keep the leaderboards, rankings and learned numbers of full-size runs in ``docs/results``, and a page of them.

Run from the repository's root::

    python tools/keep_results.py results closure-burgers lorenz63-forecast
    python tools/keep_results.py results     # rewrites the page only

The page is made from the tables that are there and from nothing else. A ranking that does not tell how far each is
behind the first is not kept, which the page says.
"""

from __future__ import annotations

import argparse
import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline_lib.config.loader import LoadedExperiment, load_experiment
from pipeline_lib.errors import StoreError
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.metrics import METRICS
from pipeline_lib.published.tables import load_published
from pipeline_lib.report.gather import title_of
from pipeline_lib.report.numbers import UNDEFINED, as_printed, over_seeds, show
from pipeline_lib.report.tables import CONFIDENCE
from pipeline_lib.score.tables import read_leaderboard, read_ranking

LOG = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]
KEPT, EXPERIMENTS = ROOT / "docs/results", ROOT / "config/experiments"
RANKINGS, LEARNED = "rankings", "learned"
"""Folders beside the leaderboards."""
SHOWN = 3
"""Metrics on the page; the tables hold all."""
MOST_LEARNED = 4
"""Numbers in a row of the page; longer lists stand in their file alone."""
HEAD = """# What full-size runs showed

Written by `tools/keep_results.py` from the leaderboards beside this page, which runs on two CPU cores made. Each
table has the first metrics of its experiment, a file has all. In brackets are intervals of 95 % over dates and seeds.
Behind the first: how much worse by the first metric, with the interval of the difference, for which both see the same
dates in each resample; it can tell apart two whose own intervals overlap. Ranks are by the first metric. The best
leads the first group, and whoever cannot be told apart from it shares its rank (1=); the best of the others leads the
next group. So two neighbours of different ranks may tie with each other, and rows are in the order of ranks, not of
values alone. [`rankings`](rankings) has ranks and differences for all metrics.

With fewer than four free runs in a test, intervals of scores of free runs hold the spread between seeds alone, and
there are none with one seed. Published numbers stand beside ours of the same metric where a row of a publication is
about the same model. The head of their column says whether they may be compared with ours (same data, same protocol),
the line below the table where they were printed and how sure we are of them. A competitor is invalid when values are
missing or not finite where there must be some, as after a forecast that ran away; it has no number then. Numbers that
a model learned stand below where they are few; [`learned`](learned) has more, and those of each seed.
"""


def page() -> str:
    """Return the page of the tables that are kept."""
    files = sorted(KEPT.glob("*.csv"))
    return "\n".join([HEAD, *(_section(load_experiment(EXPERIMENTS / f"{f.stem}.yaml"), f) for f in files)])


def _section(experiment: LoadedExperiment, file: Path) -> str:
    table = read_leaderboard(file)
    metrics = list(dict.fromkeys(table["metric"]))[:SHOWN]
    lines = [f"## {experiment.spec.title}\n", f"[`{file.stem}`]({file.name}): {experiment.spec.description.strip()}\n"]
    lines += _table(experiment, {metric: table[table["metric"] == metric].set_index("model") for metric in metrics})
    if not _ranking(file.stem).exists():
        lines.append("\nHow far each is behind the first was not stored when this leaderboard was made.")
    return "\n".join([*lines, *_learned(experiment), ""])


def _table(experiment: LoadedExperiment, by_metric: dict[str, pd.DataFrame]) -> list[str]:
    """Return the first metrics of all competitors, published numbers beside, and how far each is behind the first."""
    main, first = next(iter(by_metric.items()))
    models = [str(model) for model in first.index]
    columns: list[tuple[str, list[str]]] = []
    if ranks := _ranks(experiment.name, main):
        columns.append(("rank", [ranks.get(model, UNDEFINED) for model in models]))
    columns.append(("model", [title_of(experiment.spec, model) for model in models]))
    columns.append(("seeds", [str(count) for count in first["seed_count"]]))
    for metric, found in by_metric.items():
        title = (METRICS.get(metric).__doc__ or metric).splitlines()[0].rstrip(".")
        rows, printed = [found.loc[model] for model in models], found[found["published"].notna()]
        columns.append((title, [_cell(row, METRICS.get(metric).unit) for row in rows]))
        if len(printed):
            columns.append((_published_head(printed), [_published_cell(row, printed) for row in rows]))
        if metric == main and (behind := _behind(experiment.name, main)):
            columns.append(("behind the first by", [behind.get(model, UNDEFINED) for model in models]))
    heads, cells = zip(*columns, strict=True)
    lines = [_row(heads), "|" + "---|" * len(heads), *map(_row, zip(*cells, strict=True))]
    beside = [metric for metric, found in by_metric.items() if found["published"].notna().any()]
    return [*lines, *_sources(experiment, beside)] if beside else lines


def _published_head(printed: pd.DataFrame) -> str:
    return "published (not comparable)" if set(printed["comparable"]) == {"no"} else "published"


def _published_cell(row: pd.Series, printed: pd.DataFrame) -> str:
    """Return a published number with its own digits; where only some may not be compared, these are marked."""
    if math.isnan(row["published"]):
        return UNDEFINED
    marked = row["comparable"] == "no" and set(printed["comparable"]) != {"no"}
    return as_printed(row["published"]) + " (not comparable)" * marked


def _sources(experiment: LoadedExperiment, metrics: Sequence[str]) -> list[str]:
    """Return a line that says where the published numbers of metrics were printed, and how sure they are."""
    tables = [load_published(name) for name in experiment.spec.published]
    beside = [t for t in tables if any({*metrics} & {name, *column.beside} for name, column in t.metrics.items())]
    return ["", f"Published: {'; '.join(f'{t.citation} ({CONFIDENCE[t.confidence]})' for t in beside)}."]


def _ranks(name: str, metric: str) -> dict[str, str]:
    """Return the rank of each competitor, with an equals sign where several share it."""
    if not _ranking(name).exists():
        return {}
    ranking = read_ranking(_ranking(name))
    ranks = ranking[ranking["metric"] == metric].set_index("model")["rank"].astype(int)
    return {str(model): f"{rank}{'=' if (ranks == rank).sum() > 1 else ''}" for model, rank in ranks.items()}


def _behind(name: str, metric: str) -> dict[str, str]:
    """Return how far each competitor is behind the first, which itself is left out."""
    if not _ranking(name).exists():
        return {}
    ranking, unit = read_ranking(_ranking(name)), METRICS.get(metric).unit
    rows = ranking[ranking["metric"] == metric].iloc[1:]
    columns = ["model", "behind", "behind_low", "behind_high"]
    return {model: _shown(*numbers, unit) for model, *numbers in rows[columns].itertuples(index=False)}


def _learned(experiment: LoadedExperiment) -> list[str]:
    """Return the numbers that models learned, those of a list one after the other; no long lists."""
    file = KEPT / LEARNED / f"{experiment.name}.csv"
    if not file.exists():
        return []
    lines = []
    for (model, name), found in pd.read_csv(file).groupby(["model", "name"], sort=False):
        values = [over_seeds(of_place["value"].tolist()) for _, of_place in found.groupby("place")]
        if len(values) <= MOST_LEARNED:
            lines.append(_row([title_of(experiment.spec, model), name, "; ".join(values)]))
    heading = ["", _row(["model", "learned", "mean over seeds (lowest to highest)"]), "|---|---|---|"]
    return [*heading, *lines] if lines else []


def _ranking(name: str) -> Path:
    return KEPT / RANKINGS / f"{name}.csv"


def _cell(row: pd.Series, unit: str) -> str:
    if row["status"] != "ok":
        return str(row["status"])
    return _shown(row["value"], row["ci_low"], row["ci_high"], unit)


def _shown(value: float, low: float, high: float, unit: str) -> str:
    interval = "" if math.isnan(low) else f" [{show(low, unit)}, {show(high, unit)}]"
    return f"{show(value, unit)}{interval}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def keep(results: Path, name: str) -> None:
    """Copy the tables of an experiment; not the ranking, and saying so, if it lacks the differences to the first.

    Raises
    ------
    StoreError
        If a model was trained with other options than the experiment has.
    """
    _require_same_trainings(results / name, load_experiment(EXPERIMENTS / f"{name}.yaml"))
    for folder in (RANKINGS, LEARNED):
        KEPT.joinpath(folder).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(results / name / "leaderboard.csv", KEPT / f"{name}.csv")
    _keep_learned(results, name)
    _ranking(name).unlink(missing_ok=True)
    try:
        read_ranking(results / name / "ranking.csv")
    except StoreError as error:
        LOG.warning("no differences to the first are kept: %s", error)
        return
    shutil.copyfile(results / name / "ranking.csv", _ranking(name))


def _require_same_trainings(folder: Path, experiment: LoadedExperiment) -> None:
    """Refuse results of other options; those that a manifest does not name, being newer, had their defaults."""
    for path in sorted(folder.glob("*/seed*/model.json")):
        competitor = path.parents[1].name
        stored = read_manifest(path, kind="model", verify="none").options
        wanted = {"training": experiment.training(competitor), "model_options": experiment.model_options(competitor)}
        for name, options in wanted.items():
            if type(options).model_validate(stored[name]) != options:
                what = f"was made with other options ({name}) than those of {experiment.name}.yaml"
                raise StoreError(what, where=str(path), fix="run the experiment again")


def _keep_learned(results: Path, name: str) -> None:
    """Write what the manifests of models tell of learned numbers, a row for each; no file if they tell nothing."""
    rows = []
    for path in sorted(results.joinpath(name).glob("*/seed*/model.json")):
        learned = read_manifest(path, kind="model", verify="none").content.get("learned", {})
        run = {"model": path.parents[1].name, "seed": int(path.parent.name.removeprefix("seed"))}
        for key, value in learned.items():
            values = value if isinstance(value, list) else [value]
            rows += [{**run, "name": key, "place": place, "value": v} for place, v in enumerate(values)]
    file = KEPT / LEARNED / f"{name}.csv"
    file.unlink(missing_ok=True)
    if rows:
        pd.DataFrame(rows).to_csv(file, index=False, float_format="%.6g", lineterminator="\n")


def main() -> None:
    """Copy what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="folder with a folder for each experiment")
    parser.add_argument("experiments", nargs="*", help="names of experiments whose leaderboards are kept")
    args = parser.parse_args()
    for name in args.experiments:
        keep(args.results, name)
    (KEPT / "README.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
