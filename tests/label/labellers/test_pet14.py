import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydantic import ValidationError

from pipeline_lib.errors import DataError
from pipeline_lib.label.base import LABEL_SCHEMA
from pipeline_lib.label.registry import LABELLERS
from pipeline_lib.ocean.eddies.detect import detect_eddies
from pipeline_lib.ocean.eddies.options import DetectionOptions
from pipeline_lib.ocean.geostrophy import geostrophic_velocity
from pipeline_lib.ocean.high_pass import bessel_high_pass

DIMS = ("time", "latitude", "longitude")


@pytest.fixture(scope="module")
def ds():
    lat, lon = np.arange(30, 44, 0.25), np.arange(-20, 0, 0.25)
    noise = np.random.default_rng(0).standard_normal((3, lat.size, lon.size))
    k = np.fft.fftfreq(lat.size)[:, None] ** 2 + np.fft.fftfreq(lon.size) ** 2
    adt = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-k * 120)).real
    adt *= 0.1 / adt.std()
    adt[1] = 0  # a day without eddies between two with
    adt[:, :12, :12] = np.nan
    u, v = geostrophic_velocity(adt, lat, lon)
    coords = {
        "time": pd.date_range("2005-04-01", periods=3, unit="ns"),
        "latitude": lat.astype(np.float32),
        "longitude": lon.astype(np.float32),
    }
    fields = {"adt_high_pass": bessel_high_pass(adt, lat, lon), "ugos": u, "vgos": v}
    return xr.Dataset({name: (DIMS, field.astype(np.float32)) for name, field in fields.items()}, coords)


@pytest.mark.parametrize("contour", ["speed", "effective"])
def test_each_map_is_labelled_as_detect_eddies_does(ds, contour):
    pet14 = LABELLERS.get("pet14")
    labels = pet14.label(ds, pet14.Options(contour=contour))
    total = 0
    for index, time in enumerate(ds["time"].to_numpy()):
        day = [ds[name].to_numpy()[index].astype(float) for name in pet14.needs]
        found = detect_eddies(*day, ds["latitude"].to_numpy(), ds["longitude"].to_numpy(), options=DetectionOptions())
        np.testing.assert_array_equal(labels.classes.sel(time=time), getattr(found, f"{contour}_classes"))
        rows = labels.eddies[labels.eddies["time"] == time].drop(columns="time").reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, found.eddies, check_exact=True)
        total += len(rows)
    assert total == len(labels.eddies) > 20
    assert not (labels.eddies["time"] == ds["time"].to_numpy()[1]).any()


@pytest.mark.parametrize("name", ["pet14", "okubo_weiss"])
def test_labels_carry_their_description(ds, name):
    labeller = LABELLERS.get(name)
    labels = labeller.label(ds, labeller.Options())
    assert labels.classes.dims == DIMS
    assert labels.classes.dtype == np.int8
    assert labels.classes.attrs["flag_values"].tolist() == [0, 1, 2]
    assert labels.classes.attrs["flag_meanings"] == "none anticyclonic cyclonic"
    assert labels.classes.attrs["labeller"] == name
    for axis in DIMS:
        np.testing.assert_array_equal(labels.classes[axis], ds[axis])
    assert set(np.unique(labels.classes)) == {0, 1, 2}
    assert labels.eddies.dtypes.astype(str).to_dict() == LABEL_SCHEMA


@pytest.mark.parametrize("name", ["pet14", "okubo_weiss"])
@pytest.mark.parametrize("days", [slice(1, 2), slice(0, 0)])
def test_tables_without_eddies_keep_their_schema(ds, name, days):
    labeller = LABELLERS.get(name)
    labels = labeller.label(ds.isel(time=days), labeller.Options())
    assert labels.eddies.empty
    assert labels.eddies.dtypes.astype(str).to_dict() == LABEL_SCHEMA
    assert labels.classes.shape == ds["ugos"].isel(time=days).shape
    assert not labels.classes.any()


@pytest.mark.parametrize("name", ["pet14", "okubo_weiss"])
def test_wrong_datasets_are_refused(ds, name):
    labeller = LABELLERS.get(name)
    with pytest.raises(DataError, match="'vgos' is missing"):
        labeller.label(ds.drop_vars("vgos"), labeller.Options())
    with pytest.raises(DataError, match="transpose"):
        labeller.label(ds.transpose("longitude", "latitude", "time"), labeller.Options())


@pytest.mark.parametrize("name", ["pet14", "okubo_weiss"])
def test_options_are_closed_and_described(name):
    options = LABELLERS.get(name).Options
    with pytest.raises(ValidationError):
        options(colour="red")
    assert all(field.description for field in options.model_fields.values())
    assert all("[" in field.description for key, field in options.model_fields.items() if key != "contour")


def test_lazy_data_give_the_same_labels(ds):
    pet14 = LABELLERS.get("pet14")
    lazy = pet14.label(ds.chunk(time=1), pet14.Options())
    xr.testing.assert_identical(lazy.classes, pet14.label(ds, pet14.Options()).classes)
