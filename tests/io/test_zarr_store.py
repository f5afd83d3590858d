"""Stores that any Zarr reader can open, and in which it notices damage without our manifests."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_lib.io.zarr_store import write_zarr


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    values = np.random.default_rng(0).normal(size=(3, 8, 9)).round(2).astype("float32")
    ds = xr.Dataset(
        {"adt": (("time", "latitude", "longitude"), values, {"units": "m"})},
        coords={
            "time": np.datetime64("2005-04-01", "ns") + np.arange(3) * np.timedelta64(1, "D"),
            "latitude": np.arange(8.0),
            "longitude": np.arange(9.0),
        },
    )
    path = tmp_path_factory.mktemp("store") / "2005-04.zarr"
    write_zarr(ds.chunk(time=2), path)
    return path, ds


def test_plain_xarray_reads_what_was_written(store):
    path, ds = store
    xr.testing.assert_identical(xr.open_zarr(path).load(), ds.assign_attrs({}))


@pytest.mark.parametrize(("length", "blocks", "steps"), [(23, 5, 4), (23, 4, 5), (8, 8, 3), (7, 2, 20), (0, 1, 4)])
def test_what_is_written_in_order_is_computed_so_and_the_same_to_the_byte(tmp_path, monkeypatch, length, blocks, steps):
    monkeypatch.setattr("pipeline_lib.io.zarr_store.CHUNK_BYTES", steps * 6 * 4)
    values = np.random.default_rng(0).normal(size=(length, 2, 3)).astype("float32")
    values[1:2, 0, 0] = np.nan
    asked = []

    def seen(block: np.ndarray, block_info: dict | None = None) -> np.ndarray:
        asked.append(block_info[0]["array-location"][0][0] if block_info else -1)
        return block

    frames = da.from_array(values, chunks=(blocks, -1, -1)).map_blocks(seen, dtype="float32", meta=values[:0])
    dims = ("time", "y", "x")
    ds = xr.Dataset(
        {
            "made": (dims, frames, {"units": "1"}),
            "more": (dims, 2 * frames),
            "known": (dims[1:], values.sum(axis=0)),
            "true": (("valid_time", *dims[1:]), 3 * da.from_array(values, chunks=(2, -1, -1))),
        },
        {
            "valid_time": np.datetime64("2005-05-01", "ns") + np.arange(length) * np.timedelta64(1, "h"),
            "time": np.datetime64("2005-04-01", "ns") + np.arange(length) * np.timedelta64(1, "h"),
            "y": [0.0, 1.0],
        },
    )
    found = {}
    for in_order in (False, True):
        asked.clear()
        folder = tmp_path / f"{in_order}.zarr"
        write_zarr(ds, folder, attrs={"title": "made"}, in_order=in_order)
        found[in_order] = {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    assert found[True] == found[False]
    assert not length or asked == list(range(0, length, blocks))


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_never_gives_plain_xarray_other_values(store, position, bit):
    path, ds = store
    chunk = path / "adt" / "c" / "0" / "0" / "0"
    sound = chunk.read_bytes()
    damaged = bytearray(sound)
    damaged[position % len(sound)] ^= 1 << bit
    chunk.write_bytes(damaged)
    try:
        read = xr.open_zarr(path)["adt"].load()
        np.testing.assert_array_equal(read, ds["adt"])  # some bits of the frame's header mean nothing
    except (RuntimeError, ValueError):
        pass
    finally:
        chunk.write_bytes(sound)


def test_texts_are_stored_as_the_zarr_specification_has_them(tmp_path):
    names = np.array(["x", "yy", "zzz"])
    values = np.arange(6.0).reshape(2, 3)
    ds = xr.Dataset(
        {"state": (("time", "component"), values), "long": ("component", names)},
        coords={
            "time": np.datetime64("2000-01-01", "ns") + np.arange(2) * np.timedelta64(1, "D"),
            "component": names,
            "kind": ("component", names),
        },
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_zarr(ds, tmp_path / "store.zarr")
        read = xr.open_zarr(tmp_path / "store.zarr").load()
    assert set(read.coords) == set(ds.coords)
    for name in ("component", "kind", "long"):
        assert read[name].values.tolist() == names.tolist()
    assert float(read.state.sel(component="yy", time="2000-01-02")) == 4.0
    assert "fixed_length" not in (tmp_path / "store.zarr" / "component" / "zarr.json").read_text()
