"""The shipped land: where it must be, where it must not be, and how it is cut."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline_lib.report import coastline
from pipeline_lib.report.coastline import draw_land, land_path, rings

LAND = {
    "Madrid": (-3.7, 40.4), "Algeria": (3.0, 34.0), "Cairo": (31.2, 30.0), "Anatolia": (33.0, 39.0),
    "Sardinia": (9.0, 40.1), "Sicily": (14.2, 37.5), "Crete": (24.9, 35.25), "Cyprus": (33.0, 35.0),
    "Chukotka west of the date line": (175.0, 67.0), "Chukotka east of it": (-175.0, 66.7), "Antarctica": (0.0, -85.0),
    "Paraguay": (-58.0, -23.0), "Alice Springs": (133.9, -23.7),
}  # fmt: skip
SEA = {
    "Alboran": (-3.0, 36.0), "Balearic": (3.0, 38.0), "Tyrrhenian": (12.0, 39.5), "Ionian": (18.5, 36.0),
    "Adriatic": (16.0, 42.6), "Aegean": (25.2, 38.6), "Levantine": (32.0, 33.5), "Black": (34.0, 43.2),
    "Caspian": (51.0, 41.0), "Pacific": (-150.0, 0.0), "date line": (179.9, -50.0), "Arctic": (0.0, 88.0),
}  # fmt: skip


def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Even-odd rule, written out: how many edges of all rings lie to the east of a point."""
    odd = np.zeros(x.shape, bool)
    for ring in rings():
        (x0, y0), (x1, y1) = ring[:-1].T, ring[1:].T
        for a, b, c, d in zip(x0, y0, x1, y1, strict=True):
            if b == d or max(a, c) < x.min():
                continue
            crosses = (b > y) != (d > y)
            odd ^= crosses & (x < a + (y - b) * (c - a) / (d - b))
    return odd


def test_places_lie_where_they_do():
    places = {**LAND, **SEA}
    x, y = (np.array([place[i] for place in places.values()]) for i in (0, 1))
    found = dict(zip(places, inside(x, y), strict=True))
    assert {name: found[name] for name in LAND} == dict.fromkeys(LAND, True)
    assert {name: found[name] for name in SEA} == dict.fromkeys(SEA, False)


def test_rings_are_closed_and_within_the_world():
    for ring in rings():
        assert (ring[0] == ring[-1]).all()
        assert abs(ring[:, 0]).max() <= 180
        assert abs(ring[:, 1]).max() <= 90


def test_the_file_is_small():
    assert Path(coastline.__file__).with_name("coastline.npz").stat().st_size <= 150_000


def test_the_mediterranean_is_cut_out_with_a_margin_and_drawn():
    path = land_path((-6.0, 37.0, 30.0, 46.0))
    assert len(path) > 1000
    assert path.vertices[:, 0].min() >= -7.001
    assert path.vertices[:, 0].max() <= 38.001
    figure = Figure(figsize=(4, 2), dpi=50)
    canvas = FigureCanvasAgg(figure)
    ax = figure.add_axes((0, 0, 1, 1))
    draw_land(ax, (-6.0, 37.0, 30.0, 46.0))
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].reshape(-1, 3)
    land = (abs(pixels.astype(int) - [0xE9, 0xE6, 0xDF]) <= 2).all(axis=1).mean()
    assert 0.45 < land < 0.75  # the basin with its coasts: a little more land than sea


def test_a_box_on_the_open_sea_has_no_land():
    assert len(land_path((-150.0, -145.0, -30.0, -25.0))) == 0


def test_it_agrees_with_the_mask_of_real_altimetry():
    mirror = os.environ.get("GYRE_MIRROR")
    files = sorted(Path(mirror).rglob("dt_med_allsat_phy_l4_2005T2.nc")) if mirror else []
    if not files:
        pytest.skip("GYRE_MIRROR names no folder with dt_med_allsat_phy_l4_2005T2.nc")
    with xr.open_dataset(files[0], engine="h5netcdf") as ds:
        sea = np.isfinite(ds.adt.isel(time=0).values)[::4, ::4]
        x, y = np.meshgrid(ds.longitude.values[::4].astype(float), ds.latitude.values[::4].astype(float))
    on_land = inside(x, y)
    assert (on_land & sea).sum() / sea.sum() < 0.04  # cells whose centre the finer coast puts ashore
    assert np.corrcoef(on_land.ravel(), ~sea.ravel())[0, 1] > 0.7  # the Atlantic and the Black Sea are masked there
