"""Published tables of the page: ours stand beneath the row of the same method, of each table that has one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.published.tables import load_published
from pipeline_lib.report.board import Board, Cell
from pipeline_lib.report.tables import compared_table

KNMI = Path(__file__).parents[2] / "config/experiments/nowcast-knmi.yaml"


def test_a_method_of_two_tables_stands_in_both_though_both_print_the_same_metric():
    loaded = load_experiment(KNMI)
    tables = [load_published(name) for name in loaded.spec.published]
    cells = []
    for name in ("rover1", "rover_nonlinear"):
        known: dict[str, float] = {}
        for table in tables:  # as the score stage does
            row = table.row_for("rover", loaded.settings(name))
            known |= {m: n.value for m, n in table.numbers(row, loaded.spec.source).items()} if row else {}
        for metric in loaded.scoring.metrics:
            text = {"value": "0.5", "ci_low": "", "ci_high": "", "published": str(known.get(metric, ""))}
            cells.append(Cell(name, metric, text))
    context = SimpleNamespace(
        spec=loaded.spec,
        board=Board(tuple(cells)),
        metrics={m: SimpleNamespace(title=m, unit="1") for table in tables for m in table.metrics},
        valid=[SimpleNamespace(name=name, title=name, runs=[]) for name in ("rover1", "rover_nonlinear")],
    )
    found = {}
    for name, table in zip(loaded.spec.published, tables, strict=True):
        rows = [(row.title, row.ours) for row in compared_table(context, table).rows]
        found[name] = {ours: rows[i - 1][0] for i, (ours, is_ours) in enumerate(rows) if is_ours}
    assert found == {
        "convlstm_radar_2015": {"rover1, here": "ROVER1"},
        "hko7_2017": {"rover1, here": "ROVER, linear", "rover_nonlinear, here": "ROVER, non-linear"},
    }
