"""Reading what the other stages left behind, and bringing it into the form that figures and page want."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from pipeline_lib.config.experiment import Experiment
from pipeline_lib.errors import ConfigError, StoreError
from pipeline_lib.io.counts_table import read_counts
from pipeline_lib.io.manifest import Manifest, read_manifest
from pipeline_lib.metrics import METRICS, Metric
from pipeline_lib.models.registry import MODELS
from pipeline_lib.report.board import read_board
from pipeline_lib.report.context import Competitor, MetricInfo, ReportContext, Run, coloured, prettify
from pipeline_lib.report.gaps import told_gaps

logger = logging.getLogger(__name__)

HISTORY = "history.csv"
COUNTS = "counts.parquet"
_RUN_FOLDER = re.compile(r"^seed(\d+)$")


def gather(
    spec: Experiment,
    *,
    leaderboard: Manifest,
    models: Sequence[Manifest],
    products: Sequence[Manifest],
    labels: Sequence[Manifest],
    datasets: Sequence[Manifest],
    notes: tuple[str, ...] = (),
) -> ReportContext:
    """Return what figures and page are made from.

    Raises
    ------
    StoreError
        If an artefact lies where no run of an experiment lies, or the leaderboard is not readable.
    """
    board = read_board(leaderboard)
    counts = _counts(leaderboard)
    runs = _runs(models, products, counts)
    colours = coloured(spec.names)
    order = [*(m for m in board.models if m in spec.names), *spec.names]
    competitors = tuple(
        Competitor(
            name=name,
            title=title_of(spec, name),
            colour=colours[name][0],
            dash=colours[name][1],
            runs=runs.get(name, ()),
            card=card_of(spec.entry(name).model),
            reason=board.invalid.get(name, ""),
        )
        for name in dict.fromkeys(order)
    )
    made = {competitor.title: [p for run in competitor.runs[:1] for p in run.products] for competitor in competitors}
    return ReportContext(
        spec=spec,
        board=board,
        competitors=competitors,
        datasets=tuple(datasets),
        labels=tuple(labels),
        metrics={name: metric_info(name) for name in board.metrics},
        notes=(*notes, *told_gaps(datasets, made)),
    )


def run_of(manifest: Manifest) -> tuple[str, int]:
    """Return competitor and seed of a run's artefact, from its folder ``<model>/seed<seed>/``.

    Raises
    ------
    StoreError
        If it lies elsewhere.
    """
    for folder in manifest.path.absolute().parents:
        match = _RUN_FOLDER.match(folder.name)
        if match:
            return folder.parent.name, int(match[1])
    raise StoreError("does not lie in a folder <model>/seed<seed>", where=str(manifest.path))


def title_of(spec: Experiment, name: str) -> str:
    """Return a competitor's name for readers: its label, or its model's title and what tells it from its like."""
    entry = spec.entry(name)
    title = str(card_of(entry.model).get("title", ""))
    if entry.label or not title:
        return entry.label or prettify(name)
    alone = name == entry.model or sum(other.model == entry.model for other in spec.models) == 1
    return title if alone else f"{title} ({name.replace('_', ' ')})"


def card_of(model: str) -> Mapping[str, object]:
    """Return the card of a registered model as plain values; empty if it is not registered or cannot be loaded."""
    try:
        card: Mapping[str, object] = MODELS.get(model).card.model_dump(mode="json")
    except ConfigError as problem:
        logger.warning("no card: %s", problem)
        return {}
    return card


def metric_info(name: str) -> MetricInfo:
    """Return words and direction of a metric; of an unknown one only its name as words."""
    try:
        metric = METRICS.get(name)
    except ConfigError:
        return MetricInfo(title=prettify(name), direction="none")

    def daily(counts: xr.Dataset) -> pd.Series:
        return daily_values(metric, counts)

    title = (metric.__doc__ or prettify(name)).strip().splitlines()[0].rstrip(".")
    return MetricInfo(title=title, direction=metric.direction, unit=metric.unit, daily=daily)


def daily_values(metric: type[Metric], counts: xr.Dataset) -> pd.Series:
    """Return a metric for each date: metrics take sums of counts along the first axis, here sums of one date."""
    per_date = {str(k): v.transpose("time", ...).values.astype(float) for k, v in counts.data_vars.items()}
    return pd.Series(metric.from_counts(per_date), index=pd.DatetimeIndex(counts["time"].values))


def _runs(
    models: Sequence[Manifest], products: Sequence[Manifest], counts: Mapping[tuple[str, int], xr.Dataset]
) -> dict[str, tuple[Run, ...]]:
    by_run = {run_of(manifest): manifest for manifest in models}
    keys = sorted({*by_run, *counts, *map(run_of, products)})
    runs: dict[str, list[Run]] = {}
    for name, seed in keys:
        model = by_run.get((name, seed))
        runs.setdefault(name, []).append(
            Run(
                seed=seed,
                model=model,
                history=_history(model) if model else None,
                products=tuple(p for p in products if run_of(p) == (name, seed)),
                counts=counts.get((name, seed)),
            )
        )
    return {name: tuple(found) for name, found in runs.items()}


def _history(model: Manifest) -> pd.DataFrame | None:
    if HISTORY not in model.payloads:
        return None
    path = model.file(HISTORY)
    history = pd.read_csv(path)
    absent = {"epoch", "train_loss"} - set(history.columns)
    if absent:
        raise StoreError(f"has no column {min(absent)!r}", where=str(path), fix="train the model again")
    return None if history.empty else history.replace([np.inf, -np.inf], np.nan)


def _counts(leaderboard: Manifest) -> dict[tuple[str, int], xr.Dataset]:
    """Counts per date of each valid run, read from the score artefacts that the leaderboard was made from."""
    found = {}
    for record in leaderboard.inputs.values():
        try:
            score = read_manifest(Path(leaderboard.path.parent, record.path), kind="score")
        except StoreError as problem:
            logger.warning("no daily scores: %s", problem)
            continue
        if COUNTS in score.payloads:
            found[(str(score.content["model"]), int(score.content["seed"]))] = read_counts(score.file(COUNTS))
    return found
