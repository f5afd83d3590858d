"""Moving digits: straight ways at their speed, bounces, whole digits, other digits where they are held out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage
from sklearn import datasets

from pipeline_lib.errors import FetchError
from pipeline_lib.simulations.moving_digits import MovingDigits, bouncing, placed
from tests.simulations.idx_files import flat_images


def run(times, **options):
    return MovingDigits.run(MovingDigits.Options(**options), times=times)


def values_of(sequence):
    return sorted(set(np.rint(255 * sequence[sequence > 0]).astype(int).tolist()))


def test_equal_options_give_equal_bytes_and_an_earlier_end_the_beginning():
    ds, again, other = run(50), run(50), run(50, seed=1)
    assert ds.image.values.tobytes() == again.image.values.tobytes()
    assert run(27).identical(ds.isel(time=slice(27)))
    assert dict(ds.sizes) == {"time": 50, "row": 64, "column": 64}
    assert ds.image.dims == ("time", "row", "column")
    assert ds.image.dtype == ds.age.dtype == np.float64
    assert ds.age.values.tolist() == [*range(20), *range(20), *range(10)]
    assert abs(ds.image - other.image).max() > 0.5
    for variable in (ds.image, ds.age):
        assert set(variable.attrs) == {"units", "long_name"}
    assert (ds.image.min(), ds.image.max()) == (0, 1)


def test_a_sequence_does_not_depend_on_those_before_it(tmp_path):
    file = flat_images(tmp_path, 9)
    alike = run(60, **file, subset=(0, 4))
    changed = run(60, **file, subset=(0, 4), held_out={"sequence": 1, "subset": (5, 8), "digits": 3})
    np.testing.assert_array_equal(alike.image[:20], changed.image[:20])
    assert not np.array_equal(alike.image[20:], changed.image[20:])


def test_a_digit_alone_moves_whole_at_its_speed_and_stays_inside():
    ds = run(400, digits=1, seed=4)
    for sequence in ds.image.values.reshape(20, 20, 64, 64):
        np.testing.assert_allclose(sequence.sum(axis=(1, 2)), sequence[0].sum(), rtol=1e-12)
        first = [np.argwhere(frame > 0).min(axis=0) for frame in sequence]
        steps = np.abs(np.diff(first, axis=0))
        # Rounding moves each end by half a pixel at most, a bounce makes a step shorter and never longer.
        fastest = np.hypot(*steps.max(axis=0))
        assert 3 - np.sqrt(2) <= fastest <= 5 + np.sqrt(2)


@given(
    seed=st.integers(0, 2**32),
    low=st.floats(0, 20),
    more=st.floats(0, 20),
    span=st.floats(0.5, 60),
    count=st.integers(1, 4),
)
def test_ways_are_those_of_steps_with_reflections(seed, low, more, span, count):
    found = bouncing(np.random.default_rng(seed), count, 15, speed=(low, low + more), span=span)
    assert found.shape == (15, count, 2)
    assert found.min() >= -1e-9
    assert found.max() <= span + 1e-9
    rng = np.random.default_rng(seed)
    starts = rng.random((count, 2))
    directions, speeds = rng.random(count) * 2 * np.pi, rng.uniform(low, low + more, count)
    for digit in range(count):
        assert low - 1e-9 <= speeds[digit] <= low + more + 1e-9
        for axis, part in enumerate((np.sin, np.cos)):
            place, velocity = starts[digit, axis] * span, speeds[digit] * part(directions[digit])
            for frame in range(15):
                assert found[frame, digit, axis] == pytest.approx(place, abs=1e-7)
                place += velocity
                while not 0 <= place <= span:
                    place = -place if place < 0 else 2 * span - place
                    velocity = -velocity


@given(seed=st.integers(0, 2**32), count=st.integers(1, 3))
def test_frames_are_shifted_images_the_brighter_one_on_top(seed, count):
    rng = np.random.default_rng(seed)
    images, corners = rng.random((count, 4, 4)), rng.uniform(0, 6, (5, count, 2))
    found = placed(images, corners, 10)
    for frame, place in zip(found, corners, strict=True):
        canvas = np.pad(images, ((0, 0), (0, 6), (0, 6)))
        shifted = [ndimage.shift(c, np.round(p), order=0) for c, p in zip(canvas, place, strict=True)]
        np.testing.assert_array_equal(frame, np.max(shifted, axis=0))


def test_digits_are_those_of_scikit_learn_enlarged():
    ds = run(20, digits=1, subset=(7, 7), speed=(0, 0))
    small = datasets.load_digits().images[7] / 16
    large = ndimage.zoom(small, 20 / 8, order=3, mode="grid-constant", grid_mode=True)
    frame = ds.image.values[0]
    row, column = np.argwhere(frame > 0).min(axis=0)
    shown = np.clip((large - 0.4) / 0.3, 0, 1)
    inner = np.argwhere(shown > 1e-12)
    height, width = np.ptp(inner, axis=0) + 1
    (top, left), cut = inner.min(axis=0), frame[row : row + height, column : column + width]
    np.testing.assert_allclose(cut, shown[top : top + height, left : left + width], atol=1e-12)
    assert frame.sum() == pytest.approx(shown.sum())


def test_held_out_sequences_have_digits_that_no_other_has(tmp_path):
    file = flat_images(tmp_path, 9)
    held = {"sequence": 30, "subset": [6, 8], "digits": 3}
    ds = run(1200, **file, side=30, subset=[1, 5], held_out=held)
    sequences = ds.image.values.reshape(60, 20, 30, 30)
    seen = {value for sequence in sequences[:30] for value in values_of(sequence)}
    later = {value for sequence in sequences[30:] for value in values_of(sequence)}
    assert seen == {2, 3, 4, 5, 6}
    assert later == {7, 8, 9}
    area = (sequences > 0).sum(axis=(2, 3)).max(axis=1)
    assert set(area[:30]) <= set(range(100, 201))
    assert area[30:].max() > 200


def test_images_of_another_size_are_resized(tmp_path):
    file = {**flat_images(tmp_path, 2), "size": 20}
    assert (run(20, **file, digits=1, speed=(0, 0)).image.values[0] > 0).sum() == 400


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"speed": (5, 3)}, "5 is above 3: the smaller bound comes first"),
        ({"speed": (-1, 3)}, "greater than or equal to 0"),
        ({"size": 64}, "size is 64: an image must be smaller than a frame, 64"),
        ({"images": "x"}, "images and sha256 belong together"),
        ({"subset": (3, 2)}, "the first image is 3, after the last one, 2"),
        ({"held_out": {"sequence": 1, "subset": (0, 1)}}, "held_out needs the subset of the other sequences"),
        (
            {"subset": (0, 5), "held_out": {"sequence": 1, "subset": (5, 9)}},
            "subset 0 to 5 and held_out.subset 5 to 9 overlap",
        ),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        MovingDigits.Options(**options)


def test_images_that_are_not_there_are_told(tmp_path):
    with pytest.raises(FetchError, match="moving_digits: there are 1797 images, none of number 1797"):
        run(1, subset=(0, 1797))
    file = flat_images(tmp_path, 3)
    with pytest.raises(FetchError, match="there are 3 images, none of number 4; choose images from 0 to 2"):
        run(1, **file, subset=(0, 1), held_out={"sequence": 1, "subset": (2, 4)})
    with pytest.raises(FetchError, match=f"its SHA-256 is {file['sha256']}, not {'0' * 64}"):
        run(1, **{**file, "sha256": "0" * 64})
    wide = tmp_path / "images-idx3-ubyte"
    wide.write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 7, 7]))
    import hashlib

    with pytest.raises(FetchError, match="its images are 1 x 2, not square"):
        run(1, **{**file, "sha256": hashlib.sha256(wide.read_bytes()).hexdigest()})
