"""The stages ``score`` (one run: counts per date) and ``leaderboard`` (all runs of an experiment)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import ScoreError
from pipeline_lib.io.atomic import write_text
from pipeline_lib.io.counts_table import read_counts, write_counts
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.published.tables import load_published, numbers_beside
from pipeline_lib.score.defined import check_same_run
from pipeline_lib.score.gate import InvalidRunError, Sample, check_same_sample
from pipeline_lib.score.leaderboard import Leaderboard, leaderboard
from pipeline_lib.score.tables import leaderboard_csv, ranking_csv
from pipeline_lib.tasks.registry import TASKS, stage_module

LOG = logging.getLogger(__name__)

COUNTS_FILE = "counts.parquet"
LEADERBOARD_FILE = "leaderboard.csv"
RANKING_FILE = "ranking.csv"
_PACKAGES = ("scipy", "pyarrow", "pyyaml")


def score_run(
    *,
    task: str,
    model: str,
    seed: int,
    products: Sequence[Path],
    labels: Sequence[Path],
    datasets: Sequence[Path],
    test: tuple[date, date],
    options: Any,  # noqa: ANN401 - the task's own options class
    output: Path,
    code: str,
    summarise: bool = False,
    defined: Mapping[str, Any] | None = None,
) -> None:
    """Score one run: write its counts per date.

    A run that lacks values inside the mask is written as invalid, with the reason; it will have no number.

    Parameters
    ----------
    task
        Registered task; its ``score`` module does the counting.
    model, seed
        Name of the competitor and seed of the run.
    products, labels, datasets
        Manifests of all periods that hold test dates; no labels for tasks whose truth is the dataset.
    test
        First and last test date, both included.
    options
        The task's scoring options.
    output
        The manifest to write; the counts come to lie beside it.
    code
        Fingerprint of the code.
    summarise
        Put the metrics of these days, with intervals where there are days enough, into the manifest as well.
    defined
        What the experiment says of the run, as a model's manifest says it; without it the products are believed.

    Raises
    ------
    ScoreError
        If product, labels and dataset do not have the same dates, cells and units, or a product is of another run.
    StoreError
        If an input does not match its manifest.
    """
    paths = {"product": products, "labels": labels, "dataset": datasets}
    inputs = {kind: [read_manifest(path, kind=kind, verify="deep") for path in found] for kind, found in paths.items()}
    where = f"{model} (seed {seed})"
    if defined is not None:
        check_same_run(inputs["product"], defined, where)
    stores = _open_test(inputs, test, where, every=TASKS.get(task).every_time)
    with Artefact(output, kind="score", code=code, packages=_PACKAGES) as out:
        for role, manifests in inputs.items():
            for number, manifest in enumerate(manifests):
                out.add_input(f"{role}-{number}", manifest)
        out.options = options.model_dump(mode="json")
        counts, found = _count(task, stores, options, where)
        out.content = {"task": task, "model": model, "seed": seed, **found}
        if counts is not None:
            write_counts(counts, out.payload(f"{output.stem}.parquet" if summarise else COUNTS_FILE))
            if summarise:
                out.content |= {"summary": _summary(counts, model, seed, options)}


def _count(
    task: str,
    stores: Mapping[str, xr.Dataset],
    options: Any,  # noqa: ANN401 - the task's own options class
    where: str,
) -> tuple[xr.Dataset | None, dict[str, Any]]:
    """Return counts per date, none for a run that lacks values, and what the manifest says of it."""
    try:
        counts, sample = stage_module(task, "score").score_stores(
            stores["product"], stores.get("labels"), stores["dataset"], options, where=where
        )
    except InvalidRunError as problem:
        LOG.warning("%s", problem)
        return None, {"status": "invalid", "reason": problem.line}
    LOG.info("%s: %d dates, %d cells", where, len(sample.times), sum(sample.cells))
    return counts, {"status": "ok", "sample": sample.to_plain()}


def _summary(counts: xr.Dataset, model: str, seed: int, options: Any) -> dict[str, dict[str, float | None]]:  # noqa: ANN401 - the task's own options class
    """Value and interval of each metric, nothing where it is undefined or the days are too few."""
    table = leaderboard({(model, seed): counts}, metrics=options.metrics, options=options.intervals).table
    columns = ("value", "ci_low", "ci_high")
    return {
        row["metric"]: {name: float(row[name]) if np.isfinite(row[name]) else None for name in columns}
        for row in table.to_dict("records")
    }


def _open_test(
    inputs: Mapping[str, Sequence[Manifest]], test: tuple[date, date], where: str, *, every: bool
) -> dict[str, xr.Dataset]:
    """Open the test days by role: of one dataset, and all of the same days; products too if they hold every time."""
    _check_same_dataset(inputs)
    stores = {
        role: open_days(manifests, *test, every_day=every or role != "product")
        for role, manifests in inputs.items()
        if manifests
    }
    _check_same_dates(stores if every else {r: s for r, s in stores.items() if r != "product"}, where)
    return stores


def _check_same_dataset(inputs: Mapping[str, Sequence[Manifest]]) -> None:
    """Refuse products and labels that were made from other data than the dataset they are compared on."""
    known = {manifest.identity for manifest in inputs["dataset"]}
    for role in ("product", "labels"):
        for manifest in inputs[role]:
            if manifest.inputs["dataset"].identity not in known:
                raise ScoreError(
                    f"the {role} was made from another dataset", where=str(manifest.path), fix="make it again"
                )


def _check_same_dates(stores: Mapping[str, xr.Dataset], where: str) -> None:
    """Refuse a role that lacks a test date which another has: it would silently shrink the sample."""
    times = {role: ds.time.values for role, ds in stores.items()}
    every = np.unique(np.concatenate(list(times.values())))
    for role, have in times.items():
        missing = np.setdiff1d(every, have)
        if missing.size:
            raise ScoreError(
                f"the {role} lacks {missing[0]:.10} ({missing.size} of {every.size} test dates)",
                where=where,
                fix="run the stage that makes it for the whole test range",
            )
        if have.size != np.unique(have).size:
            raise ScoreError(f"the {role} holds a date twice", where=where)


def build_leaderboard(
    *,
    task: str,
    models: Sequence[str],
    scores: Sequence[Path],
    published: Sequence[str],
    options: Any,  # noqa: ANN401 - the task's own options class
    output: Path,
    code: str,
    source: str = "",
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> Leaderboard:
    """Compare all runs of an experiment and write leaderboard and ranking.

    Parameters
    ----------
    task
        Registered task.
    models
        Names of the competitors; each must have a score.
    scores
        Score manifests of all runs.
    published
        Names of published tables to show beside our numbers.
    options
        The task's scoring options; ``metrics`` and ``intervals`` are used here.
    output
        The manifest to write; ``leaderboard.csv`` and ``ranking.csv`` come to lie beside it.
    code
        Fingerprint of the code.
    source
        Name of the data source: published tables say with which sources they may be compared.
    settings
        By competitor: its registered ``model`` and the settings that tell published rows apart (such as ``loss``).
        A competitor without settings has no published number. One that several tables have a row of stands beside that
        of the last: the numbers beside a competitor are of one publication.

    Raises
    ------
    ScoreError
        If a model has no score or the runs were scored on different samples.
    """
    stage_module(task, "score")  # registers the task's metrics
    manifests = [read_manifest(path, kind="score") for path in scores]
    runs, samples, invalid = _read_runs(manifests, models)
    tables = {name: load_published(name) for name in published}
    beside = numbers_beside(tables, settings or {}, source)
    board = leaderboard(runs, metrics=options.metrics, options=options.intervals, published=beside, invalid=invalid)
    with Artefact(output, kind="leaderboard", code=code, packages=_PACKAGES) as out:
        for manifest in manifests:
            out.add_input(f"{manifest.content['model']}-seed{manifest.content['seed']}", manifest)
        out.options = options.model_dump(mode="json")
        compared = {n: t.comparability_with(source).model_dump() for n, t in tables.items()}
        extent = _extent(next(iter(samples.values())), board)
        out.content = {"task": task, "source": source, "invalid": invalid, "comparability": compared, **extent}
        rows = {name: table.rows_beside(settings or {}) for name, table in tables.items()}
        out.content |= {"published": {n: {c: row.title for c, row in found.items()} for n, found in rows.items()}}
        write_text(out.payload(LEADERBOARD_FILE), leaderboard_csv(board.table))
        write_text(out.payload(RANKING_FILE), ranking_csv(board.ranking))
    return board


def _extent(sample: Sample, board: Leaderboard) -> dict[str, Any]:
    """What all runs were scored on, in numbers."""
    dates = [sample.times[0], sample.times[-1]]
    cells = sum(sample.cells)
    return {"dates": dates, "date_count": len(sample.times), "cell_count": cells, "blocks": board.blocks}


def _read_runs(
    manifests: Sequence[Manifest], models: Sequence[str]
) -> tuple[dict[tuple[str, int], xr.Dataset], dict[str, Sample], dict[str, str]]:
    """Return counts and samples of the valid runs, and the reason of each invalid model; no model may be missing."""
    runs: dict[tuple[str, int], xr.Dataset] = {}
    samples: dict[str, Sample] = {}
    invalid: dict[str, str] = {}
    for manifest in manifests:
        content = manifest.content
        key = (str(content["model"]), int(content["seed"]))
        if key in runs:
            raise ScoreError(f"seed {key[1]} is given twice", where=key[0])
        if content["status"] == "invalid":
            invalid[key[0]] = str(content["reason"])
            continue
        runs[key] = read_counts(manifest.file(COUNTS_FILE))
        samples[f"{key[0]} (seed {key[1]})"] = Sample.from_plain(content["sample"])
    if not samples:
        reason = next(iter(invalid.values()), "none is given")
        raise ScoreError(f"no run has a valid score: {reason}", where="leaderboard")
    absent = [name for name in models if name not in invalid and name not in {m for m, _ in runs}]
    if absent:
        raise ScoreError("has no score", where=absent[0], fix="score all its runs first")
    check_same_sample(samples)
    return runs, samples, invalid
