"""Arrays in files without a name: the values written, read by other processes too, and nothing left behind."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import StoreError
from pipeline_lib.io.mapped_array import ArrayFile


@given(cuts=st.lists(st.integers(0, 12), max_size=4), width=st.integers(0, 3))
def test_blocks_make_the_array(cuts, width, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks")
    whole = np.arange(12.0 * width).reshape(12, width)
    file = ArrayFile(folder, whole.shape, np.float64, purpose="a test keeps its values")
    ends = [0, *sorted(cuts), 12]
    for first, end in pairwise(ends):
        file.write(whole[first:end])
    array = file.mapped()
    places = np.array([[3, 1], [11, 3]])
    for read in (array, pickle.loads(pickle.dumps(array))):
        assert read.shape == whole.shape
        np.testing.assert_array_equal(np.asarray(read), whole)
        np.testing.assert_array_equal(read[places], whole[places])
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_told_with_the_room_that_is_needed(tmp_path, monkeypatch):
    file = ArrayFile(tmp_path, (1000, 1000), purpose="a test keeps its values")
    monkeypatch.setattr(file, "_file", Path("/dev/full").open("wb", buffering=0))  # noqa: SIM115
    with pytest.raises(StoreError, match=r"cannot be written: No space left .* a test keeps its values there, 4 MB"):
        file.write(np.zeros((1000, 1000)))


def test_the_file_ends_with_the_last_that_has_it_open(tmp_path):
    def room() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = room()
    file = ArrayFile(tmp_path, (3,), purpose="a test keeps its values")
    file.write(np.arange(3))
    array = file.mapped()
    assert room() > before
    with pytest.raises(ValueError, match="read-only"):
        array.values[0] = 1
    del file, array
    assert room() == before
