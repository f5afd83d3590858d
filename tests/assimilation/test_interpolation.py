"""Interpolation between observations in time."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.assimilation.interpolation import interpolate
from pipeline_lib.assimilation.observations import Observations


@given(seed=st.integers(0, 10_000), rate=st.floats(0.05, 0.9))
def test_interpolation_is_that_of_numpy(seed, rate):
    rng = np.random.default_rng(seed)
    mask, values = rng.random((2, 12, 3)) < rate, rng.normal(size=(2, 12, 3))
    seen = Observations(torch.from_numpy(np.where(mask, values, np.nan)), 1.0, mask=torch.from_numpy(mask))
    found = interpolate(seen, 3, fill=torch.tensor([7.0, 8.0, 9.0])).numpy()
    for run, part in np.ndindex(2, 3):
        at = np.flatnonzero(mask[run, :, part])
        expected = np.interp(np.arange(12), at, values[run, at, part]) if at.size else np.full(12, 7.0 + part)
        np.testing.assert_allclose(found[run, :, part], expected, rtol=0, atol=1e-14)


def test_interpolation_of_components_fills_the_others():
    seen = Observations(torch.tensor([[1.0], [0.0], [3.0]]), 1.0, torch.tensor([1]), torch.tensor([[1], [0], [1]]) > 0)
    assert interpolate(seen, 3, fill=-1.0).tolist() == [[-1, 1, -1], [-1, 2, -1], [-1, 3, -1]]


def test_interpolation_passes_gradients():
    values = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 0], [0, 1], [0, 0], [1, 0], [0, 0]]) > 0
    assert torch.autograd.gradcheck(lambda v: interpolate(Observations(v, 1.0, mask=mask), 2), values)
