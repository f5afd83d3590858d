"""Figure of errors against the position in a window."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.report.context import Competitor, Run
from pipeline_lib.tasks.assimilation.options import ScoringOptions
from pipeline_lib.tasks.assimilation.predict import product
from pipeline_lib.tasks.assimilation.report import draw_errors
from pipeline_lib.tasks.assimilation.score import score_stores
from tests.tasks.assimilation.projects import circling, trained

LENGTH, STATES = 24, 100


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    ds = circling()
    model = trained(tmp_path_factory.mktemp("model"), ds, "time_interpolation", assimilation={"window": LENGTH})
    test = ds.isel(time=slice(200, 200 + STATES))
    return product(model, test, device="cpu", threads=None), test


def drawn(ds, *products, title="one"):
    """The figure of one competitor whose seeds made these products."""
    counts = [score_stores(p, None, ds, ScoringOptions(), where="model")[0] for p in products]
    runs = tuple(Run(seed=i, counts=found) for i, found in enumerate(counts))
    by_seed = dict(enumerate(products))
    competitor = Competitor(name=title, title=title, colour="#0072b2", runs=runs, card={})
    return draw_errors(SimpleNamespace(valid=[competitor], product=lambda run: by_seed[run.seed]))


def test_a_line_is_the_error_at_each_time_since_the_start_of_a_window(stored):
    found, ds = stored
    figure = drawn(ds, found)
    (ax,) = figure.figure.axes
    (line,) = ax.lines
    # The last window starts at 76, and gives its last four times.
    place = np.concatenate([np.tile(np.arange(LENGTH), 4), [20, 21, 22, 23]])
    error = ((found.analysis.values - ds.state.values) ** 2).mean(axis=1)
    expected = [np.sqrt(error[place == i].mean()) for i in range(LENGTH)]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(LENGTH))
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    assert "standard deviation" not in figure.caption


def test_spread_has_a_panel_and_a_band_reaches_over_the_seeds(stored):
    found, ds = stored
    one = found.assign(spread=xr.full_like(found.analysis, 0.5))
    other = found.assign(spread=xr.full_like(found.analysis, 1.5), analysis=ds.state + 1.0)
    figure = drawn(ds, one, other)
    left, right = figure.figure.axes
    np.testing.assert_allclose(right.lines[0].get_ydata(), 1.0)
    band = right.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (0.5, 1.5)
    alone = drawn(ds, one).figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(left.lines[0].get_ydata(), (alone + 1.0) / 2)
    assert "standard deviation over the members" in figure.caption


def test_long_windows_put_neighbours_together():
    times = np.datetime64("2000-01-01", "ns") + np.arange(401) * np.timedelta64(864, "s")
    dims, shape = ("time", "component"), (401, 3)
    truth = np.zeros(shape)
    error = np.arange(401.0)[:, None] * np.ones(3)
    seen = (dims, truth, {"error_variance": 1.0})
    long = xr.Dataset({"state": (dims, truth), "observation": seen}, {"time": times})
    variables = {"analysis": (dims, error), "used": (dims, truth), "window_position": ("time", np.arange(401))}
    (line,) = drawn(long, xr.Dataset(variables, {"time": times})).figure.axes[0].lines
    assert line.get_xdata()[:3].tolist() == [0, 3, 6]
    assert line.get_ydata()[1] == pytest.approx(np.sqrt((9 + 16 + 25) / 3))
    assert len(line.get_xdata()) == 134


def test_nothing_to_draw_is_said():
    assert draw_errors(SimpleNamespace(valid=[])).caption == "No model has a valid score."
