"""Features of pixels: against loops over pixels and against frames whose features are known."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.retrieval.features import features_of


def by_loops(frame, surface=None):
    """Features of each pixel of one frame, pixel by pixel."""
    rows, columns = frame.shape
    found = np.full((rows, columns, 5 + (surface is not None)), np.nan)
    for row in range(rows):
        for column in range(columns):
            if np.isnan(frame[row, column]) or (surface is not None and np.isnan(surface[row, column])):
                continue
            told = [frame[row, column]]
            for reach in (1, 2):
                around = [
                    frame[r, c]
                    for r in range(row - reach, row + reach + 1)
                    for c in range(column - reach, column + reach + 1)
                    if 0 <= r < rows and 0 <= c < columns and not np.isnan(frame[r, c])
                ]
                told += [np.mean(around), np.std(around)]
            found[row, column] = [*told, surface[row, column]] if surface is not None else told
    return found


@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 8), columns=st.integers(1, 8), holes=st.sampled_from([0, 0.3])
)
def test_features_are_those_of_loops_over_pixels(seed, rows, columns, holes):
    rng = np.random.default_rng(seed)
    frames = rng.uniform(0, 1, (2, rows, columns))
    frames[rng.random(frames.shape) < holes] = np.nan
    surface = rng.integers(0, 2, (rows, columns)).astype(float)
    surface[rng.random(surface.shape) < holes] = np.nan
    for below in (None, surface):
        expected = np.stack([by_loops(frame, below) for frame in frames])
        np.testing.assert_allclose(features_of(frames, below), expected, atol=1e-7)


def test_features_of_a_step_between_two_values():
    frame = np.zeros((7, 8))
    frame[:, 4:] = 1.0
    found = features_of(frame)
    assert found.shape == (7, 8, 5)
    # Left of the step: of three columns around one is 1, of five columns two are.
    np.testing.assert_allclose(found[3, 3], [0, 1 / 3, np.sqrt(2) / 3, 2 / 5, np.sqrt(6) / 5])
    np.testing.assert_allclose(found[3, 0], [0, 0, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found[0, 5], [1, 1, 0, 4 / 5, 2 / 5], atol=1e-12)
