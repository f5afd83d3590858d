import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_lib.errors import DataError
from pipeline_lib.ocean.eddies.detect import detect_eddies
from pipeline_lib.ocean.eddies.options import DetectionOptions
from pipeline_lib.ocean.eddies.table import EDDY_SCHEMA
from pipeline_lib.ocean.geostrophy import geostrophic_velocity

R = 6_370_997.0
G, DAY = 9.807, 86_164.1


def distance(lat, lon, centre):
    phi, lam = np.deg2rad(lat)[:, None], np.deg2rad(lon)
    phi0, lam0 = np.deg2rad(centre)
    chord = np.sin((phi - phi0) / 2) ** 2 + np.cos(phi) * np.cos(phi0) * np.sin((lam - lam0) / 2) ** 2
    return 2 * R * np.arcsin(np.sqrt(chord))


def gaussian(lat, lon, centre, amplitude, length):
    return amplitude * np.exp(-(distance(lat, lon, centre) ** 2) / (2 * length**2))


def detect(h, lat, lon, **options):
    u, v = geostrophic_velocity(h, lat, lon)
    return detect_eddies(h, u, v, lat, lon, options=DetectionOptions(**options))


def random_field(seed, size=96):
    """Height with the spectrum that EddyNet-like synthetic maps use: scale 80 km, spread 0.1 m."""
    k = 2 * np.pi * np.fft.fftfreq(size, 25.0)
    noise = np.fft.fft2(np.random.default_rng(seed).standard_normal((size, size)))
    h = np.fft.ifft2(noise * np.exp(-(k[:, None] ** 2 + k**2) * 80**2 / 4)).real
    return 0.1 * h / h.std(), 30.0 + 0.25 * np.arange(size), 0.25 * np.arange(size)


# Amplitude [m], length [km], latitude; then what pyEddyTracker 3.6.2 gave on a 0.25 degree grid:
# amplitude [m], radius of the speed contour [km], of the effective contour [km], speed [m/s].
GAUSSIANS = [
    (0.20, 60, -40, 0.192, 58.6, 183, 0.205),
    (0.10, 40, -40, 0.091, 40.3, 114, 0.149),
    (0.30, 100, -40, 0.295, 100.5, 318, 0.189),
    (0.20, 60, -30, 0.191, 61.5, 183, 0.264),
    (0.02, 60, -40, 0.017, 59.7, 129, 0.021),
]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("height", "length", "where", "amplitude", "radius", "outer", "speed"), GAUSSIANS)
def test_isolated_gaussian(height, length, where, amplitude, radius, outer, speed, sign):
    lat, lon = np.arange(where - 8, where + 8.01, 0.25), np.arange(-10, 10.01, 0.25)
    h = sign * gaussian(lat, lon, (where + 0.1, 0.125), height, length * 1e3)
    table = detect(h, lat, lon).eddies
    assert table["polarity"].tolist() == [1 if sign > 0 else 2]
    eddy = table.iloc[0]
    assert eddy["radius_speed"] == pytest.approx(radius * 1e3, rel=0.03)
    assert eddy["radius_effective"] == pytest.approx(outer * 1e3, rel=0.03)
    assert eddy["speed_average"] == pytest.approx(speed, abs=max(0.0006, 0.01 * speed))
    assert eddy["amplitude"] == pytest.approx(amplitude, abs=0.0016)
    # Theory: the fastest ring is at r = L and turns with (g / f) (A / L) exp(-1/2).
    assert eddy["radius_speed"] == pytest.approx(length * 1e3, rel=0.03)
    f = 4 * np.pi * abs(np.sin(np.deg2rad(where))) / DAY
    assert eddy["speed_average"] == pytest.approx(G / f * height / (length * 1e3) * np.exp(-0.5), rel=0.07)
    assert distance(np.array([eddy["latitude"]]), eddy["longitude"], (where + 0.1, 0.125)) < 0.25 * 111e3
    assert distance(np.array([eddy["latitude_extremum"]]), eddy["longitude_extremum"], (where, 0)) < 0.25 * 111e3


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), land=st.booleans())
def test_every_eddy_keeps_the_rules(seed, land):
    h, lat, lon = random_field(seed)
    if land:
        h[30:45, 20:60] = np.nan
    rules = DetectionOptions()
    found = detect(h, lat, lon)
    assert len(found.eddies) > 20
    x, y = np.meshgrid(lon, lat)
    maps = {name: np.zeros(h.shape, int) for name in ("effective", "speed")}
    for eddy in found.eddies.itertuples():
        sign = 1 if eddy.polarity == 1 else -1
        for name, painted in maps.items():
            ring = np.stack([getattr(eddy, f"contour_{name}_{axis}") for axis in ("longitude", "latitude")], axis=1)
            assert (ring[0] == ring[-1]).all()
            # On the border of the grid a cell can lie exactly on a contour: it counts.
            inside = shapely.intersects_xy(shapely.Polygon(ring), x, y)
            assert inside.sum() == getattr(eddy, f"cells_{name}")
            assert (painted[inside] == 0).all()  # eddies do not overlap
            painted[inside] = eddy.polarity
            level = getattr(eddy, f"level_{name}")
            assert (sign * (h[inside] - level) >= 0).all()
        effective = np.stack([eddy.contour_effective_longitude, eddy.contour_effective_latitude], axis=1)
        inside = shapely.intersects_xy(shapely.Polygon(effective), x, y)
        peaks = 0
        for j, i in zip(*np.nonzero(inside), strict=True):
            around = h[max(j - 1, 0) : j + 2, max(i - 1, 0) : i + 2]
            peaks += np.nanmax(sign * around) == sign * h[j, i]
        assert peaks == 1
        highest = (sign * (h[inside] - eddy.level_effective)).max()
        assert eddy.amplitude == pytest.approx(highest, abs=1e-12)
        assert highest >= rules.amplitude_steps * rules.step
        assert rules.pixel_min <= inside.sum() <= rules.pixel_max
        assert sign * (eddy.level_speed - eddy.level_effective) >= 0
    np.testing.assert_array_equal(found.effective_classes, maps["effective"])
    np.testing.assert_array_equal(found.speed_classes, maps["speed"])


def test_rules_are_obeyed_when_they_change():
    h, lat, lon = random_field(7)
    base = detect(h, lat, lon).eddies
    assert len(detect(h, lat, lon, step=0.01).eddies) < len(base)
    assert len(detect(h, lat, lon, shape_error=20).eddies) < len(base)
    assert detect(h, lat, lon, pixel_max=12).eddies["cells_effective"].max() <= 12
    assert detect(h, lat, lon, pixel_min=30).eddies["cells_effective"].min() >= 30
    assert detect(h, lat, lon, amplitude_steps=25).eddies["amplitude"].min() >= 0.05
    merged = detect(h, lat, lon, extrema_max=5).eddies
    assert merged["cells_effective"].max() > base["cells_effective"].max()


def several(lat, lon, sign=1):
    """Separate vortices, some of each kind."""
    parts = [
        gaussian(lat, lon, (40, -8), 0.2, 60e3),
        -gaussian(lat, lon, (38, 3), 0.1, 80e3),
        gaussian(lat, lon, (44, 8), 0.15, 50e3),
        -gaussian(lat, lon, (46, -4), 0.12, 70e3),
    ]
    return sign * sum(parts)


def test_turned_upside_down_the_classes_swap():
    lat, lon = np.arange(32, 52, 0.25), np.arange(-15, 15, 0.25)
    up, down = (detect(several(lat, lon, sign), lat, lon) for sign in (1, -1))
    assert sorted(up.eddies["polarity"]) == [1, 1, 2, 2]
    swap = np.array([0, 2, 1], np.int8)
    np.testing.assert_array_equal(down.effective_classes, swap[up.effective_classes])
    np.testing.assert_array_equal(down.speed_classes, swap[up.speed_classes])
    np.testing.assert_allclose(np.sort(down.eddies["radius_speed"]), np.sort(up.eddies["radius_speed"]), rtol=1e-9)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), shift=st.sampled_from([-360.0, -41.5, 13.25, 180.0, 360.0]))
def test_labels_do_not_depend_on_the_longitude_reference(seed, shift):
    h, lat, lon = random_field(seed, 64)
    here, there = detect(h, lat, lon), detect(h, lat, lon + shift)
    np.testing.assert_array_equal(there.speed_classes, here.speed_classes)
    np.testing.assert_array_equal(there.effective_classes, here.effective_classes)
    moved = (there.eddies["longitude"] - here.eddies["longitude"] - shift + 180) % 360 - 180
    np.testing.assert_allclose(moved, 0, atol=1e-6)
    assert there.eddies["longitude"].between(-180, 180, inclusive="left").all()


def test_eddies_across_the_dateline():
    lat, lon = np.arange(20, 60, 0.5), np.arange(-180, 180, 0.5)
    h = gaussian(lat, lon, (40, 179.8), 0.2, 120e3) - gaussian(lat, lon, (48, -175), 0.2, 120e3)
    inland = gaussian(lat, lon, (40, -0.2), 0.2, 120e3) - gaussian(lat, lon, (48, 5), 0.2, 120e3)
    seam, plain = detect(h, lat, lon), detect(inland, lat, lon)
    assert seam.eddies["polarity"].tolist() == [1, 2]
    np.testing.assert_array_equal(np.roll(seam.speed_classes, 360, axis=1), plain.speed_classes)
    np.testing.assert_array_equal(np.roll(seam.effective_classes, 360, axis=1), plain.effective_classes)
    assert abs(abs(seam.eddies["longitude"][0]) - 179.8) < 0.2
    for name in ("latitude", "radius_speed", "radius_effective", "amplitude", "speed_average"):
        np.testing.assert_allclose(seam.eddies[name], plain.eddies[name], rtol=1e-3)


def test_an_eddy_against_the_coast_is_lost_only_where_it_touches():
    lat, lon = np.arange(32, 52, 0.25), np.arange(-15, 15, 0.25)
    h = several(lat, lon)
    free = detect(h, lat, lon)
    h[distance(lat, lon, (40, -8)) < 30e3] = np.nan  # an island in the middle of the first vortex
    cut = detect(h, lat, lon)
    assert sorted(cut.eddies["polarity"]) == [1, 2, 2]
    rest = lon > -5
    np.testing.assert_array_equal(cut.effective_classes[:, rest], free.effective_classes[:, rest])
    assert (cut.effective_classes[np.isnan(h)] == 0).all()


@pytest.mark.parametrize("value", [0.0, 0.37, np.nan])
def test_a_field_without_eddies_gives_an_empty_table(value):
    lat, lon = np.arange(30, 40, 0.5), np.arange(0, 10, 0.5)
    h = np.full((lat.size, lon.size), value)
    slope = h + 0.01 * lat[:, None]
    for field in (h, slope):
        found = detect(field, lat, lon)
        assert found.speed_classes.dtype == np.int8
        assert not found.speed_classes.any()
        assert not found.effective_classes.any()
        assert found.eddies.empty
        assert found.eddies.dtypes.astype(str).to_dict() == EDDY_SCHEMA


def test_the_table_has_its_schema():
    h, lat, lon = random_field(1)
    table = detect(h, lat, lon).eddies
    assert table.dtypes.astype(str).to_dict() == EDDY_SCHEMA
    numbers = table.select_dtypes("number")
    assert np.isfinite(numbers.to_numpy()).all()
    assert isinstance(table, pd.DataFrame)


def test_one_wild_cell_does_not_change_the_rest():
    h, lat, lon = random_field(3)
    plain = detect(h, lat, lon)
    h[50, 50] = 40.0
    wild = detect(h, lat, lon)
    far = np.ones(h.shape, bool)
    far[35:66, 35:66] = False
    same = (plain.speed_classes == wild.speed_classes)[far]
    assert same.mean() > 0.99


def test_repeated_runs_are_identical():
    h, lat, lon = random_field(2)
    a, b = detect(h, lat, lon), detect(h, lat, lon)
    pd.testing.assert_frame_equal(a.eddies, b.eddies, check_exact=True)


def test_wrong_input_is_refused():
    lat, lon = np.arange(30, 40.0), np.arange(0, 8.0)
    with pytest.raises(DataError, match="shape"):
        detect_eddies(np.zeros((10, 8)), np.zeros((10, 7)), np.zeros((10, 7)), lat, lon)
    with pytest.raises(DataError, match="does not fit"):
        detect_eddies(np.zeros((9, 8)), np.zeros((9, 8)), np.zeros((9, 8)), lat, lon)
    with pytest.raises(ValidationError, match="pixel_min"):
        DetectionOptions(pixel_min=10, pixel_max=5)
    with pytest.raises(ValidationError):
        DetectionOptions(steps=3)
