"""Published tables of the page: ours stand beneath the row of the same method, of each table that has one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.published.tables import load_published, numbers_beside
from pipeline_lib.report.board import Board, Cell
from pipeline_lib.report.tables import compared_table

KNMI = Path(__file__).parents[2] / "config/experiments/nowcast-knmi.yaml"


def test_a_method_of_two_tables_stands_in_both_though_both_print_the_same_metric():
    loaded = load_experiment(KNMI)
    tables = {name: load_published(name) for name in loaded.spec.published}
    text = {"value": "0.5", "ci_low": "", "ci_high": ""}
    cells = [Cell(name, metric, text) for name in ("rover1", "rover_nonlinear") for metric in loaded.scoring.metrics]
    settings = {name: loaded.settings(name) for name in ("rover1", "rover_nonlinear")}
    rows = {name: {c: r.title for c, r in table.rows_beside(settings).items()} for name, table in tables.items()}
    context = SimpleNamespace(
        spec=loaded.spec,
        board=Board(tuple(cells), content={"published": rows}),
        metrics={m: SimpleNamespace(title=m, unit="1") for table in tables.values() for m in table.metrics},
        valid=[SimpleNamespace(name=name, title=name, runs=[]) for name in ("rover1", "rover_nonlinear")],
    )
    found = {}
    for name in tables:
        rows = [(row.title, row.ours) for row in compared_table(context, name).rows]
        found[name] = {ours: rows[i - 1][0] for i, (ours, is_ours) in enumerate(rows) if is_ours}
    assert found == {
        "convlstm_radar_2015": {"rover1, here": "ROVER1"},
        "hko7_2017": {"rover1, here": "ROVER, linear", "rover_nonlinear, here": "ROVER, non-linear"},
    }


def test_numbers_beside_a_competitor_are_of_one_publication():
    loaded = load_experiment(KNMI)
    tables = {name: load_published(name) for name in loaded.spec.published}
    settings = {name: loaded.settings(name) for name in loaded.spec.names}
    beside = numbers_beside(tables, settings, "knmi-20100826")
    hko, shi = tables["hko7_2017"], tables["convlstm_radar_2015"]
    # Both have rows of it, and POD and FAR are of 2015 alone.
    assert {"rover1"} == set(shi.rows_beside(settings)) & set(hko.rows_beside(settings))
    for name, numbers in beside.items():
        row = hko.row_for(loaded.spec.entry(name).model, loaded.settings(name))
        assert {m: n.value for m, n in numbers.items()} == {m: v.value for m, v in row.values.items()}
    [alone] = numbers_beside({"convlstm_radar_2015": shi}, settings, "knmi-20100826").values()
    assert set(alone) == set(shi.metrics)
