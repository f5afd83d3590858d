"""Tables of the page as plain rows that the template lays out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from pipeline_lib.published.tables import PublishedRow, PublishedTable, load_published
from pipeline_lib.report.board import Cell
from pipeline_lib.report.context import Competitor, MetricInfo, ReportContext
from pipeline_lib.report.numbers import LEARNED, UNDEFINED, over_seeds, show, with_unit
from pipeline_lib.report.words import number_with_interval

COLUMNS_PER_TABLE = 7
"""Columns of scores side by side; further metrics get a table of their own."""

BEHIND = "Behind the first by"
_BEHIND_COLUMNS = ("behind", "behind_low", "behind_high")

CONFIDENCE = {
    "C": "read in public code",
    "V": "computed again by us",
    "S": "from the slides of a talk",
    "M": "from memory of the paper",
    "?": "not checked against the paper",
}
"""How sure a published number is, in words."""


@dataclass(frozen=True)
class ScoreCell:
    """One number of a table of scores: how it is shown, by what it sorts, and whether it is the best of its column."""

    shown: Markup
    sort: str = ""
    best: bool = False


@dataclass(frozen=True)
class ScoreRow:
    """One competitor in a table of scores."""

    name: str
    title: str
    rank: str
    seeds: str
    dates: str
    cells: tuple[ScoreCell, ...]
    reason: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """Competitors by metrics, and in the first table how far they are behind the first by the main one."""

    headings: tuple[tuple[str, str], ...]
    """Title and direction of each column."""
    rows: tuple[ScoreRow, ...]
    behind: bool = False
    """Whether the column after the main metric's tells how far each is behind the first."""


def score_tables(context: ReportContext) -> list[ScoreTable]:
    """Return all scores of the leaderboard, a few metrics to a table; the first one holds invalid competitors too."""
    metrics, main = context.board.metrics, context.main_metric
    if main is None:
        return []
    behind = sum(metric == main for metric, _ in context.board.behind) > 1
    starts = [0, *range(COLUMNS_PER_TABLE - behind, len(metrics), COLUMNS_PER_TABLE)]
    chunks = [metrics[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    first, *others = (_score_table(context, chunk) for chunk in chunks)
    first = _with_behind(context, main, first) if behind else first
    invalid = (ScoreRow(c.name, c.title, UNDEFINED, "", "", (), c.reason) for c in context.competitors if c.reason)
    return [replace(first, rows=(*first.rows, *invalid)), *others]


def _with_behind(context: ReportContext, metric: str, table: ScoreTable) -> ScoreTable:
    """Return a table with how far each competitor is behind the first, beside the metric in its first column."""
    unit = context.metrics[metric].unit
    rows = (replace(r, cells=(r.cells[0], _behind(context, r.name, metric), *r.cells[1:])) for r in table.rows)
    headings = (table.headings[0], (f"{BEHIND}{with_unit(unit)}", ""), *table.headings[1:])
    return ScoreTable(headings, tuple(rows), behind=True)


def _behind(context: ReportContext, model: str, metric: str) -> ScoreCell:
    """How far a competitor is behind the first; a dash for the first, and for who has no rank."""
    cell = context.board.behind.get((metric, model))
    if cell is None:
        return ScoreCell(Markup(UNDEFINED))
    shown = number_with_interval(cell, context.metrics[metric].unit, _BEHIND_COLUMNS)
    return ScoreCell(Markup(UNDEFINED) if model == context.board.models[0] else shown, cell.text["behind"])


def _score_table(context: ReportContext, metrics: Sequence[str]) -> ScoreTable:
    infos = [context.metrics[m] for m in metrics]
    headings = tuple((f"{info.title}{with_unit(info.unit)}", _arrow(info)) for info in infos)
    return ScoreTable(headings, tuple(_score_row(context, c, metrics) for c in context.competitors if not c.reason))


def _score_row(context: ReportContext, competitor: Competitor, metrics: Sequence[str]) -> ScoreRow:
    board, name = context.board, competitor.name
    found = [board.cell(name, metric) for metric in metrics]
    first = next((cell for cell in found if cell is not None), None)
    main = context.main_metric or ""
    rank = board.rank(name, main)
    shared = rank is not None and len(board.sharing(main, rank)) > 1
    return ScoreRow(
        name=name,
        title=competitor.title,
        rank=UNDEFINED if rank is None else f"{rank}{'=' if shared else ''}",
        seeds="" if first is None else first.text["seed_count"],
        dates="" if first is None else first.text["n"],
        cells=tuple(ScoreCell(Markup(UNDEFINED)) if cell is None else _score_cell(context, cell) for cell in found),
        reason="" if first is not None else "is not in the leaderboard",
    )


def _score_cell(context: ReportContext, cell: Cell) -> ScoreCell:
    shown = number_with_interval(cell, context.metrics[cell.metric].unit)
    best = context.board.rank(cell.model, cell.metric) == 1
    return ScoreCell(shown, "" if math.isnan(cell.value) else cell.text["value"], best)


def _arrow(info: MetricInfo) -> str:
    return {"higher": "↑", "lower": "↓", "zero": "→ 0"}.get(info.direction, "")


@dataclass(frozen=True)
class ComparedRow:
    """A published row, or one of ours that belongs beside it."""

    title: str
    ours: bool
    cells: tuple[Markup, ...]


@dataclass(frozen=True)
class ComparedTable:
    """A published table with our numbers under the rows they belong to."""

    published: PublishedTable
    headings: tuple[str, ...]
    rows: tuple[ComparedRow, ...]
    comparable: bool
    reasons: tuple[str, ...]
    confidence: str


def compared_table(context: ReportContext, name: str) -> ComparedTable:
    """Return a published table, with our score of the same metric in the row beneath its published row.

    Which row is whose, the leaderboard says.
    """
    table, told = load_published(name), context.board.content.get("published", {})
    titles_of: Mapping[str, str] = told.get(name, {}) if isinstance(told, Mapping) else {}
    titles = tuple(context.metrics[m].title if m in context.metrics else m for m in table.metrics)
    rows = []
    for row in table.rows:
        printed = (_printed(table, row, m) for m in table.metrics)
        values = (Markup(f"{row.learned[n]:g}" if n in row.learned else UNDEFINED) for n in table.learned)
        rows.append(ComparedRow(row.title, ours=False, cells=(*printed, *values)))
        for competitor in context.valid:
            if titles_of.get(competitor.name) == row.title and _has_some(context, competitor, table, row):
                scores = (_ours(context, competitor, m) for m in table.metrics)
                ours = (*scores, *(_our_value(competitor, n) for n in table.learned))
                rows.append(ComparedRow(f"{competitor.title}, here", ours=True, cells=ours))
    judged = table.comparability_with(context.spec.source)
    return ComparedTable(
        published=table,
        headings=(*titles, *table.learned),
        rows=tuple(rows),
        comparable=judged.comparable,
        reasons=tuple(judged.reasons),
        confidence=CONFIDENCE[table.confidence],
    )


def _printed(table: PublishedTable, row: PublishedRow, metric: str) -> Markup:
    printed, unit = row.values.get(metric), table.metrics[metric].unit
    if printed is None:
        return Markup(UNDEFINED)
    spread = "" if printed.spread is None else f" ({show(printed.spread, unit)})"
    return Markup("{}{}{}").format(show(printed.value, unit), " %" if unit == "%" else "", spread)


def _has_some(context: ReportContext, competitor: Competitor, table: PublishedTable, row: PublishedRow) -> bool:
    """Whether a competitor has any number of a published row."""
    if row.learned:
        return all(_learned(competitor, name) for name in row.learned)
    return any(context.board.cell(competitor.name, metric) is not None for metric in table.metrics)


def _learned(competitor: Competitor, name: str) -> list[float]:
    """Values of a learned number over the seeds; none if the model has no such number."""
    learned = [run.model.content.get("learned", {}) for run in competitor.runs if run.model is not None]
    return [float(values[name]) for values in learned if isinstance(values.get(name), int | float)]


def _our_value(competitor: Competitor, name: str) -> Markup:
    values = _learned(competitor, name)
    return Markup(over_seeds(values) if values else UNDEFINED)


def _ours(context: ReportContext, competitor: Competitor, metric: str) -> Markup:
    cell = context.board.cell(competitor.name, metric)
    return Markup(UNDEFINED) if cell is None else number_with_interval(cell, context.metrics[metric].unit)


@dataclass(frozen=True)
class ModelEntry:
    """What the page says about one competitor."""

    title: str
    name: str
    model: str
    card: Mapping[str, Any]
    options: Mapping[str, Any]
    trained: tuple[tuple[str, str], ...]
    """Facts of each run, in words."""
    reason: str


def model_entries(context: ReportContext) -> list[ModelEntry]:
    """Return what the page says about each competitor, best first."""
    entries = []
    for competitor in context.competitors:
        spec = context.spec.entry(competitor.name)
        first = next((run.model for run in competitor.runs if run.model is not None), None)
        options = dict(spec.options) if first is None else dict(first.options)
        entries.append(
            ModelEntry(
                title=competitor.title,
                name=competitor.name,
                model=spec.model,
                card=competitor.card,
                options=options,
                trained=tuple(_run_facts(competitor)),
                reason=competitor.reason,
            )
        )
    return entries


def _run_facts(competitor: Competitor) -> list[tuple[str, str]]:
    facts = []
    for run in competitor.runs:
        if run.model is None:
            continue
        content = run.model.content
        spec = content.get("spec")
        said = []
        if isinstance(spec, Mapping) and "parameters" in spec:
            said.append(f"{int(spec['parameters']):,} trainable values")
        for name, value in content.get("learned", {}).items():
            values = value if isinstance(value, list) else [value]
            said.append(f"{name} = {' '.join(f'{v:{LEARNED}}' for v in values)}")
        if dry := content.get("too_dry", {}).get("train"):
            said.append(f"{dry:,} windows left out as too dry")
        if run.history is not None and len(run.history):
            said.append(f"{len(run.history)} epochs")
        if "best_epoch" in content:
            said.append(f"weights of epoch {content['best_epoch']}")
        said.append(f"identity {run.model.identity[:12]}")
        facts.append((f"seed {run.seed}", ", ".join(said)))
    return facts
