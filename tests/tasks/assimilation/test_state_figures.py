"""Analyses as orbits and as fields of sites: what is drawn, where, and in which colours."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.report.context import Competitor, Run
from pipeline_lib.tasks.assimilation.report import draw_series
from pipeline_lib.tasks.assimilation.state_figures import draw_states

TIMES, WINDOW, MARGIN = 500, 40, 4


def context(components: int, offsets=(0.5, -2.0), *, unit: str = "1", margin: int = MARGIN) -> SimpleNamespace:
    """Competitors whose analyses are the truth and an offset each; every fourth state's even components are seen."""
    rng = np.random.default_rng(components)
    dims, truth = ("time", "component"), rng.standard_normal((TIMES, components)) + 3.0
    observation = np.full(truth.shape, np.nan)
    observation[::4, ::2] = truth[::4, ::2] + 0.1
    position = np.arange(TIMES) % WINDOW
    inside = (position >= margin) & (position < WINDOW - margin)
    used = np.isfinite(observation) & inside[:, None]
    dataset = xr.Dataset({"state": (dims, truth, {"units": unit}), "observation": (dims, observation)})
    products = [
        xr.Dataset({"analysis": (dims, truth + offset), "used": (dims, used), "window_position": ("time", position)})
        for offset in offsets
    ]
    competitors = [
        Competitor(name, f"Model {name}", f"#0000{i:02d}", (Run(seed=i, products=("one",)),), card={})
        for i, name in enumerate("abcdefghijk"[: len(offsets)])
    ]
    return SimpleNamespace(
        valid=competitors,
        dataset=dataset,
        spec=SimpleNamespace(inputs=["state", "observation"]),
        product=lambda run: products[run.seed],
    )


def test_an_attractor_shows_truth_observed_times_and_analyses_without_lines_between_windows():
    drawn = context(3)
    (figure,) = draw_states(drawn)
    assert figure.name == "attractor"
    truth, *analyses = [ax for ax in figure.figure.axes if ax.lines]
    states = drawn.dataset.state.values[:400]
    np.testing.assert_array_equal(truth.lines[0].get_xydata(), states[:, [0, -1]])
    seen = [t for t in range(0, 400, 4) if MARGIN <= t % WINDOW < WINDOW - MARGIN]
    np.testing.assert_array_equal(truth.lines[1].get_xydata(), states[seen][:, [0, -1]])
    assert f"(at {len(seen)} times, from step 4 to step 392)" in figure.caption
    assert "2 best models" in figure.caption
    assert [ax.get_title() for ax in analyses] == ["Model a", "Model b"]
    for ax, offset in zip(analyses, (0.5, -2.0), strict=True):
        beneath, found = (line.get_xydata() for line in ax.lines)
        np.testing.assert_array_equal(beneath, states[:, [0, -1]])
        gaps = np.flatnonzero(np.isnan(found).all(axis=1))
        np.testing.assert_array_equal(gaps, np.arange(0, 400, WINDOW) + np.arange(10))
        np.testing.assert_allclose(found[np.isfinite(found).all(axis=1)], states[:, [0, -1]] + offset)
        assert (ax.get_xlim(), ax.get_ylim()) == (truth.get_xlim(), truth.get_ylim())


def test_many_sites_are_drawn_against_time_in_the_same_colours_with_errors_beneath():
    drawn = context(10, unit="m s-1", margin=0)
    (figure,) = draw_states(drawn)
    assert figure.name == "hovmoeller"
    panels = [ax for ax in figure.figure.axes if ax.images]
    titles = ["truth", "Model a", "Model b", "observations", "its error (RMSE 0.500)", "its error (RMSE 2.000)"]
    assert [ax.get_title() for ax in panels] == titles
    truth, first, second, seen, *errors = (ax.images[0] for ax in panels)
    states = drawn.dataset.state.values[:100]
    np.testing.assert_array_equal(truth.get_array(), states)
    np.testing.assert_allclose(second.get_array(), states - 2.0)
    np.testing.assert_array_equal(np.ma.filled(seen.get_array(), np.nan), drawn.dataset.observation.values[:100])
    assert truth.get_clim() == first.get_clim() == second.get_clim() == seen.get_clim()
    centre, reach = states.mean(), np.abs(states - states.mean()).max()
    assert truth.get_clim() == pytest.approx((centre - reach, centre + reach))
    assert errors[0].get_clim() == errors[1].get_clim() == pytest.approx((-2.0, 2.0))
    np.testing.assert_allclose(errors[0].get_array(), 0.5)
    labels = {ax.get_ylabel() for ax in figure.figure.axes if not ax.images}
    assert labels == {"State (m s-1)", "Analysis − truth (m s-1)"}
    assert "at 25 times, from step 0 to step 96 (grey: nothing)" in figure.caption


def test_only_so_many_analyses_are_drawn_as_can_be_read():
    (orbits,) = draw_states(context(3, offsets=range(8)))
    assert "5 best models" in orbits.caption
    assert len([ax for ax in orbits.figure.axes if ax.lines]) == 6
    (fields,) = draw_states(context(12, offsets=range(8)))
    assert "3 best models" in fields.caption


@pytest.mark.parametrize("components", [1, 5, 7])
def test_between_a_point_and_a_field_there_is_no_figure(components):
    assert draw_states(context(components)) == []


def test_perfect_analyses_and_none_are_no_error():
    (figure,) = draw_states(context(8, offsets=[0.0]))
    assert "best model (first seed)" in figure.caption
    assert draw_states(SimpleNamespace(valid=[], dataset=context(3).dataset)) == []
    assert draw_states(SimpleNamespace(valid=[], dataset=None)) == []


def test_observations_that_nobody_may_use_are_not_drawn():
    figure = draw_series(context(3))
    drawn = np.asarray(figure.figure.axes[0].lines[1].get_ydata())
    assert np.flatnonzero(np.isfinite(drawn))[0] == MARGIN
    free = draw_series(context(3, margin=0))
    assert np.isfinite(free.figure.axes[0].lines[1].get_ydata()[0])
