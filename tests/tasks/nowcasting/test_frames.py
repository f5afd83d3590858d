"""Panels of forecast frames."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from pipeline_lib.report.style import journal_style
from pipeline_lib.tasks.nowcasting.frames import Shown, animated, draw_frames, find_shown
from pipeline_lib.tasks.nowcasting.options import Interior


@pytest.mark.parametrize(
    ("interior", "expected"),
    [
        (Interior(), []),
        (Interior(rows=(2, 5), columns=(3, 8)), [(2.5, 1.5, 5, 3)]),
        (Interior(columns=(3, 8)), [(2.5, -0.5, 5, 6)]),
    ],
)
def test_each_panel_shows_the_cells_that_are_scored(interior, expected):
    frames = np.random.default_rng(0).random((2, 6, 8))
    shown = Shown(np.datetime64("2010-08-26T05:00"), frames[0], frames, {"Flow": frames}, "1", 5.0, interior)
    panels = [ax for ax in animated(shown, 1).axes if ax.get_visible()]
    assert len(panels) == 2
    for ax in panels:
        boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
        assert [(*box.get_xy(), box.get_width(), box.get_height()) for box in boxes] == expected


def context(dims, *, seconds=None, titles=("Model",), attrs=None, cells=(4, 5), leads=2):
    """What a report knows of competitors whose only forecast is the truth, of frames five minutes apart."""
    count = leads + 4
    frames = np.random.default_rng(0).random((count, *cells))
    times = np.datetime64("2010-08-26", "ns") + np.arange(count) * np.timedelta64(300, "s")
    times = times + np.array(seconds or [0] * count) * np.timedelta64(1, "ms")
    ds = xr.Dataset({"echo": (("time", *dims), frames, attrs or {})}, {"time": times})
    forecast = (("time", "lead", *dims), frames[None, 2 : 2 + leads], {"step_minutes": 5.0})
    product = xr.Dataset({"forecast": forecast}, {"time": times[1:2], "lead": np.arange(1, leads + 1)})
    competitors = [SimpleNamespace(runs=[None], title=title) for title in titles]
    spec = SimpleNamespace(inputs=["echo"], scoring={"metrics": ["frame_mse"]})
    return SimpleNamespace(valid=competitors, product=lambda _: product, dataset=ds, spec=spec)


@pytest.mark.parametrize(
    ("dims", "upwards"), [(("row", "column"), False), (("y", "x"), True), (("latitude", "longitude"), True)]
)
def test_pictures_stand_upright_and_maps_have_north_above(dims, upwards):
    shown = find_shown(context(dims))
    for ax in (ax for ax in animated(shown, 0).axes if ax.get_visible()):
        bottom, top = ax.get_ylim()
        assert bool(bottom < top) is upwards


def test_times_that_were_rounded_are_in_a_row_as_they_are_for_forecasts():
    rounded = find_shown(context(("y", "x"), seconds=(0, 0, 400, -300, 0, 0)))
    assert rounded is not None
    assert len(rounded.truth) == 2
    assert find_shown(context(("y", "x"), seconds=(0, 0, 1600, 0, 0, 0))) is None


@pytest.mark.parametrize("count", [1, 11, 12, 13])
def test_who_is_not_drawn_is_named(count):
    titles = [f"Model {number}" for number in range(1, count + 1)]
    still, moving = draw_frames(context(("y", "x"), titles=titles))
    shown = {ax.get_title() for ax in moving.figure.axes} & set(titles)
    assert shown == {ax.get_ylabel().replace("\n", " ") for ax in still.figure.axes} & set(titles)
    named = [title for title in titles if f" {title} " in f"{still.caption} ".replace(",", " ")]
    assert sorted(shown | set(named)) == sorted(titles)
    assert not shown & set(named)
    assert (" left out." in still.caption) is (" left out." in moving.caption) is (count > 11)


@pytest.mark.parametrize(
    ("attrs", "label"),
    [
        (
            {"units": "1", "long_name": "radar reflectivity as share of its range"},
            "Radar reflectivity as share of its range",
        ),
        ({"units": "mm h-1", "long_name": "rain rate"}, "Rain rate (mm h-1)"),
        ({}, "Echo"),
    ],
)
def test_the_colour_bar_says_what_is_shown_in_which_unit(attrs, label):
    still, _ = draw_frames(context(("y", "x"), attrs=attrs))
    assert still.figure.axes[0].get_ylabel() == "truth"
    assert still.figure.axes[-1].get_ylabel().replace("\n", " ") == label


ECHO = {"units": "1", "long_name": "radar reflectivity as share of its range"}
FEW, MANY = ["Last frame"], ["ROVER, non-linear", "ConvGRU, no weights", "U-Net"]


@pytest.mark.parametrize(
    ("cells", "titles"),
    [((16, 64), MANY), ((36, 64), FEW), ((24, 24), MANY), ((64, 16), MANY)],
    ids=["wide", "16 to 9", "square", "tall"],
)
def test_frames_of_any_shape_stand_close_beside_each_other_and_no_word_is_cut_off(cells, titles):
    with journal_style():
        still, _ = draw_frames(context(("y", "x"), titles=titles, attrs=ECHO, cells=cells, leads=6))
        figure = still.figure
        figure.draw_without_rendering()
        words = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
        places = [text.get_window_extent() for text in words]
    shown = " ".join(text.get_text().replace("\n", " ") for text in words)
    assert all(title in shown for title in [*titles, "truth", "+5 min", "+30 min", ECHO["long_name"][1:]])
    width, height = figure.bbox.size
    for text, place in zip(words, places, strict=True):
        assert min(place.x0, place.y0, width - place.x1, height - place.y1) >= 0, text
    panels = [ax.get_window_extent() for ax in figure.axes[:-1]]
    assert len(panels) == 5 * (1 + len(titles))
    for number, (left, right) in enumerate(pairwise(panels), start=1):
        if number % 5:
            assert 0 < right.x0 - left.x1 < left.width / 3
    for panel in panels:
        assert panel.height / panel.width == pytest.approx(cells[0] / cells[1])
    names = [ax.yaxis.label.get_window_extent() for ax in figure.axes[:-1:5]]
    assert all(above.y0 > below.y1 for above, below in pairwise(names))
