"""MovingMNIST++: affine images against scipy, factors that come back, centres that stay inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from pipeline_lib.simulations.moving_digits_plus import MovingDigitsPlus, transformed
from tests.simulations.idx_files import flat_images


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
    assert ds.image.max() <= 1


@given(
    seed=st.integers(0, 2**32),
    angle=st.floats(-7, 7),
    scale=st.floats(0.3, 3),
    size=st.integers(2, 9),
    place=st.tuples(st.floats(-3, 14), st.floats(-3, 14)),
)
def test_an_image_is_transformed_as_scipy_does(seed, angle, scale, size, place):
    image = np.random.default_rng(seed).random((size, size))
    found = transformed(image[None], np.array([[place]]), np.array([[angle]]), np.array([[scale]]), side=11)[0, 0]
    # From a place of the frame, whose pixels have their middles at halves, to one of the image, by a matrix.
    there = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * scale
    back = np.linalg.inv(there)
    offset = size / 2 - 0.5 + back @ (0.5 - np.array(place))
    expected = ndimage.affine_transform(
        image, back, offset=offset, output_shape=(11, 11), order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_each_digit_has_its_own_image_and_place():
    images = np.stack([np.full((4, 4), value) for value in (0.5, 1.0)])
    centres = np.array([[[4.0, 4.0], [12.0, 12.0]], [[5.0, 4.0], [12.0, 10.0]]])
    found = transformed(images, centres, np.zeros((2, 2)), np.ones((2, 2)), side=16)
    expected = np.zeros((2, 2, 16, 16))
    for frame in range(2):
        for digit, value in enumerate((0.5, 1.0)):
            row, column = (centres[frame, digit] - 2).astype(int)
            expected[frame, digit, row : row + 4, column : column + 4] = value
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_brightness_and_size_come_back_every_ten_frames(tmp_path):
    ds = run(40, **flat_images(tmp_path, 1), digits=1, speed=(0, 0), light=(0.7, 0.7), scale=(1.05, 1.05), rotation=0)
    for sequence in ds.image.values.reshape(2, 20, 64, 64):
        there_and_back = np.array([*range(6), *range(4, -1, -1), *range(1, 6), *range(4, 0, -1)])
        np.testing.assert_allclose(sequence.max(axis=(1, 2)), 0.7**there_and_back / 255, rtol=1e-9)
        area = sequence.sum(axis=(1, 2)) / 0.7**there_and_back
        np.testing.assert_allclose(area, area[0] * 1.05 ** (2 * there_and_back), rtol=0.03)


def test_centres_stay_in_the_inner_box_and_keep_their_speed(tmp_path):
    still = {"light": (1, 1), "scale": (1, 1), "rotation": 0, "digits": 1}
    ds = run(1000, **flat_images(tmp_path, 1), **still)
    pixel = np.arange(64) + 0.5
    for sequence in ds.image.values.reshape(50, 20, 64, 64):
        mass = sequence.sum(axis=(1, 2))
        centre = np.stack([sequence.sum(axis=2) @ pixel, sequence.sum(axis=1) @ pixel], axis=1) / mass[:, None]
        assert centre.min() >= 10 - 1e-9
        assert centre.max() <= 54 + 1e-9
        steps = np.abs(np.diff(centre, axis=0))
        largest = steps.max(axis=0)
        assert np.hypot(*largest) <= 3.6 + 1e-9
        # A step that is no bounce is as long as any other; a way of 44 is met once in twelve steps at the most.
        assert (np.isclose(steps, largest, atol=1e-9).mean(axis=0) > 0.8).all()


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
        ({"light": (0.5, 1.5)}, "light goes up to 1.5"),
        ({"scale": (0, 1)}, "greater than 0"),
        ({"inner": (10, 70)}, "inner is .* not a stretch of the 64 rows"),
        ({"inner": (30, 30)}, "inner is .* not a stretch"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        MovingDigitsPlus.Options(**options)
