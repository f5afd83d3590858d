import numpy as np
import pytest
import xarray as xr

from pipeline_lib.label.registry import LABELLERS

R = 6_370_997.0


def dataset(lat, lon, vortices):
    """Sum of Gaussian vortices: (latitude, longitude, length [m], counter-clockwise speed [m/s])."""
    u = np.zeros((lat.size, lon.size))
    v = np.zeros_like(u)
    for lat0, lon0, length, speed in vortices:
        x = R * np.cos(np.deg2rad(lat))[:, None] * np.deg2rad((lon - lon0 + 180) % 360 - 180)
        y = R * np.deg2rad(lat - lat0)[:, None]
        swirl = speed * np.exp(0.5 - (x**2 + y**2) / (2 * length**2)) / length
        u, v = u - swirl * y, v + swirl * x
    coords = {"time": [np.datetime64("2005-04-01", "ns")], "latitude": lat, "longitude": lon}
    dims = ("time", "latitude", "longitude")
    return xr.Dataset({"ugos": (dims, u[None]), "vgos": (dims, v[None])}, coords)


def test_table_of_two_vortices():
    lat, lon = np.arange(30, 50, 0.25), np.arange(0, 30, 0.25)
    ds = dataset(lat, lon, [(36, 8, 100e3, 0.3), (44, 20, 150e3, -0.45)])
    labeller = LABELLERS.get("okubo_weiss")
    labels = labeller.label(ds, labeller.Options())
    table = labels.eddies.sort_values("latitude")
    assert table["polarity"].tolist() == [2, 1]
    np.testing.assert_allclose(table["latitude"], [36, 44], atol=0.1)
    np.testing.assert_allclose(table["longitude"], [8, 20], atol=0.1)
    np.testing.assert_allclose(table["latitude_extremum"], [36, 44], atol=0.26)
    np.testing.assert_allclose(table["longitude_extremum"], [8, 20], atol=0.26)
    # W < 0 inside r = L; the threshold lies a little inside of that.
    assert (table["radius_speed"] / [100e3, 150e3]).between(0.8, 1.05).all()
    assert table["amplitude"].isna().all()
    assert all(ring == [] for ring in table["contour_speed_longitude"])
    for code, count in zip(table["polarity"], table["cells_speed"], strict=True):
        assert (labels.classes == code).sum() == count


def test_centre_across_the_dateline():
    lat, lon = np.arange(30, 50, 0.5), np.arange(-180, 180, 0.5)
    labeller = LABELLERS.get("okubo_weiss")
    table = labeller.label(dataset(lat, lon, [(40, 179.8, 200e3, 0.3)]), labeller.Options()).eddies
    assert len(table) == 1
    assert table["longitude"][0] == pytest.approx(179.8, abs=0.1)


def test_threshold_and_smallest_region():
    lat, lon = np.arange(30, 50, 0.25), np.arange(0, 30, 0.25)
    ds = dataset(lat, lon, [(36, 8, 100e3, 0.3), (44, 20, 50e3, -0.45)])
    labeller = LABELLERS.get("okubo_weiss")
    size = labeller.label(ds, labeller.Options()).eddies.set_index("polarity")["cells_speed"]
    strict = labeller.label(ds, labeller.Options(threshold=1.0)).eddies.set_index("polarity")["cells_speed"]
    assert strict[2] < size[2]
    large = labeller.label(ds, labeller.Options(pixel_min=int(size.min()) + 1)).eddies
    assert len(large) == 1
