"""MovingMNIST++: affine images against scipy, factors and bounces as the public code's, written out in loops."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from pipeline_lib.simulations.moving_digits_plus import MovingDigitsPlus, transformed
from tests.simulations.idx_files import flat_images, packed


def run(times, **options):
    return MovingDigitsPlus.run(MovingDigitsPlus.Options(**options), times=times)


def test_equal_options_give_equal_bytes_and_an_earlier_end_the_beginning(tmp_path):
    file = flat_images(tmp_path, 5)
    ds, again = run(50, **file), run(50, **file)
    assert ds.image.values.tobytes() == again.image.values.tobytes()
    assert run(27, **file).identical(ds.isel(time=slice(27)))
    assert not ds.identical(run(50, **file, seed=1))
    assert dict(ds.sizes) == {"time": 50, "row": 64, "column": 64}
    assert ds.image.dtype == ds.age.dtype == np.float64
    assert ds.age.values.tolist() == [*range(20), *range(20), *range(10)]
    assert set(ds.image.attrs) == {"units", "long_name"}
    assert ds.image.min() == 0
    assert ds.image.max() <= 5 / 255 / 0.6


@given(
    seed=st.integers(0, 2**32),
    angle=st.floats(-7, 7),
    scale=st.floats(0.3, 3),
    size=st.integers(2, 9),
    middle=st.tuples(st.floats(0, 9), st.floats(0, 9)),
    place=st.tuples(st.floats(-3, 14), st.floats(-3, 14)),
)
def test_an_image_is_transformed_as_scipy_does(seed, angle, scale, size, middle, place):
    image = np.random.default_rng(seed).random((size, size))
    angles, scales = np.array([[angle]]), np.array([[scale]])
    found = transformed(image[None], np.array([middle]), np.array([[place]]), angles, scales, side=11)[0, 0]
    # From a place of the frame, whose pixels have their middles at halves, to one of the image, by a matrix.
    there = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * scale
    back = np.linalg.inv(there)
    offset = np.array(middle) - 0.5 + back @ (0.5 - np.array(place))
    expected = ndimage.affine_transform(
        image, back, offset=offset, output_shape=(11, 11), order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_each_digit_has_its_own_image_and_place():
    images = np.stack([np.full((4, 4), value) for value in (0.5, 1.0)])
    centres = np.array([[[4.0, 4.0], [12.0, 12.0]], [[5.0, 4.0], [12.0, 10.0]]])
    found = transformed(images, np.full((2, 2), 2.0), centres, np.zeros((2, 2)), np.ones((2, 2)), side=16)
    expected = np.zeros((2, 2, 16, 16))
    for frame in range(2):
        for digit, value in enumerate((0.5, 1.0)):
            row, column = (centres[frame, digit] - 2).astype(int)
            expected[frame, digit, row : row + 4, column : column + 4] = value
    np.testing.assert_allclose(found, expected, atol=1e-12)


def powers_of_light(length):
    """What the public code multiplies, frame by frame: the factor or, in every second five frames, its inverse."""
    found = [0]
    for frame in range(1, length):
        found.append(found[-1] + (-1 if (frame // 5) % 2 else 1))
    return np.array(found)


def test_light_and_size_flip_as_in_the_public_code(tmp_path):
    assert powers_of_light(13).tolist() == [0, 1, 2, 3, 4, 3, 2, 1, 0, -1, 0, 1, 2]
    ds = run(40, **flat_images(tmp_path, 1), digits=1, speed=(0, 0), light=(0.7, 0.7), scale=(1.05, 1.05), rotation=0)
    light = powers_of_light(20)
    for sequence in ds.image.values.reshape(2, 20, 64, 64):
        np.testing.assert_allclose(sequence.max(axis=(1, 2)), 0.7**light / 255, rtol=1e-9)
        area = sequence.sum(axis=(1, 2)) / 0.7**light
        np.testing.assert_allclose(area, area[0] * 1.05 ** (-2.0 * light), rtol=0.03)


def test_all_digits_of_a_sequence_fade_alike_and_sequences_do_not():
    ds = run(200, digits=3, speed=(0, 0), scale=(1, 1), rotation=0)
    powers, factors = powers_of_light(20), []
    for sequence in ds.image.values.reshape(10, 20, 64, 64):
        # From the second frame on, all are in the inner box and stay where they are.
        lit = sequence[1:, sequence[1] > 0]
        factors.append(lit[1].sum() / lit[0].sum())
        np.testing.assert_allclose(lit, np.outer(factors[-1] ** (powers[1:] - 1.0), lit[0]), rtol=1e-9)
    assert 0.6 <= min(factors) < max(factors) - 0.1 <= 0.9
    assert ds.image.max() > 1  # nothing is cut off there


def test_sizes_are_each_digit_s_own(tmp_path):
    images, ratios = flat_images(tmp_path, 1, size=8), []
    for seed in range(8):
        options = {"digits": 2, "speed": (0, 0), "light": (1, 1), "scale": (0.8, 1.25), "rotation": 0, "seed": seed}
        last = run(4, **images, **options).image.values[-1]
        parts, count = ndimage.label(last > 0)
        if count == 2:
            ratios.append(ndimage.sum(last, parts, 1) / ndimage.sum(last, parts, 2))
    assert len(ratios) > 3
    assert np.median(np.abs(np.log(ratios))) > 0.2


BLOCK = np.zeros((1, 16, 16), np.uint8)
BLOCK[:, 1:5, 5:11] = 200
"""An image whose middle is not its own: lit are 4 rows and 6 columns."""


def block(folder):
    content = packed(BLOCK)
    (folder / "block").write_bytes(content)
    return {"images": str(folder / "block"), "sha256": hashlib.sha256(content).hexdigest(), "size": 16}


def middles_of(frames):
    pixel, mass = np.arange(64) + 0.5, frames.sum(axis=(1, 2))
    return np.stack([frames.sum(axis=2) @ pixel, frames.sum(axis=1) @ pixel], axis=1) / mass[:, None]


def walked(start, velocity, steps):
    """Along one axis, as the public code goes: a middle beyond 10 or 54 is put there and turns round."""
    places = [start]
    for _ in range(steps):
        place = places[-1] + velocity
        if place < 10:
            place, velocity = 10.0, -velocity
        elif place > 54:
            place, velocity = 54.0, -velocity
        places.append(place)
    return places


def test_middles_of_what_is_lit_bounce_as_in_the_public_code(tmp_path):
    ds = run(1000, **block(tmp_path), light=(1, 1), scale=(1, 1), rotation=0, digits=1)
    starts = []
    for sequence in ds.image.values.reshape(50, 20, 64, 64):
        middle = middles_of(sequence)
        starts.append(middle[0])
        speed = np.median(np.abs(np.diff(middle, axis=0)), axis=0)  # of most steps, which are no bounces
        assert np.hypot(*speed) <= 3.6 + 1e-9
        for axis in range(2):
            ways = [walked(middle[0, axis], way, 19) for way in (speed[axis], -speed[axis])]
            assert any(np.allclose(middle[:, axis], way, atol=1e-9) for way in ways)
    # All of a digit is in its first frame, anywhere there: 4 rows and 6 columns.
    for place, half in zip(np.transpose(starts), (2, 3), strict=True):
        assert half - 1e-9 <= place.min() < 10
        assert 54 < place.max() <= 64 - half + 1e-9


def test_digits_turn_about_the_point_that_opencv_has_for_their_middle(tmp_path):
    options = {"digits": 1, "speed": (0, 0), "light": (1, 1), "scale": (1, 1), "rotation": 30}
    ds = run(200, **block(tmp_path), **options)
    for sequence in ds.image.values.reshape(10, 20, 64, 64):
        middle = middles_of(sequence)
        if (np.abs(middle - 32) < 20).all():
            away = middle - (middle[0] + 0.5)
            np.testing.assert_allclose(np.hypot(*away.T), 0.5**0.5, atol=0.05)
            assert np.ptp(away, axis=0).max() > 0.4


def test_a_digit_turns_and_without_rotation_stays_as_it_is():
    options = {"digits": 1, "speed": (0, 0), "light": (1, 1), "scale": (1, 1), "seed": 2}
    turned = run(20, **options, rotation=30).image.values
    assert abs(turned[1] - turned[0]).max() > 0.1
    upright = run(20, **options, rotation=0).image.values
    np.testing.assert_array_equal(upright, np.broadcast_to(upright[0], upright.shape))
    np.testing.assert_allclose(turned[0], upright[0])
    np.testing.assert_allclose(turned.sum(axis=(1, 2)), turned[0].sum(), rtol=0.01)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scale": (0, 1)}, "greater than 0"),
        ({"inner": (10, 70)}, "inner is .* not a stretch of the 64 rows"),
        ({"inner": (30, 30)}, "inner is .* not a stretch"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        MovingDigitsPlus.Options(**options)
