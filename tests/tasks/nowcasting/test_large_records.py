"""Records that do not fit into memory: what is held at once does not grow with their length."""

from __future__ import annotations

import dataclasses
import multiprocessing
import pickle
import tracemalloc
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from pipeline_lib.errors import StoreError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.io.zarr_store import write_zarr
from pipeline_lib.learning.model_store import InputVariable, ModelSpec, save_model
from pipeline_lib.learning.online import OnlineTraining
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.nowcasting.options import ScoringOptions
from pipeline_lib.tasks.nowcasting.predict import product
from pipeline_lib.tasks.nowcasting.score import score_stores
from pipeline_lib.tasks.nowcasting.sequences import Rows, known_cells, packed_cells
from pipeline_lib.tasks.nowcasting.windows import FrameWindows, StoredFrames, mapped, stacked

SIDE, SEEN, LEADS, CHUNK = 64, 3, 4, 8
SHORT, LONG = 38, 134  # of the starts are 32 and 128 scored: whole parts of 16
FRAME = SIDE * SIDE * 4
"""Bytes."""
SCALING = {"echo": (0.0, 1.0)}
FORKS = multiprocessing.get_context("forkserver")
ONLINE = {"block": 5, "learning_rate": 1e-3, "gradient_clip": 50.0}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """Several chunks in little, one after the other, as the predict stage computes them."""
    monkeypatch.setattr("pipeline_lib.tasks.nowcasting.predict._BATCH", CHUNK)
    monkeypatch.setattr("pipeline_lib.io.zarr_store.CHUNK_BYTES", CHUNK * FRAME)
    monkeypatch.setattr("pipeline_lib.tasks.nowcasting.score._BYTES", 8 * CHUNK * LEADS * SIDE * SIDE)
    with dask.config.set(scheduler="synchronous"):
        yield


def record(length: int, folder: Path) -> xr.Dataset:
    """Frames in a store, opened lazily; a corner is never seen."""
    values = np.random.default_rng(0).random((length, SIDE, SIDE)).astype(np.float32)
    values[:, :3, :3] = np.nan
    times = np.datetime64("2010-08-26", "ns") + np.arange(length) * np.timedelta64(300, "s")
    axis = np.arange(SIDE) * 1000.0
    variables = {"echo": (("time", "y", "x"), values, {"units": "1"})}
    write_zarr(xr.Dataset(variables, {"time": times, "y": axis, "x": axis}), folder / f"{length}.zarr")
    return xr.open_zarr(folder / f"{length}.zarr", chunks={})


def peak(work: Callable[[], object]) -> int:
    """Return the most bytes that numpy and Python held while something was done."""
    work()  # what is imported and kept at the first time
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def no_growth(short: int, long: int, frames: int = 1) -> bool:
    """Whether what a longer record takes more is at most half of what is more in it: so many frames for each."""
    return long - short < 0.5 * (LONG - SHORT) * FRAME * frames


@pytest.fixture
def trained(tmp_path) -> Manifest:
    return stored_model(tmp_path, "last_frame", {})


def stored_model(tmp_path: Path, name: str, options: dict, **more: object) -> Manifest:
    sizes = {"seen": SEEN, "leads": LEADS, "channels": 1, "height": SIDE, "width": SIDE}
    model = MODELS.get(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = model.build(model.Options(**options), **sizes)
    spec = ModelSpec(
        model=name,
        options=options,
        task="nowcasting",
        inputs=(InputVariable(name="echo", units="1"),),
        sizes=sizes,
        parameters=0,
    )
    facts = {"step_minutes": 5.0, "stride": 1, "missing": 0.1, **more}
    return save_model(
        tmp_path / "model.json",
        spec=spec,
        weights=network.state_dict(),
        history=pd.DataFrame({"epoch": []}),
        inputs={},
        training={},
        code="test",
        extra={**facts, "known_cells": packed_cells({"echo": np.ones((SIDE, SIDE), np.bool_)})},
    )


def test_windows_are_cut_from_a_file_with_the_values_of_the_store(tmp_path):
    ds = record(SHORT, tmp_path)
    whole = stacked(ds, {"echo": (0.25, 2.0)})
    frames = mapped(ds, {"echo": (0.25, 2.0)}, tmp_path / "deep")
    assert isinstance(frames.values, np.memmap)
    assert frames.values.tobytes() == whole.tobytes()
    assert list((tmp_path / "deep").iterdir()) == []  # nothing that a process which is killed could leave
    starts = np.arange(SEEN - 1, SHORT - LEADS)
    same = FrameWindows(whole, ds.time.values, starts, SEEN, LEADS)
    ours = dataclasses.replace(same, frames=frames)
    assert ours.identity == same.identity
    handed = pickle.dumps(ours)
    assert len(handed) < 0.1 * whole.nbytes  # to other processes goes the name of the file
    stored = dataclasses.replace(same, frames=StoredFrames(ds, {"echo": (0.25, 2.0)}, ahead=2))
    assert stored.frames.shape == whole.shape
    for windows in (ours, pickle.loads(handed), stored):
        for part, expected in zip(windows.cut(starts[:5]), same.cut(starts[:5]), strict=True):
            np.testing.assert_array_equal(part.numpy(), expected.numpy())


def test_another_process_reads_the_file_that_has_no_name(tmp_path):
    ds = record(SHORT, tmp_path)
    frames = mapped(ds, SCALING, tmp_path)
    ours = FrameWindows(frames, ds.time.values, np.arange(SEEN - 1, SHORT - LEADS), SEEN, LEADS)
    process, (near, far) = FORKS.Process, FORKS.Pipe(duplex=False)
    other = process(target=_identity, args=(pickle.dumps(ours), far))
    other.start()
    far.close()
    assert near.recv() == ours.identity
    other.join()


def _identity(handed: bytes, answer: Connection) -> None:
    answer.send(pickle.loads(handed).identity)


def test_stored_frames_are_those_of_the_store_whatever_is_asked_for(tmp_path):
    ds = record(SHORT, tmp_path)
    whole, stored = stacked(ds, SCALING), StoredFrames(ds, SCALING, ahead=3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        places = rng.integers(0, SHORT, (2, 3))
        np.testing.assert_array_equal(stored[places], whole[places])
        np.testing.assert_array_equal(stored[places, 0], whole[places, 0])


def test_a_training_holds_no_record_in_memory(tmp_path):
    def used(length: int) -> int:
        ds = record(length, tmp_path)

        def work() -> None:
            Rows.of(ds, ["echo"], step_minutes=5, missing=0.1)
            mapped(ds, SCALING, tmp_path)

        return peak(work)

    assert no_growth(used(SHORT), used(LONG))


def test_a_product_is_written_as_it_is_made(tmp_path, trained):
    def used(length: int) -> int:
        ds = record(length, tmp_path)
        number = iter(range(2))

        def work() -> None:
            made = product(trained, ds, device="cpu", threads=1)
            made.attrs = {}
            write_zarr(made, tmp_path / f"product-{length}-{next(number)}.zarr")

        return peak(work)

    assert no_growth(used(SHORT), used(LONG), frames=LEADS)
    made = xr.open_zarr(tmp_path / f"product-{SHORT}-0.zarr").forecast
    seen = record(SHORT, tmp_path / "again").echo.values[SEEN - 1 :]
    found, wanted = made.values, np.repeat(seen[:, None], LEADS, axis=1)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(np.where(np.isfinite(wanted), found, np.nan), wanted)


def test_a_product_that_follows_the_frames_is_written_as_it_is_made_and_learns_once(tmp_path, monkeypatch):
    options = {"patch": 8, "kernel_input": 3, "kernel_state": 3, "widths": [2]}
    trained = stored_model(tmp_path, "convlstm", options, loss="squared", online=ONLINE)
    steps, step = [], OnlineTraining.step
    monkeypatch.setattr(OnlineTraining, "step", lambda *given: steps.append(1) or step(*given))

    def used(length: int) -> int:
        ds = record(length, tmp_path)
        number = iter(range(2))

        def work() -> None:
            steps.clear()
            made = product(trained, ds, device="cpu", threads=1)
            assert made.attrs.pop("in_order")
            made.attrs = {}
            write_zarr(made, tmp_path / f"product-{length}-{next(number)}.zarr", in_order=True)

        return peak(work)

    short, long = used(SHORT), used(LONG)
    assert no_growth(short, long, frames=LEADS), (short, long)
    assert len(steps) == len([end for end in range(5, LONG - 4, 5) if end >= SEEN + LEADS])  # none from the last block


def test_a_score_reads_the_truth_in_parts(tmp_path, trained):
    def used(length: int) -> int:
        ds = record(length, tmp_path)
        made = product(trained, ds, device="cpu", threads=1)
        options = ScoringOptions(metrics=["frame_mse"])
        return peak(lambda: score_stores(made, None, ds, options, where="model"))

    # The counts of each start are kept, and what the sample says of it.
    assert no_growth(used(SHORT), used(LONG))


def test_a_full_disk_is_told_with_the_room_that_is_needed(tmp_path):
    ds = record(SHORT, tmp_path)
    (tmp_path / "in the way").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: .*; make room: .* there, 1 MB"):
        mapped(ds, SCALING, tmp_path / "in the way")


def test_cells_that_no_frame_has_are_found_block_by_block(tmp_path):
    ds = record(SHORT, tmp_path)
    np.testing.assert_array_equal(known_cells(ds.echo), np.isfinite(ds.echo.values).any(axis=0))
