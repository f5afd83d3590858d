import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.errors import DataError
from pipeline_lib.ocean.geostrophy import geostrophic_velocity

G, R, DAY = 9.807, 6_370_997.0, 86_164.1


def coriolis(lat):
    return 4 * np.pi * np.sin(np.deg2rad(lat)) / DAY


def wave(lat, lon, zonal=6, meridional=12):
    """Height and its exact geostrophic velocity."""
    phi, lam = np.meshgrid(np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    h = np.cos(zonal * lam) * np.sin(meridional * phi)
    dh_dx = -zonal * np.sin(zonal * lam) * np.sin(meridional * phi) / (R * np.cos(phi))
    dh_dy = meridional * np.cos(zonal * lam) * np.cos(meridional * phi) / R
    f = coriolis(lat)[:, None]
    return h, -G / f * dh_dy, G / f * dh_dx


def errors(step):
    lat, lon = np.arange(20.0, 70.0 + step / 2, step), np.arange(-180.0, 180.0, step)
    h, u, v = wave(lat, lon)
    got_u, got_v = geostrophic_velocity(h, lat, lon)
    inner = slice(4, -4)
    return np.max(np.abs(got_u - u)[inner]), np.max(np.abs(got_v - v))


def test_converges_with_order_eight():
    coarse, fine = errors(2.5), errors(1.25)
    assert coarse[0] / fine[0] > 0.8 * 2**8
    assert coarse[1] / fine[1] > 0.8 * 2**8


def test_a_slope_gives_a_uniform_current():
    lat, lon = np.arange(30.0, 40.0, 0.25), np.arange(0.0, 10.0, 0.25)
    h = np.broadcast_to(1e-6 * R * np.deg2rad(lat)[:, None], (lat.size, lon.size))
    u, v = geostrophic_velocity(h, lat, lon)
    np.testing.assert_allclose(u, np.broadcast_to((-G / coriolis(lat) * 1e-6)[:, None], u.shape), rtol=1e-9)
    np.testing.assert_allclose(v, 0, atol=1e-12)


def one_cell(line, i):
    """Derivative by index from the widest complete stencil, weights solved from Taylor's conditions."""
    n = line.size
    for w in (4, 3, 2, 1):
        if i - w >= 0 and i + w < n and np.isfinite(line[i - w : i + w + 1]).all():
            points = np.arange(-w, w + 1.0)
            weights = np.linalg.solve(np.vander(points, increasing=True).T, np.eye(2 * w + 1)[1])
            return weights @ line[i - w : i + w + 1]
    if i + 1 < n and np.isfinite(line[i + 1]):
        return line[i + 1] - line[i]
    return line[i] - line[i - 1] if i > 0 else np.nan


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), missing=st.floats(0, 0.6))
def test_every_cell_uses_the_widest_stencil_without_missing_values(seed, missing):
    rng = np.random.default_rng(seed)
    lat, lon = np.arange(30.0, 41.0), np.arange(5.0, 18.0)
    h = rng.normal(size=(lat.size, lon.size))
    h[rng.random(h.shape) < missing] = np.nan
    u, v = geostrophic_velocity(h, lat, lon)
    size = R * np.deg2rad(1.0)
    for j, i in np.ndindex(h.shape):
        if np.isnan(h[j, i]):
            assert np.isnan(u[j, i])
            assert np.isnan(v[j, i])
            continue
        f = coriolis(lat[j])
        expected = -G / f * one_cell(h[:, i], j) / size
        np.testing.assert_allclose(u[j, i], expected, rtol=1e-8, atol=1e-9)
        expected = G / f * one_cell(h[j], i) / (size * np.cos(np.deg2rad(lat[j])))
        np.testing.assert_allclose(v[j, i], expected, rtol=1e-8, atol=1e-9)


def test_no_balance_near_the_equator():
    lat, lon = np.arange(-5.0, 5.5, 0.5), np.arange(0.0, 10.0)
    u, v = geostrophic_velocity(np.random.default_rng(0).normal(size=(lat.size, lon.size)), lat, lon)
    near = np.abs(lat) <= 2
    assert np.isnan(u[near]).all()
    assert np.isnan(v[near]).all()
    assert np.isfinite(u[~near]).all()
    assert np.isfinite(v[~near]).all()


def test_series_is_done_map_by_map():
    lat, lon = np.arange(30.0, 40.0), np.arange(0.0, 12.0)
    h = np.random.default_rng(1).normal(size=(3, lat.size, lon.size))
    u, v = geostrophic_velocity(h, lat, lon)
    for one, a, b in zip(h, u, v, strict=True):
        np.testing.assert_array_equal(np.stack([a, b]), np.stack(geostrophic_velocity(one, lat, lon)))


@pytest.mark.parametrize(
    ("lat", "lon", "complaint"),
    [
        ([3, 2, 1], [0, 1, 2], "ascend"),
        ([1, 2, 3], [0, 1, 3], "even steps"),
        ([1, 2], [0, 1, 2], "does not fit"),
        ([89, 90, 91], [0, 1, 2], "within"),
    ],
)
def test_wrong_axes_are_refused(lat, lon, complaint):
    with pytest.raises(DataError, match=complaint):
        geostrophic_velocity(np.zeros((3, 3)), lat, lon)
