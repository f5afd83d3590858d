"""Predicting on a file from outside: canonical form, preparation as in training, a CF-compliant product."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.workflow.project import eddy_maps, gyre

MODEL = "results/tiny/eddynet/seed0/model.json"


def predict(folder: Path, source: Path, output: Path, *more: str):
    return gyre("predict", "--model", folder / MODEL, "--input", source, "--output", output, *more)


@pytest.fixture(scope="module")
def product(finished, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    eddy_maps().isel(time=slice(49, 52)).to_netcdf(folder / "my_ssh.nc", engine="h5netcdf")
    done = predict(finished, folder / "my_ssh.nc", folder / "eddies.zarr")
    assert done.returncode == 0, done.stderr
    return folder / "eddies.zarr"


def test_agrees_with_the_workflow(finished, product):
    outside = xr.open_zarr(product)
    inside = xr.open_zarr(finished / "results/tiny/eddynet/seed0/products/2005-05.zarr", consolidated=False)
    same = inside.sel(time=outside.time)
    xr.testing.assert_equal(outside.eddy_class, same.eddy_class)
    np.testing.assert_allclose(outside.eddy_probability, same.eddy_probability, atol=1e-6)


def as_netcdf(ds: xr.Dataset, path: Path) -> None:
    """Write what the store holds as netCDF; Zarr keeps attributes as JSON, which has one kind of integer only."""
    for variable in ds.variables.values():
        for name in {"flag_values", "_FillValue"} & set(variable.attrs):
            variable.attrs[name] = np.asarray(variable.attrs[name], variable.dtype)
    plain = {str(name): {"_FillValue": None} for name in ds.variables if "_FillValue" not in ds[name].attrs}
    ds.to_netcdf(path, engine="h5netcdf", encoding=plain)


def test_passes_the_cf_checker(product, tmp_path):
    netcdf = tmp_path / "product.nc"
    as_netcdf(xr.open_zarr(product, mask_and_scale=False), netcdf)
    checker = Path(sys.executable).with_name("compliance-checker")
    done = subprocess.run(
        [checker, "--test", "cf:1.11", "--criteria", "strict", netcdf], capture_output=True, text=True
    )
    assert "All tests passed!" in done.stdout, done.stdout


def test_other_conventions_give_the_same_answer(finished, product, tmp_path):
    ds = eddy_maps().isel(time=slice(49, 52)).rename(adt="ssh", latitude="lat", longitude="lon")
    ds = ds.isel(lat=slice(None, None, -1)).assign_coords(lon=ds.lon % 360)
    ds["ssh"] = (ds.ssh * 100).assign_attrs(units="cm")
    ds.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    done = predict(finished, tmp_path / "other.nc", tmp_path / "other.zarr", "--variable", "adt=ssh")
    assert done.returncode == 0, done.stderr
    a, b = xr.open_zarr(product), xr.open_zarr(tmp_path / "other.zarr")
    np.testing.assert_array_equal(a.eddy_class, b.eddy_class)


def without_units(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign(adt=ds.adt.drop_attrs())


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (lambda ds: ds.rename(adt="ssh"), [], r"has no variable 'adt'; did you mean 'ssh'|has no variable 'adt'"),
        (without_units, [], r"adt: has no unit"),
        (lambda ds: ds.where(False).assign_attrs(ds.attrs), [], r"no finite value on 2005-05-20"),
        (lambda ds: ds, ["--variable", "adt"], r"'adt' is not NAME=NAME_IN_FILE"),
        (lambda ds: ds, ["--variable", "sst=x"], r"'sst' is not needed"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(finished, tmp_path, change, more, message):
    ds = change(eddy_maps().isel(time=slice(49, 51)))
    ds.to_netcdf(tmp_path / "bad.nc", engine="h5netcdf")
    done = predict(finished, tmp_path / "bad.nc", tmp_path / "out.zarr", *more)
    assert done.returncode in {2, 4}
    assert re.search(message, done.stderr), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*out.zarr*"))


def test_a_file_that_is_none_and_an_output_that_exists(finished, product, tmp_path):
    (tmp_path / "not.nc").write_text("<html>")
    assert "is not a readable netCDF" in predict(finished, tmp_path / "not.nc", tmp_path / "o.zarr").stderr
    assert "no such file" in predict(finished, tmp_path / "none.nc", tmp_path / "o.zarr").stderr
    assert "exists already" in predict(finished, product, product).stderr


def test_a_flipped_bit_in_the_weights_is_refused(own):
    weights = own / "results/tiny/eddynet/seed0/best.pt"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    eddy_maps(days=1).to_netcdf(own / "one.nc", engine="h5netcdf")
    done = predict(own, own / "one.nc", own / "one.zarr")
    assert done.returncode == 5
    assert "does not match its SHA-256" in done.stderr
