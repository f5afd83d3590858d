"""The leaderboard as the report sees it: the rows of its tables, with their very digits."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline_lib.errors import StoreError
from pipeline_lib.io.manifest import Manifest

COLUMNS = ("model", "seed_count", "metric", "value", "ci_low", "ci_high", "n", "published", "comparable")
RANKING_COLUMNS = ("metric", "rank", "model", "behind", "behind_low", "behind_high")
_NUMBERS = ("value", "ci_low", "ci_high", "published", "behind", "behind_low", "behind_high")
_WORDS = ("undefined", "invalid")
_AGAIN = "run the leaderboard stage again"


@dataclass(frozen=True)
class Cell:
    """One row of the leaderboard, or of the ranking.

    Attributes
    ----------
    model, metric
        Names in the experiment and in the registry of metrics.
    text
        All columns as written in the table.
    """

    model: str
    metric: str
    text: Mapping[str, str]

    def number(self, column: str) -> float:
        """Return a column as a number; NaN where the table has none."""
        return as_number(self.text[column])

    @property
    def value(self) -> float:
        """The metric's value; NaN where it is undefined or the run invalid."""
        return self.number("value")

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the value's interval; NaN where there is none."""
        return self.number("ci_low"), self.number("ci_high")


@dataclass(frozen=True)
class Board:
    """The leaderboard of an experiment.

    Attributes
    ----------
    cells
        All rows of the table, in its order: by metric, then best first.
    ranks
        Rank of each (metric, model); competitors that share a rank are tied.
    invalid
        Reason why a competitor has no scores, by its name.
    content
        What the manifest says besides: dates, number of cells and blocks.
    behind
        How much worse than the first of all each (metric, model) is: the columns ``behind``, ``behind_low`` and
        ``behind_high`` of the ranking. The first itself is 0 behind.
    """

    cells: tuple[Cell, ...]
    ranks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    invalid: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, object] = field(default_factory=dict)
    behind: Mapping[tuple[str, str], Cell] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """Metrics in the order of the table."""
        return list(dict.fromkeys(cell.metric for cell in self.cells))

    @property
    def main_metric(self) -> str | None:
        """The metric that ranks: the table's first."""
        return next(iter(self.metrics), None)

    @property
    def models(self) -> list[str]:
        """Competitors with scores, best first by the main metric."""
        return [c.model for c in self.of_metric(self.main_metric or "")]

    def cell(self, model: str, metric: str) -> Cell | None:
        """Return one row of the table, ``None`` if there is none."""
        return next((c for c in self.cells if (c.model, c.metric) == (model, metric)), None)

    def of_metric(self, metric: str) -> list[Cell]:
        """Return the rows of a metric in the order of the table, without invalid competitors."""
        return [c for c in self.cells if c.metric == metric and c.model not in self.invalid]

    def rank(self, model: str, metric: str) -> int | None:
        """Return a competitor's rank, ``None`` if the metric does not rank it."""
        return self.ranks.get((metric, model))

    def sharing(self, metric: str, rank: int) -> list[str]:
        """Return the competitors that have a rank."""
        return [c.model for c in self.of_metric(metric) if self.rank(c.model, metric) == rank]

    def tied(self, metric: str) -> list[str]:
        """Return the competitors that share the first place of a metric, when they are more than one."""
        first = self.sharing(metric, 1)
        return first if len(first) > 1 else []


def as_number(text: str) -> float:
    """Return a table's text as a number; NaN for an empty field and for a word in its place."""
    return math.nan if text in _WORDS or not text.strip() else float(text)


def read_board(manifest: Manifest) -> Board:
    """Read the leaderboard and the ranking that a manifest vouches for.

    Raises
    ------
    StoreError
        If a table lacks a column or holds something that is not a number where one belongs.
    """
    rows = _rows(manifest.file("leaderboard.csv"), COLUMNS)
    ranking = _rows(manifest.file("ranking.csv"), RANKING_COLUMNS) if "ranking.csv" in manifest.payloads else []
    return Board(
        cells=tuple(Cell(model=row["model"], metric=row["metric"], text=row) for row in rows),
        ranks={(row["metric"], row["model"]): int(row["rank"]) for row in ranking},
        invalid={str(name): str(reason) for name, reason in manifest.content.get("invalid", {}).items()},
        content=manifest.content,
        behind={(row["metric"], row["model"]): Cell(row["model"], row["metric"], row) for row in ranking},
    )


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in (reader.fieldnames or [])]
        if missing:
            raise StoreError(f"has no column {missing[0]!r}", where=str(path), fix=_AGAIN)
        rows = [{name: row[name] or "" for name in columns} for row in reader]
    for row in rows:
        for column in set(_NUMBERS) & set(columns):
            try:
                as_number(row[column])
            except ValueError as error:
                raise StoreError(
                    f"{column} of {row['model']} is {row[column]!r}", where=str(path), fix=_AGAIN
                ) from error
    return rows
