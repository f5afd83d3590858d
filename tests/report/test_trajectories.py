"""Orbits and sites: what suits a state, and panels that can be compared."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline_lib.report.figures.trajectories import MOST_PANELS, Trajectory, drawing_for, equal_panels
from pipeline_lib.tasks.dynamics.free_run_figures import draw_attractor, draw_hovmoeller


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ((1,), "none"),
        ((2,), "orbit"),
        ((3,), "orbit"),
        ((4,), "orbit"),
        ((5,), "none"),
        ((8,), "sites"),
        ((40,), "sites"),
        ((8, 8), "maps"),
        ((3, 64), "none"),
        ((16, 16, 16), "maps"),
        ((), "none"),
    ],
)
def test_the_shape_of_a_state_decides_how_it_is_drawn(axes, expected):
    assert drawing_for(np.zeros((5, *axes))) == expected


def test_the_lowest_panel_of_each_column_has_numbers_also_above_an_empty_place():
    figure, panels = equal_panels(4)
    figure.draw_without_rendering()
    numbered = [any(label.get_visible() and label.get_text() for label in ax.get_xticklabels()) for ax in panels]
    assert numbered == [False, True, True, True]
    assert len(equal_panels(MOST_PANELS + 3)[1]) == MOST_PANELS


def test_free_runs_are_drawn_in_the_range_of_the_truth_and_those_left_out_are_told():
    rng = np.random.default_rng(0)
    truth = Trajectory("truth", "black", rng.standard_normal((30, 3)))
    runs = [Trajectory(f"run {i}", "red", 100 * truth.states) for i in range(10)]
    orbits = draw_attractor(runs, truth)
    panels = [ax for ax in orbits.figure.axes if ax.lines]
    assert len(panels) == MOST_PANELS
    assert {ax.get_xlim() for ax in panels} == {panels[0].get_xlim()}
    assert panels[1].get_xlim()[1] < 2 * truth.states[:, 0].max()
    assert "The 2 models lowest in the ranking are left out." in orbits.caption
    sites = draw_hovmoeller(
        [Trajectory("run", "red", np.full((30, 8), np.nan))],
        Trajectory("truth", "black", 9 + rng.standard_normal((30, 8))),
    )
    images = [ax.images[0] for ax in sites.figure.axes if ax.images]
    assert images[0].get_clim() == images[1].get_clim()
    assert np.mean(images[0].get_clim()) == pytest.approx(9, abs=0.2)


def test_few_time_steps_are_numbered_without_halves():
    states = np.arange(24.0).reshape(3, 8)
    figure = draw_hovmoeller([Trajectory("run", "red", states)], Trajectory("truth", "black", states)).figure
    ticks = [tick for ax in figure.axes if ax.images for tick in ax.get_yticks()]
    assert ticks == [round(tick) for tick in ticks]
