"""Artefacts: complete or not there, and refused when they do not match their manifest."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import StoreError
from pipeline_lib.io.manifest import Artefact, read_manifest
from pipeline_lib.io.zarr_store import open_store, write_zarr


def dataset(days: int = 4, *, value: float = 1.0) -> xr.Dataset:
    shape = (days, 3, 5)
    field = np.full(shape, value, dtype="float32") + np.arange(days, dtype="float32")[:, None, None]
    return xr.Dataset(
        {"adt": (("time", "latitude", "longitude"), field)},
        coords={
            "time": np.datetime64("2005-04-01", "ns") + np.arange(days) * np.timedelta64(1, "D"),
            "latitude": np.arange(3.0),
            "longitude": np.arange(5.0),
        },
    )


def write(path: Path, ds: xr.Dataset) -> None:
    with Artefact(path, kind="dataset", code="abc") as out:
        write_zarr(ds, out.payload("2005-04.zarr"))
        out.content = {"period": "2005-04"}


def test_round_trip(tmp_path):
    write(tmp_path / "2005-04.json", dataset())
    manifest = read_manifest(tmp_path / "2005-04.json", kind="dataset", verify="deep")
    stored = open_store(manifest, "2005-04.zarr").load()
    xr.testing.assert_identical(stored, dataset().assign_attrs(gyre_identifier=manifest.content_of("2005-04.zarr")))
    assert sorted(p.name for p in tmp_path.glob("[!.]*")) == ["2005-04.json", "2005-04.zarr"]


def test_equal_work_gives_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name / "2005-04.json", dataset())
    assert (tmp_path / "a/2005-04.json").read_bytes() == (tmp_path / "b/2005-04.json").read_bytes()


def test_identity_follows_content(tmp_path):
    write(tmp_path / "a/2005-04.json", dataset())
    write(tmp_path / "b/2005-04.json", dataset(value=2.0))
    assert read_manifest(tmp_path / "a/2005-04.json").identity != read_manifest(tmp_path / "b/2005-04.json").identity


def test_an_exception_keeps_the_earlier_artefact(tmp_path):
    path = tmp_path / "2005-04.json"
    write(path, dataset())
    before = path.read_bytes()
    with pytest.raises(RuntimeError), Artefact(path, kind="dataset", code="abc") as out:  # noqa: PT012
        out.payload("2005-04.zarr").mkdir()
        raise RuntimeError("half-way")
    assert path.read_bytes() == before
    assert read_manifest(path, verify="deep").content["period"] == "2005-04"
    assert not list(tmp_path.glob(".*.partial"))


def chunk_files(folder: Path) -> list[Path]:
    return sorted(p for p in (folder / "2005-04.zarr" / "adt").rglob("*") if p.is_file() and p.name != "zarr.json")


def delete(folder: Path) -> None:
    chunk_files(folder)[0].unlink()


def truncate(folder: Path) -> None:
    with chunk_files(folder)[0].open("r+b") as stream:
        stream.truncate(3)


def empty(folder: Path) -> None:
    chunk_files(folder)[0].write_bytes(b"")


def add(folder: Path) -> None:
    (chunk_files(folder)[0].parent / "99").write_bytes(b"x")


@pytest.mark.parametrize("damage", [delete, truncate, empty, add])
def test_damage_is_refused_at_a_quick_look(tmp_path, damage):
    write(tmp_path / "2005-04.json", dataset())
    damage(tmp_path)
    with pytest.raises(StoreError, match=r"adt/c/0.*run again"):
        read_manifest(tmp_path / "2005-04.json")


def test_a_flipped_bit_is_refused_at_a_deep_look(tmp_path):
    write(tmp_path / "2005-04.json", dataset())
    file = chunk_files(tmp_path)[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    read_manifest(tmp_path / "2005-04.json", verify="quick")
    with pytest.raises(StoreError, match="SHA-256"):
        read_manifest(tmp_path / "2005-04.json", verify="deep")


def test_empty_chunks_are_written(tmp_path):
    write(tmp_path / "2005-04.json", dataset().where(False))
    assert chunk_files(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"format": 99}), json.dumps({"format": 1})])
def test_unreadable_manifests_are_refused(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(StoreError, match="run again"):
        read_manifest(tmp_path / "m.json")


def test_wrong_kind_and_missing_file_are_refused(tmp_path):
    write(tmp_path / "2005-04.json", dataset())
    with pytest.raises(StoreError, match="dataset manifest where a model one"):
        read_manifest(tmp_path / "2005-04.json", kind="model")
    with pytest.raises(StoreError, match="no such manifest"):
        read_manifest(tmp_path / "none.json")


def _hold(path: Path, ready: Path) -> None:
    with Artefact(path, kind="dataset", code="abc") as out:
        write_zarr(dataset(), out.payload("2005-04.zarr"))
        ready.touch()
        time.sleep(60)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_second_writer_is_refused_and_a_killed_one_leaves_no_trace(tmp_path):
    path, ready = tmp_path / "out" / "2005-04.json", tmp_path / "ready"
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(path, ready))
    holder.start()
    wait_for(ready)
    with pytest.raises(StoreError, match="another process is writing"):
        write(path, dataset())
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert not path.exists()
    write(path, dataset())
    read_manifest(path, verify="deep")
    assert sorted(p.name for p in path.parent.glob("[!.]*")) == ["2005-04.json", "2005-04.zarr"]


@pytest.mark.parametrize("name", ["with space", "Ärger-ö", "x" * 200])
def test_odd_folder_names(tmp_path, name):
    write(tmp_path / name / "2005-04.json", dataset())
    read_manifest(tmp_path / name / "2005-04.json", verify="deep")


def test_symlinked_folder(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link" / "2005-04.json", dataset())
    read_manifest(tmp_path / "real" / "2005-04.json", verify="deep")


def test_unwritable_place_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        write(tmp_path / "file" / "2005-04.json", dataset())
    assert "\n" not in caught.value.line


def test_what_another_put_there_is_not_overwritten(tmp_path):
    (tmp_path / "2005-04.zarr").mkdir()
    (tmp_path / "2005-04.zarr/mine").write_text("precious")
    with pytest.raises(StoreError, match=r"2005-04\.zarr: stands in the way"):
        write(tmp_path / "labels.json", dataset())
    assert (tmp_path / "2005-04.zarr/mine").read_text() == "precious"
    assert not (tmp_path / "labels.json").exists()


def test_a_payload_that_is_no_longer_made_is_removed(tmp_path):
    write(tmp_path / "2005-04.json", dataset())
    (tmp_path / "2005-04.json").unlink()  # as Snakemake does before it runs a job again
    with Artefact(tmp_path / "2005-04.json", kind="dataset", code="abc") as out:
        out.payload("other.txt").write_text("x")
    assert sorted(p.name for p in tmp_path.glob("[!.]*")) == ["2005-04.json", "other.txt"]
