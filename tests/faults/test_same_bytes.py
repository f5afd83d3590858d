"""Equal work gives equal bytes whatever the threads and the layout of the file, in memory that does not grow."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.io import zarr_store
from pipeline_lib.io.manifest import read_manifest
from tests.faults.project import BRANCH, Project, command, content, small_maps


def test_a_second_run_changes_nothing(tmp_path):
    """R1: what is written twice is not there twice."""
    project = Project(tmp_path).deliver(small_maps())
    assert project.preprocess().code == 0
    first = content(project.output.parent)
    assert project.preprocess().code == 0
    assert content(project.output.parent) == first


def test_the_number_of_threads_does_not_matter(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_store, "CHUNK_BYTES", 3 * 16 * 20 * 4)  # ten chunks a month instead of one
    project = Project(tmp_path).deliver(small_maps())
    results = []
    for threads in (1, 2, 8):
        output = tmp_path / str(threads) / "2005-04.json"
        assert project.preprocess(output, threads=threads).code == 0
        results.append(content(output.parent))
    assert len([name for name in results[0] if name.startswith("2005-04.zarr/adt/c/")]) == 10
    assert results[0] == results[1] == results[2]


LAYOUTS = {
    "one map each": {"chunksizes": (1, 16, 20)},
    "across the months": {"chunksizes": (7, 5, 9), "zlib": True},
    "all times": {"chunksizes": (91, 4, 4), "zlib": True, "shuffle": True},
}


def test_the_layout_of_the_providers_file_does_not_matter(tmp_path):
    identities = set()
    for name, layout in {"no chunks": {}, **LAYOUTS}.items():
        project = Project(tmp_path / name).deliver(small_maps(), encoding={"adt": layout})
        assert project.preprocess().code == 0
        identities.add(read_manifest(project.output).identity)
    assert len(identities) == 1


def archive(months: int) -> xr.Dataset:
    """Daily noise on 90 x 180 cells; float32, 65 kB a map."""
    shape = (30 * months, 90, 180)
    values = np.random.default_rng(0).normal(0, 0.1, shape[1:]).astype("float32")
    return xr.Dataset(
        {"adt": (("time", "latitude", "longitude"), np.broadcast_to(values, shape), {"units": "m"})},
        coords={
            "time": np.datetime64("2005-04-01", "ns") + np.arange(shape[0]) * np.timedelta64(1, "D"),
            "latitude": 20 + np.arange(90) / 4,
            "longitude": np.arange(180) / 4,
        },
    )


def _peak(arguments: list[str], answer: object) -> None:
    code = command(*arguments).code
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    answer.send((code, peak))


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("encoding", [{}, {"chunksizes": (1, 90, 180)}], ids=["no chunks", "one map each"])
def test_an_archive_four_times_as_long_needs_no_more_memory(tmp_path, encoding):
    peaks = []
    for months in (9, 36):
        project = Project(tmp_path / str(months))
        as_is = {"name": "as_is", "options": {"variables": ["adt"]}}
        project.deliver(archive(months), encoding={"adt": encoding}, preparation=as_is)
        near, far = BRANCH.Pipe(duplex=False)
        process = BRANCH.Process(target=_peak, args=(project.arguments(), far))
        process.start()
        code, peak = near.recv()
        process.join()
        assert code == 0
        peaks.append(peak)
        project.incoming.unlink()
        project.raw.with_name("maps.nc").unlink()
    assert peaks[1] < 1.2 * peaks[0], f"{peaks} kB"
