import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import jv

from pipeline_lib.errors import ConfigError
from pipeline_lib.ocean.high_pass import bessel_high_pass

R = 6_370_997.0


def brute_force(h, lat, lon, wavelength_km, order):
    """The definition, one cell at a time, with distances from three-dimensional chords."""
    phi, lam = np.meshgrid(np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    points = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)
    valid = np.isfinite(h)
    out = np.full(h.shape, np.nan)
    for cell in zip(*np.nonzero(valid), strict=True):
        if abs(lat[cell[0]]) > 85:
            out[cell] = h[cell]
            continue
        chord = np.linalg.norm(points - points[cell], axis=-1)
        r = 2 * R * np.arcsin(np.minimum(chord / 2, 1)) / (1000 * wavelength_km)
        with np.errstate(invalid="ignore", divide="ignore"):
            kernel = np.sinc(r / order) * jv(1, 2 * np.pi * r) / r
        kernel[cell] = np.pi
        kernel[(r > order) | ~valid] = 0
        out[cell] = h[cell] - (kernel * np.where(valid, h, 0)).sum() / kernel.sum()
    return out


GRIDS = {
    "regional": (np.arange(30.0, 46.0, 1.0), np.arange(-6.0, 16.0, 1.0)),
    "narrow": (np.arange(20.0, 40.0, 1.0), np.arange(0.0, 4.0, 1.0)),
    "near the pole": (np.arange(66.0, 90.0, 2.0), np.arange(-170.0, 150.0, 8.0)),
    "over half the Earth": (np.arange(40.0, 70.0, 3.0), np.arange(-170.0, 140.0, 10.0)),
    "global": (np.arange(-88.0, 89.0, 8.0), np.arange(-180.0, 180.0, 8.0)),
}


@pytest.mark.parametrize(("wavelength", "order"), [(500, 3), (700, 1), (1500, 2)])
@pytest.mark.parametrize("name", GRIDS)
def test_equals_the_definition(name, wavelength, order):
    lat, lon = GRIDS[name]
    rng = np.random.default_rng(len(name))
    h = rng.normal(size=(lat.size, lon.size))
    h[rng.random(h.shape) < 0.15] = np.nan
    got = bessel_high_pass(h, lat, lon, wavelength_km=wavelength, order=order)
    np.testing.assert_allclose(got, brute_force(h, lat, lon, wavelength, order), rtol=0, atol=1e-11)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), level=st.floats(-5, 5), factor=st.floats(-3, 3))
def test_linear_and_blind_to_a_constant(seed, level, factor):
    lat, lon = GRIDS["regional"]
    h = np.random.default_rng(seed).normal(size=(lat.size, lon.size))
    h[:4, :5] = np.nan
    base = bessel_high_pass(h, lat, lon)
    np.testing.assert_allclose(bessel_high_pass(factor * h + level, lat, lon), factor * base, atol=1e-11)


def test_rolls_with_the_globe():
    lat, lon = GRIDS["global"]
    h = np.random.default_rng(2).normal(size=(lat.size, lon.size))
    rolled = bessel_high_pass(np.roll(h, 11, axis=1), lat, lon)
    np.testing.assert_allclose(rolled, np.roll(bessel_high_pass(h, lat, lon), 11, axis=1), atol=1e-11)


def test_a_series_equals_its_maps_also_when_masks_differ():
    lat, lon = GRIDS["regional"]
    rng = np.random.default_rng(3)
    h = rng.normal(size=(20, lat.size, lon.size))
    for masks in (rng.random(h.shape) < 0.1, np.broadcast_to(rng.random(h.shape[1:]) < 0.1, h.shape)):
        series = np.where(masks, np.nan, h)
        one_by_one = np.stack([bessel_high_pass(one, lat, lon) for one in series])
        np.testing.assert_allclose(bessel_high_pass(series, lat, lon), one_by_one, atol=1e-12)


def test_keeps_short_waves_and_removes_long_ones():
    lat, lon = np.arange(-15.0, 15.0, 0.5), np.arange(-180.0, 180.0, 0.5)
    kept = {}
    for waves in (5, 400):  # 8000 km and 100 km at the equator
        h = np.broadcast_to(np.cos(np.deg2rad(waves * lon)), (lat.size, lon.size)).copy()
        kept[waves] = np.std(bessel_high_pass(h, lat, lon)[30]) / np.std(h)
    assert kept[5] < 0.05
    assert kept[400] > 0.95


def test_impossible_filters_are_refused():
    with pytest.raises(ConfigError, match="wavelength"):
        bessel_high_pass(np.zeros((3, 3)), [1, 2, 3], [1, 2, 3], wavelength_km=0)
