"""Patches: right cells, right images, a function of seed and epoch alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.errors import DataError, TrainingError
from pipeline_lib.tasks.segmentation.arrays import TrainingArrays
from pipeline_lib.tasks.segmentation.losses import IGNORED
from pipeline_lib.tasks.segmentation.patches import CoverPatches, PatchSource, RandomPatches


def arrays(dates=3, rows=12, columns=20, variables=("adt",), periodic=False):
    """Every cell of every channel has a number of its own; the class follows from it."""
    shape = (dates, len(variables), rows, columns)
    inputs = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1
    return TrainingArrays(
        inputs=inputs,
        classes=(inputs[:, 0] % 3).astype(np.int8),
        sea=inputs[:, 0] % 7 != 0,
        times=np.datetime64("2005-04-01") + np.arange(dates),
        variables=variables,
        periodic=periodic,
    )


def whole(batches):
    return [np.concatenate([b[i].numpy() for b in batches]) for i in range(3)]


@given(st.integers(1, 5), st.integers(3, 14), st.integers(3, 24), st.booleans(), st.integers(0, 9))
@settings(max_examples=40)
def test_each_patch_is_the_piece_of_the_map_it_says(dates, rows, columns, periodic, epoch):
    data = arrays(dates, rows, columns, periodic=periodic)
    size = 8
    inputs, target, samples = whole(RandomPatches(PatchSource(data, size), 3, 4, seed=1, epoch=epoch))
    assert len(inputs) == 12
    for x, y, (t, row, column, _) in zip(inputs, target, samples, strict=True):
        for i in range(size):
            for j in range(size):
                r, c = row + i, column + j
                if periodic and c < columns + min(size - 1, columns):
                    c %= columns
                if r < rows and c < columns:
                    assert x[0, i, j] == data.inputs[t, 0, r, c]
                    assert y[i, j] == (data.classes[t, r, c] if data.sea[t, r, c] else IGNORED)
                else:
                    assert (x[0, i, j], y[i, j]) == (0, IGNORED)


def test_epochs_go_through_all_dates_and_corners():
    data = arrays(dates=6)
    seen = [whole(RandomPatches(PatchSource(data, 8), 6, 1, seed=0, epoch=e))[2] for e in range(80)]
    assert all(sorted(samples[:, 0]) == list(range(6)) for samples in seen)
    corners = np.concatenate(seen)[:, 1:3]
    assert {tuple(c) for c in corners.tolist()} == {(r, c) for r in range(5) for c in range(13)}


def test_batches_are_a_function_of_seed_and_epoch():
    def batches(seed, epoch):
        return whole(RandomPatches(PatchSource(arrays(), 8, ("polarity",)), 4, 3, seed=seed, epoch=epoch))

    for a, b in zip(batches(0, 5), batches(0, 5), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(batches(0, 5)[2], batches(0, 6)[2])
    assert not np.array_equal(batches(0, 5)[2], batches(1, 5)[2])


def test_cover_holds_every_cell_and_never_changes():
    data = arrays(dates=2, rows=13, columns=29)
    cover = CoverPatches(PatchSource(data, 8), 4, limit=100)
    inputs, _, samples = whole(cover)
    assert set(data.inputs.reshape(-1)) <= set(inputs.reshape(-1))
    assert len(inputs) == 2 * 2 * 4
    assert len(cover) == len(list(cover)) == 4
    np.testing.assert_array_equal(whole(cover)[2], samples)


def test_cover_is_thinned_evenly():
    samples = whole(CoverPatches(PatchSource(arrays(dates=30), 8), 4, limit=10))[2]
    assert len(samples) == 10
    assert samples[0, 0] == 0
    assert samples[-1, 0] == 29
    assert np.diff(samples[:, 0]).max() <= 4


def geostrophic(h):
    """Velocity of a height field on a plane with constant f, without constants."""
    h_y, h_x = np.gradient(h)
    return np.stack([h, -h_y, h_x])


@pytest.mark.parametrize("image", ["north_south", "east_west", "polarity"])
def test_images_of_height_and_velocity_stay_geostrophic(image):
    h = np.random.default_rng(0).normal(size=(8, 8)).cumsum(0).cumsum(1)
    fields = geostrophic(h).astype(np.float32)
    data = TrainingArrays(
        inputs=fields[None],
        classes=np.where(h > 0, 1, 2).astype(np.int8)[None],
        sea=np.ones((8, 8), bool),
        times=np.array(["2005-04-01"], "datetime64[D]"),
        variables=("adt_high_pass", "ugos", "vgos"),
    )
    source = PatchSource(data, 8, (image,))
    batch = source.cut(np.array([[0, 0, 0, 1]]))
    x, y = batch.inputs.numpy()[0], batch.target.numpy()[0]
    assert not np.array_equal(x, fields)
    np.testing.assert_allclose(x, geostrophic(x[0]), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(y, np.where(x[0] > 0, 1, 2))


def test_mirror_of_a_variable_of_unknown_sign_is_refused():
    with pytest.raises(TrainingError, match=r"sign of 'sst'"):
        PatchSource(arrays(variables=("adt", "sst")), 8, ("east_west",))
    PatchSource(arrays(variables=("adt", "sst")), 8)


def test_samples_are_named_by_date_and_corner():
    source = PatchSource(arrays(columns=20, periodic=True), 8)
    batch = source.cut(np.array([[1, 2, 19, 0]]))
    assert source.describe(batch.samples) == "2005-04-02 row 2 column 19"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": np.zeros((3, 12, 19), np.int8)}, "classes of shape"),
        ({"sea": np.ones((12, 19), bool)}, "sea mask"),
        ({"times": np.arange(2).astype("datetime64[D]")}, "2 dates"),
        ({"variables": ("adt", "ugos")}, "1 channels for 2 variables"),
        ({"classes": np.full((3, 12, 20), -1, np.int8)}, "below 0"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        replace(arrays(), **change)
