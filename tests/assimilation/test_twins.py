"""Observations of a known trajectory, interpolation between them, and the errors that methods reach on twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.assimilation.twins import interpolate, observe

TRUTH = torch.arange(2 * 40 * 5, dtype=torch.float64).reshape(2, 40, 5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_times_components_and_margins():
    seen = observe(TRUTH, every=8, variance=2.0, components=[3, 0], margin=8, generator=generator())
    assert seen.values.shape == (2, 40, 2)
    assert [t for t, some in enumerate(seen.times()) if some] == [8, 16, 24]
    values, mask = seen.on_state(5)
    assert mask[0, 16].tolist() == [True, False, False, True, False]
    assert float((values - TRUTH)[mask].abs().max()) < 6 * 2**0.5
    assert not bool(values[~mask].any())


def test_sites_are_drawn_anew_each_time():
    seen = observe(torch.zeros(3, 400, 10), every=2, variance=1.0, sites=4, generator=generator())
    assert seen.seen[:, ::2].sum(-1).unique().tolist() == [4]
    assert not bool(seen.seen[:, 1::2].any())
    share = seen.seen[:, ::2].double().mean((0, 1))
    assert float((share - 0.4).abs().max()) < 5 * (0.24 / 600) ** 0.5
    assert not torch.equal(seen.seen[0], seen.seen[1])


def test_errors_have_the_variance_and_come_from_the_generator():
    states = torch.zeros(100_000, 2, dtype=torch.float64)
    seen = observe(states, variance=2.0, generator=generator())
    assert float(seen.values.var()) == pytest.approx(2.0, rel=0.02)
    assert torch.equal(seen.values, observe(states, variance=2.0, generator=generator()).values)
    assert not torch.equal(seen.values, observe(states, variance=2.0, generator=generator(1)).values)


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"margin": 20}, {"sites": 6}, {"sites": 0}, {"components": [0], "sites": 2}]
)
def test_a_plan_out_of_range_is_refused(options):
    with pytest.raises(ValueError, match="40 times of"):
        observe(TRUTH, variance=1.0, **options)


def test_components_out_of_range_are_refused():
    with pytest.raises((ValueError, IndexError)):
        observe(TRUTH, variance=1.0, components=[5])


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
