"""Many sequences: as they would be in memory, and no more of them there than one at a time."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import StoreError
from pipeline_lib.simulations import sequences
from pipeline_lib.simulations.sequences import Described, SequenceOptions, drawn

OPTIONS = SequenceOptions(seed=3, length=20, side=32)
VARIABLES = {"image": Described(("row", "column"), "1", "noise"), "mean": Described((), "1", "its mean")}


def noise(rng, number):
    values = rng.random((OPTIONS.length, OPTIONS.side, OPTIONS.side)) + number
    return {"image": values, "mean": values.mean(axis=(1, 2))}


def test_variables_lie_in_files_and_have_the_values_drawn(tmp_path):
    times = 510
    drawings = [noise(np.random.default_rng([OPTIONS.seed, number]), number) for number in range(26)]
    expected = np.concatenate([made["image"] for made in drawings])[:times]
    drawn(OPTIONS, 20, noise, VARIABLES).to_netcdf(tmp_path / "noise.nc", engine="h5netcdf")  # what is loaded, is
    tracemalloc.start()
    found = drawn(OPTIONS, times, noise, VARIABLES)
    found.to_netcdf(tmp_path / "noise.nc", engine="h5netcdf")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < expected.nbytes / 2
    assert found.image.dtype == np.float64
    kept = xr.open_dataset(tmp_path / "noise.nc", engine="h5netcdf")
    np.testing.assert_array_equal(kept.image.values, expected)
    np.testing.assert_array_equal(kept["mean"].values, expected.mean(axis=(1, 2)))


def test_a_folder_without_room_is_told(monkeypatch, tmp_path):
    (tmp_path / "none").write_text("no folder")
    monkeypatch.setattr(sequences.tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(StoreError, match=r"none: cannot be written: .*; make room: a simulation keeps .* there, 0 MB"):
        drawn(OPTIONS, 20, noise, VARIABLES)
