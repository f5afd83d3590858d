"""Figures of free runs of states with one to three axes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr

from pipeline_lib.report.context import Competitor, Run
from pipeline_lib.report.figures.trajectories import Trajectory
from pipeline_lib.solvers.spectral import spectrum
from pipeline_lib.tasks.dynamics.free_run_figures import (
    draw_free_runs,
    draw_maps,
    first_runs,
)
from pipeline_lib.tasks.dynamics.spectrum_figures import draw_spectra, first_field, shell_spectrum


@pytest.mark.parametrize("sizes", [(16,), (15,), (16, 16), (12, 12), (15, 15), (8, 8, 8), (9, 9, 9)])
def test_the_spectrum_is_that_of_the_solvers(sizes):
    states = np.random.default_rng(0).standard_normal((3, *sizes))
    found = shell_spectrum(states)
    assert found.shape == (3, sizes[0] // 2 + 1)
    if len(sizes) > 1:
        expected = spectrum(torch.tensor(states), len(sizes)).numpy()[:, : sizes[0] // 2 + 1]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    else:
        np.testing.assert_allclose(found.sum(axis=1), 0.5 * (states**2).mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ((3,), ["attractor", "energy"]),
        ((6,), ["energy"]),
        ((12,), ["hovmoeller", "spectra", "energy"]),
        ((8, 9), ["maps", "spectra", "energy"]),
    ],
)
def test_figures_suit_the_shape_of_the_states(axes, expected):
    dims = ("time", *"yx"[: len(axes)])
    states = np.random.default_rng(0).standard_normal((20, *axes))
    product = xr.Dataset({"free_run": (dims, states), "free_run_age": ("time", np.arange(20), {"run_steps": 20})})
    context = SimpleNamespace(
        valid=[Competitor("one", "One", "red", (Run(seed=0),), card={})],
        product=lambda run: product,
        dataset=xr.Dataset({"state": (dims, states)}),
        spec=SimpleNamespace(inputs=["state"]),
    )
    assert [figure.name for figure in draw_free_runs(context)] == expected
    assert draw_free_runs(SimpleNamespace(valid=[])) == []


def test_a_wave_is_in_its_shell():
    x = 2 * np.pi * np.arange(16) / 16
    wave = 2 * np.cos(3 * x)[None] + np.zeros((1, 16, 1))
    found = shell_spectrum(wave)[0]
    assert found[3] == pytest.approx(1.0)
    assert found.sum() == pytest.approx(1.0)


def test_maps_are_a_row_for_each_run_at_three_times_and_a_run_that_blew_up_is_drawn():
    rng = np.random.default_rng(0)
    truth, run = (Trajectory(title, "black", rng.standard_normal((21, 8, 8))) for title in ("truth", "model"))
    run.states[5:] = np.nan
    figure = draw_maps([run], truth)
    drawn = [ax for ax in figure.figure.axes if ax.images]
    assert [ax.get_title() for ax in drawn[:3]] == ["after 2 steps", "after 10 steps", "after 20 steps"]
    assert [drawn[row].get_ylabel() for row in (0, 3)] == ["truth", "model"]
    np.testing.assert_array_equal(drawn[1].images[0].get_array(), truth.states[10])


def test_of_a_box_the_level_at_mid_height_is_drawn():
    rng = np.random.default_rng(1)
    truth, run = (Trajectory(title, "black", rng.standard_normal((11, 8, 9, 10))) for title in ("truth", "model"))
    drawn = draw_maps([run], truth)
    panels = [ax for ax in drawn.figure.axes if ax.images]
    np.testing.assert_array_equal(panels[2].images[0].get_array(), truth.states[10, 4])
    np.testing.assert_array_equal(panels[3].images[0].get_array(), run.states[1, 4])
    assert "at mid-height" in drawn.caption
    flat = [Trajectory(run.title, "black", run.states[:, 0]) for run in (truth, run)]
    assert "at mid-height" not in draw_maps(flat[1:], flat[0]).caption


def test_of_several_fields_the_first_is_drawn():
    states = xr.DataArray(np.arange(24.0).reshape(2, 3, 4), dims=("time", "field", "x"))
    np.testing.assert_array_equal(first_field(states), states.values[:, 0])
    grid = states.rename(field="y")
    np.testing.assert_array_equal(first_field(grid), grid.values)


def runs_of(*lengths):
    """A context of a competitor for each length of free runs, over sixty states of six sites."""
    states = np.arange(360.0).reshape(60, 6)
    dataset = xr.Dataset({"state": (("time", "site"), states)})
    products = {
        steps: xr.Dataset(
            {
                "free_run": (("time", "site"), states + steps),
                "free_run_age": ("time", np.arange(60) % steps, {"run_steps": steps}),
            }
        )
        for steps in lengths
    }
    valid = [Competitor(f"m{n}", f"M{n}", "red", (Run(seed=n),), card={}) for n in lengths]
    return SimpleNamespace(
        valid=valid,
        product=lambda run: products[run.seed],
        dataset=dataset,
        spec=SimpleNamespace(inputs=["state"]),
    )


def waves(amplitudes, wavenumber=3, steps=20):
    """Two free runs of a wave on sixteen sites, of an amplitude each; first halves, of another one, are not drawn."""
    wave = np.cos(2 * np.pi * wavenumber * np.arange(16) / 16)
    runs = [np.where(np.arange(steps) < steps // 2, 7.0, amplitude)[:, None] * wave for amplitude in amplitudes]
    return np.concatenate(runs)


def context_of(products, truth):
    """A context of one competitor with a run for each product."""
    seeds = tuple(Run(seed=seed) for seed in range(len(products)))
    dataset = xr.Dataset({"state": (("time", "site"), truth)})
    valid = [Competitor("one", "One", "red", seeds, card={})]
    return SimpleNamespace(
        valid=valid, product=lambda run: products[run.seed], dataset=dataset, spec=SimpleNamespace(inputs=["state"])
    )


def free_runs_of(states, **more):
    age = ("time", np.arange(len(states)) % 20, {"run_steps": 20})
    return xr.Dataset({"free_run": (("time", "site"), states), "free_run_age": age, **more})


def test_spectra_are_means_over_all_whole_runs_and_seeds_with_a_band():
    """A wave of amplitude a holds a^2 / 4."""
    lost = waves((2.0, 4.0))
    lost[33] = np.inf  # of the second run of the last seed the first is left
    products = [free_runs_of(waves(pair)) for pair in ((2.0, 4.0), (6.0, 8.0))]
    products.append(free_runs_of(lost))
    drawn = draw_spectra(context_of(products, waves((1.0, 3.0))))
    (ax,) = drawn.figure.axes
    values = {line.get_label(): line.get_ydata()[2] for line in ax.lines}
    assert values == pytest.approx({"truth": (1 + 9) / 8, "One": ((4 + 16) / 8 + (36 + 64) / 8 + 4 / 4) / 3})
    band = ax.collections[0].get_paths()[0].vertices
    at_wave = band[np.isclose(band[:, 0], 3), 1]
    assert (at_wave.min(), at_wave.max()) == pytest.approx((4 / 4, (36 + 64) / 8))
    assert "Half the mean square of the states" in drawn.caption


def test_spectra_that_networks_tell_are_drawn_in_place_of_those_of_the_first_field():
    rng = np.random.default_rng(0)
    free, true = rng.uniform(1, 2, (2, 40, 9))
    more = {}
    for name, factor in (("energy_spectrum", 1.0), ("enstrophy_spectrum", 10.0)):
        attrs = {"units": "1", "long_name": f"{name.removesuffix('_spectrum')} of the states"}
        more[name] = (("time", "shell"), factor * true, attrs)
        more[f"free_run_{name}"] = (("time", "shell"), factor * free, attrs)
    drawn = draw_spectra(context_of([free_runs_of(waves((1.0, 1.0)), **more)], waves((1.0, 1.0))))
    assert [ax.get_ylabel() for ax in drawn.figure.axes] == ["Energy", "Enstrophy"]
    half = np.arange(40) % 20 >= 10
    for ax, factor in zip(drawn.figure.axes, (1.0, 10.0), strict=True):
        values = {line.get_label(): line.get_ydata() for line in ax.lines}
        np.testing.assert_allclose(values["One"], factor * free[half, 1:].mean(axis=0))
        np.testing.assert_allclose(values["truth"], factor * true[half, 1:].mean(axis=0))
    assert "What the flow holds" in drawn.caption


def test_the_truth_is_that_of_the_same_times_where_the_first_states_are_the_start_of_nothing():
    context = runs_of(20)
    times = np.datetime64("2000-01-01", "ns") + np.arange(60) * np.timedelta64(864, "s")
    context.dataset = context.dataset.assign_coords(time=times)
    late = context.product(Run(seed=20)).isel(time=slice(45)).assign_coords(time=times[15:])
    context.product = lambda run: late
    runs, truth = first_runs(context)
    np.testing.assert_array_equal(runs[0].states, late.free_run.values[:20])
    np.testing.assert_array_equal(truth.states, context.dataset.state.values[15:35])


@pytest.mark.parametrize("lengths", [(20, 30), (30, 20)])
def test_the_truth_is_over_the_times_of_the_runs_beside_it(lengths):
    runs, truth = first_runs(runs_of(*lengths))
    assert [run.title for run in runs] == [f"M{lengths[0]}"]
    assert truth.states.shape == runs[0].states.shape == (lengths[0], 6)
    np.testing.assert_array_equal(runs[0].states - lengths[0], truth.states)


def test_where_no_run_is_whole_the_page_says_so():
    (told,) = draw_free_runs(runs_of(61))
    assert told.name == "free_runs"
    assert "No free run goes through to its end" in told.caption
    assert [figure.name for figure in draw_free_runs(runs_of(60))] == ["energy"]
