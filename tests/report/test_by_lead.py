"""Figures of scores by lead: which panels and lines there are, and who is named."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.report.context import Competitor, Run
from pipeline_lib.report.figures.by_lead import LeadFigure, draw_by_lead
from pipeline_lib.report.style import MUTED

WANTED = LeadFigure("n", "t", "Scores.", "Steps ahead", height=2.0, columns=2, most=3, bound="Dotted: the best.")
LEADS = [0, 1, 3]


def counts(seed: int, *, densities: bool = True, retrieved: bool = False) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    names = ["squared_error", "values", "absolute_error", *(["log_loss", "densities"] if densities else [])]
    if retrieved:
        names = [f"{kind}_{name}" for kind in ("retrieved", "bound") for name in ("squared_error", "cells")]
    made = {name: (("time", "lead"), rng.random((5, 3)) + 0.2) for name in names}
    return xr.Dataset(made, {"time": np.arange(5), "lead": LEADS})


def context(metrics: list[str], **runs: list[xr.Dataset | None]) -> SimpleNamespace:
    competitors = [
        Competitor(name, name.upper(), "k", tuple(Run(i, counts=c) for i, c in enumerate(found)), {})
        for name, found in runs.items()
    ]
    return SimpleNamespace(valid=competitors, metrics=dict.fromkeys(metrics))


def lines(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.lines}


def test_lines_are_means_over_seeds_of_the_root_of_sums_over_starts():
    seeds = [counts(1), counts(2)]
    found = draw_by_lead(context(["site_rmse_lead_1", "site_rmse"], a=seeds, without=[None]), WANTED)
    (ax,) = found.figure.axes
    roots = [np.sqrt(c.squared_error.sum("time") / c["values"].sum("time")).values for c in seeds]
    assert lines(ax) == {"A": [[lead, value] for lead, value in zip(LEADS, np.mean(roots, axis=0), strict=True)]}
    assert (found.caption, ax.get_xlabel(), ax.get_title()) == ("Scores.", "Steps ahead", "RMSE at the site")


def test_who_has_no_first_score_is_named_and_what_belongs_beside_is_drawn_where_a_line_is():
    seen = []
    told = context(["log_loss", "site_mae", "site_rmse", "site_bias"], a=[counts(1, densities=False)], b=[counts(2)])
    found = draw_by_lead(told, WANTED, beside=lambda ax, competitor, metric: seen.append((competitor.name, metric)))
    assert [list(lines(ax)) for ax in found.figure.axes if ax.get_visible()] == [["B"], ["A", "B"], ["A", "B"]]
    assert [text.get_text() for text in found.figure.legends[0].texts] == ["A", "B"]
    assert seen == [("b", "log_loss"), ("a", "site_mae"), ("b", "site_mae"), ("a", "site_rmse"), ("b", "site_rmse")]


def test_a_perfect_forecast_that_is_not_perfect_is_dotted_and_told():
    stored = counts(1, retrieved=True)
    found = draw_by_lead(context(["retrieved_rmse", "bound_rmse"], a=[stored]), WANTED)
    (ax,) = found.figure.axes
    dotted = next(line for line in ax.lines if line.get_linestyle() == ":")
    best = np.sqrt(stored.bound_squared_error.sum("time") / stored.bound_cells.sum("time"))
    assert dotted.get_color() == MUTED
    assert dotted.get_ydata().tolist() == pytest.approx(best.values)
    assert found.caption == "Scores. Dotted: the best."


def test_without_a_score_by_lead_that_is_said():
    for told in (context(["site_rmse"]), context(["site_rmse_lead_1", "mean_dice"], a=[counts(1)])):
        assert draw_by_lead(told, WANTED).caption == "No model has a score by lead."
