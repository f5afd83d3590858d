"""Many sequences: as they would be in memory, and no more of them there than one at a time."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pipeline_lib.errors import FetchError
from pipeline_lib.simulations import sequences
from pipeline_lib.simulations.sequences import Described, SequenceOptions, drawn

OPTIONS = SequenceOptions(seed=3, length=20, side=32)
VARIABLES = {"image": Described(("row", "column"), "1", "noise"), "mean": Described((), "1", "its mean")}


def noise(rng, number):
    values = rng.random((OPTIONS.length, OPTIONS.side, OPTIONS.side)) + number
    return {"image": values, "mean": values.mean(axis=(1, 2))}


def test_large_variables_lie_in_files_and_have_the_same_values(monkeypatch, tmp_path):
    expected = drawn(OPTIONS, 510, noise, VARIABLES)
    expected.to_netcdf(tmp_path / "expected.nc", engine="h5netcdf")
    size = expected.image.nbytes
    monkeypatch.setattr(sequences, "_IN_MEMORY", size // 10)
    tracemalloc.start()
    found = drawn(OPTIONS, 510, noise, VARIABLES)
    found.to_netcdf(tmp_path / "noise.nc", engine="h5netcdf")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2
    assert found.identical(expected)
    assert found.image.dtype == np.float64
    assert (tmp_path / "noise.nc").read_bytes() == (tmp_path / "expected.nc").read_bytes()


def test_a_folder_without_room_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(sequences, "_IN_MEMORY", 0)
    monkeypatch.setattr(sequences.tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(FetchError, match=r"none: has no room for 0 MB of a simulation: No such file.*TMPDIR"):
        drawn(OPTIONS, 20, noise, VARIABLES)
