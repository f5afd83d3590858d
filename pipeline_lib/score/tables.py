"""Leaderboard and ranking as CSV, and back: the same numbers give the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.errors import StoreError

COLUMNS = ("model", "seed_count", "metric", "value", "ci_low", "ci_high", "n", "published", "comparable")
"""Columns of the leaderboard; ``n`` is the number of dates, ``value`` may read ``undefined`` or ``invalid``."""
_DIFFERENCES = ("worse_by", "ci_low", "ci_high", "behind", "behind_low", "behind_high")
RANKING_COLUMNS = ("metric", "rank", "model", "leader", *_DIFFERENCES)
"""Columns of the ranking: ``worse_by`` is the distance to the leader of the group, ``behind`` that to the first of all,
each with its interval."""

DECIMALS = 6
_SMALL = 0.1
"""Smaller numbers have so many significant digits instead: errors of a solver are 1e-15."""
_STATUSES = ("undefined", "invalid")
_AGAIN = "run the leaderboard stage again"


def _number(value: float) -> str:
    """Return a number as text with :data:`DECIMALS` decimals or significant digits, the empty text for NaN."""
    if np.isnan(value):
        return ""
    short = float(f"{value:.{DECIMALS}g}")
    if 0 < abs(short) < _SMALL:
        return f"{short:.{DECIMALS}g}"
    return f"{round(value, DECIMALS) + 0.0:.{DECIMALS}f}"  # adding 0 turns -0 into 0


def leaderboard_csv(table: pd.DataFrame) -> str:
    """Return a leaderboard (see :class:`pipeline_lib.score.leaderboard.Leaderboard`) as CSV."""
    rows = []
    for row in table.to_dict("records"):
        value = row["status"] if row["status"] in _STATUSES else _number(row["value"])
        numbers = {name: _number(row[name]) for name in ("ci_low", "ci_high", "published")}
        texts: dict[Hashable, object] = row | numbers | {"value": value}
        rows.append([texts[name] for name in COLUMNS])
    return _csv(COLUMNS, rows)


def ranking_csv(table: pd.DataFrame) -> str:
    """Return a ranking as CSV."""
    rows = []
    for row in table.to_dict("records"):
        numbers = {name: _number(row[name]) for name in _DIFFERENCES}
        texts: dict[Hashable, object] = row | numbers
        rows.append([texts[name] for name in RANKING_COLUMNS])
    return _csv(RANKING_COLUMNS, rows)


def _csv(columns: tuple[str, ...], rows: list[list[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def read_leaderboard(path: Path) -> pd.DataFrame:
    """Read a leaderboard; ``value`` is NaN where the added column ``status`` is not ``ok``.

    Raises
    ------
    StoreError
        If the file is not a leaderboard.
    """
    table = _read(path, COLUMNS)
    status = table["value"].where(table["value"].isin(_STATUSES), "ok")
    table["value"] = table["value"].where(status == "ok", "")
    return _typed(table, path, whole=("seed_count", "n"), real=("value", "ci_low", "ci_high", "published")).assign(
        status=status
    )


def read_ranking(path: Path) -> pd.DataFrame:
    """Read a ranking.

    Raises
    ------
    StoreError
        If the file is not a ranking.
    """
    return _typed(_read(path, RANKING_COLUMNS), path, whole=("rank",), real=_DIFFERENCES)


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot be read: {error}", where=str(path), fix=_AGAIN) from error
    if tuple(table.columns) != columns:
        raise StoreError(f"does not have the columns {', '.join(columns)}", where=str(path), fix=_AGAIN)
    return table


def _typed(table: pd.DataFrame, path: Path, *, whole: tuple[str, ...], real: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = table.astype(dict.fromkeys(whole, "int64"))
        for name in real:
            table[name] = table[name].replace("", "nan").astype(float)
    except ValueError as error:
        raise StoreError(f"holds a value that is no number: {error}", where=str(path)) from error
    return table
