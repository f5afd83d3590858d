import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import label as components

from pipeline_lib.ocean.okubo_weiss import okubo_weiss, okubo_weiss_regions

R = 6_370_997.0
LAT, LON = np.arange(30.0, 50.0, 0.25), np.arange(0.0, 25.0, 0.25)


def gaussian_vortex(lat, lon, centre, length, speed):
    """Velocity of a streamfunction exp(-r^2 / 2 L^2) and r; positive speed turns counter-clockwise."""
    x = R * np.cos(np.deg2rad(lat))[:, None] * np.deg2rad((lon - centre[1] + 180) % 360 - 180)
    y = np.broadcast_to(R * np.deg2rad(lat - centre[0])[:, None], x.shape)
    r = np.hypot(x, y)
    swirl = speed * np.exp(0.5 - r**2 / (2 * length**2)) / length
    return -swirl * y, swirl * x, r


def test_values_in_a_gaussian_vortex():
    length, speed = 150e3, 0.3
    u, v, r = gaussian_vortex(LAT, LON, (40, 12), length, speed)
    w, zeta = okubo_weiss(u, v, LAT, LON)
    q = r / length
    unit = speed * np.exp(0.5 - q**2 / 2) / length
    near = q < 1.5
    scale = (2 * unit.max()) ** 2
    np.testing.assert_allclose(zeta[near], ((2 - q**2) * unit)[near], atol=0.05 * 2 * unit.max())
    np.testing.assert_allclose(w[near], ((q**4 - (2 - q**2) ** 2) * unit**2)[near], atol=0.05 * scale)


@pytest.mark.parametrize(("hemisphere", "turn", "expected"), [(1, 1, 2), (1, -1, 1), (-1, 1, 1), (-1, -1, 2)])
def test_sign_follows_rotation_and_hemisphere(hemisphere, turn, expected):
    lat = np.sort(hemisphere * LAT)
    u, v, r = gaussian_vortex(lat, LON, (40 * hemisphere, 12), 120e3, 0.3 * turn)
    found = okubo_weiss_regions(u, v, lat, LON)
    assert set(np.unique(found.classes)) == {0, expected}
    # W changes sign at r = L; the threshold lies a little inside.
    assert r[found.classes > 0].max() < 1.1 * 120e3
    assert r[found.classes == 0].min() > 0.75 * 120e3


def test_one_region_across_the_dateline():
    lat, lon = np.arange(30.0, 50.0), np.arange(-180.0, 180.0)
    u, v, _ = gaussian_vortex(lat, lon, (40, 179.6), 300e3, 0.3)
    found = okubo_weiss_regions(u, v, lat, lon)
    assert found.regions.max() == 1
    u, v, _ = gaussian_vortex(lat, lon, (40, 20.6), 300e3, 0.3)
    inland = okubo_weiss_regions(u, v, lat, lon)
    np.testing.assert_array_equal(np.roll(found.classes, -159, axis=1), inland.classes)


def test_regions_are_the_components_that_are_large_enough():
    rng = np.random.default_rng(4)
    u, v = gaussian_filter(rng.normal(size=(2, LAT.size, LON.size)), (0, 1.5, 1.5))
    u[:20, :20] = np.nan
    found = okubo_weiss_regions(u, v, LAT, LON, fewest_cells=8)
    w, zeta = okubo_weiss(u, v, LAT, LON)
    core = w < -0.2 * np.nanstd(w)
    expected = np.zeros(w.shape, int)
    for code, mask in ((1, core & (zeta < 0)), (2, core & (zeta > 0))):
        numbers = components(mask, connectivity=1)
        for number in range(1, numbers.max() + 1):
            if (numbers == number).sum() >= 8:
                expected[numbers == number] = code
    assert (expected > 0).sum() > 100
    np.testing.assert_array_equal(found.classes, expected)
    sizes = np.bincount(found.regions.ravel())[1:]
    assert sizes.min() >= 8


def test_calm_or_missing_sea_has_no_region():
    for value in (0.0, np.nan):
        still = np.full((LAT.size, LON.size), value)
        assert okubo_weiss_regions(still, still, LAT, LON).regions.max() == 0
