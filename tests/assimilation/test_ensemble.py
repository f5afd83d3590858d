"""Ensemble filters and smoothers: closed forms, what is switched off, gradients, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.assimilation.cycle import assimilate, inflated
from pipeline_lib.assimilation.ensemble import ETKF, EnKF
from pipeline_lib.assimilation.localisation import ring_taper
from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.assimilation.smoother import rauch_tung_striebel
from tests.assimilation.linear_gaussian import (
    COMPONENTS,
    MODEL_ERROR,
    PRIOR,
    PRIOR_MEAN,
    VARIANCE,
    Answer,
    ensemble,
    forecast,
    generator,
    kalman,
    moments,
    normal,
    problem,
    run,
)

MANY = 40_000
SPREAD = 3.0
"""Largest standard deviation of what is compared below, times five for the largest of many errors."""


def assert_near(found: torch.Tensor, expected: Answer, tolerance: float) -> None:
    seen = moments(found)
    np.testing.assert_allclose(seen.means, expected.means, rtol=0, atol=tolerance)
    np.testing.assert_allclose(seen.covariances, expected.covariances, rtol=0, atol=tolerance)


# Closed forms.


@pytest.mark.parametrize("count", [4, 5, 30])
def test_the_transform_filter_is_exact_in_one_step(count):
    """With the prior's mean and covariance in the ensemble, the analysis has those of the posterior."""
    seen = Observations(torch.tensor([[0.4, -1.0]], dtype=torch.float64), VARIANCE, torch.tensor(COMPONENTS))
    found = run(ETKF(), ensemble(count, exact=True), seen)
    assert_near(found.analyses, kalman(seen, MODEL_ERROR)[0], 1e-12)


@pytest.mark.parametrize("count", [4, 30])
def test_the_transform_filter_and_its_smoothers_are_exact_without_model_error(count):
    observations = problem()
    filtered, smoothed = kalman(observations, 0 * MODEL_ERROR)
    members = ensemble(count, exact=True)
    found = run(ETKF(), members, observations)
    assert_near(found.analyses, filtered, 1e-12)
    assert_near(run(ETKF(), members, observations, lag=None).analyses, smoothed, 1e-11)
    assert_near(rauch_tung_striebel(found).analyses, smoothed, 1e-11)


def test_mean_and_spread_are_those_of_the_ensembles():
    found = run(ETKF(), ensemble(30), problem())
    expected = moments(found.analyses)
    np.testing.assert_allclose(found.mean, expected.means, atol=1e-13)
    np.testing.assert_allclose(found.spread, np.sqrt(expected.covariances.diagonal(axis1=1, axis2=2)), atol=1e-13)
    short = assimilate(ETKF(), forecast, ensemble(30), problem())
    torch.testing.assert_close((short.mean, short.spread), (found.mean, found.spread), rtol=0, atol=1e-14)
    assert short.analyses is None


@pytest.mark.parametrize("analysis", [EnKF(), ETKF()])
def test_filters_and_smoothers_converge_to_kalman_with_the_members(analysis):
    observations = problem()
    filtered, smoothed = kalman(observations, MODEL_ERROR)
    error = torch.from_numpy(MODEL_ERROR)
    found = run(analysis, ensemble(MANY), observations, model_error=error)
    tolerance = SPREAD * 5 / math.sqrt(MANY) / 2
    assert_near(found.analyses, filtered, tolerance)
    assert_near(rauch_tung_striebel(found).analyses, smoothed, tolerance)
    augmented = run(analysis, ensemble(MANY), observations, model_error=error, lag=None)
    assert_near(augmented.analyses, smoothed, tolerance)
    # The test must be able to tell the smoother from the filter.
    assert np.abs(filtered.means - smoothed.means).max() > 3 * tolerance


def test_the_error_of_the_stochastic_filter_falls_with_the_root_of_the_members():
    observations = problem()
    expected = torch.from_numpy(kalman(observations, 0 * MODEL_ERROR)[0].means)

    def error(count: int) -> float:
        members = torch.stack([ensemble(count, seed, exact=True) for seed in range(60)])
        return float((run(EnKF(), members, observations).mean - expected).square().mean().sqrt())

    assert error(50) / error(800) == pytest.approx(4.0, rel=0.25)


def test_a_lag_of_two_corrects_the_last_two_times_only():
    observations = problem()
    whole = run(ETKF(), ensemble(30), observations, lag=None).mean
    lagged = run(ETKF(), ensemble(30), observations, lag=2).mean
    shorter = [run(ETKF(), ensemble(30), problem_until(observations, t), lag=None).mean[-3] for t in (3, 4, 5, 6)]
    torch.testing.assert_close(lagged[:4], torch.stack(shorter), rtol=0, atol=1e-13)
    assert (lagged - whole).abs().max() > 1e-3


def problem_until(observations: Observations, steps: int) -> Observations:
    seen = observations.seen[:steps]
    return Observations(observations.values[:steps], observations.errors[:steps], observations.components, seen)


@pytest.mark.parametrize(("small", "kept"), [(0.1, True), (1e-3, False)])
def test_a_component_that_holds_next_to_nothing_of_the_variance_is_not_smoothed(small, kept):
    """Two components that never meet; the second holds 1 % of the variance, or a millionth."""
    scale = torch.tensor([1.0, small], dtype=torch.float64)
    observations = Observations(torch.stack([0 * scale, 2 * scale]), scale**2)
    filtered = assimilate(ETKF(), lambda states: 1.0 * states, normal(50, 2) * scale, observations, keep=True)
    moved = (rauch_tung_striebel(filtered).mean[0] - filtered.mean[0]) / scale
    assert moved[0].abs() > 0.1
    assert (moved[1].abs() > 0.1) == kept


# What one analysis is, written differently.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("observed", [3, 12])
def test_the_symmetric_root_is_the_one_of_hunt(seed, observed):
    """Both spaces against equations 20-25 of Hunt et al. (2007), in numpy."""
    members, values = normal(6, 12, seed=seed), normal(1, observed, seed=9 + seed)
    seen = Observations(values, 0.3, torch.arange(observed))
    found = assimilate(ETKF(), lambda x: x, members, seen, keep=True).analyses[0].numpy()
    x, y = members.numpy(), members.numpy()[:, :observed]
    anomalies, scaled = x - x.mean(0), (y - y.mean(0)) / 0.3
    precision = 5 * np.eye(6) + scaled @ (y - y.mean(0)).T
    values_, vectors = np.linalg.eigh(precision)
    weights = np.linalg.solve(precision, scaled @ (values.numpy()[0] - y.mean(0)))
    root = vectors @ np.diag(np.sqrt(5 / values_)) @ vectors.T
    np.testing.assert_allclose(found, x.mean(0) + (weights + root) @ anomalies, rtol=0, atol=1e-12)


def test_the_local_filter_is_one_filter_for_each_site():
    sites, taper = 12, ring_taper(12, 2.0)
    members, values = normal(5, sites), normal(1, 6, seed=1)
    components = torch.arange(0, sites, 2)
    found = assimilate(ETKF(taper), lambda x: x, members, Observations(values, 0.5, components), keep=True).analyses
    for site in range(sites):
        weight = taper[site, components]
        near = weight > 0
        local = Observations(values[:, near], 0.5 / weight[near], components[near])
        alone = assimilate(ETKF(), lambda x: x, members, local, keep=True).analyses
        torch.testing.assert_close(found[0, :, site], alone[0, :, site], rtol=0, atol=1e-12)


def test_the_tapered_stochastic_filter_is_the_formula():
    sites, taper = 12, ring_taper(12, 2.0)
    members, values = normal(5, sites), normal(1, 6, seed=1)
    components = list(range(0, sites, 2))
    observations = Observations(values, 0.5, torch.tensor(components))
    found = assimilate(EnKF(taper), lambda x: x, members, observations, generator=generator(3), keep=True).analyses[0]
    noise = normal(5, 6, seed=3).numpy()
    noise = (noise - noise.mean(0)) * math.sqrt(5 / 4 * 0.5)
    x, operator = members.numpy(), np.eye(sites)[components]
    covariance = np.cov(x.T) * taper.numpy()
    gain = covariance @ operator.T @ np.linalg.inv(operator @ covariance @ operator.T + 0.5 * np.eye(6))
    np.testing.assert_allclose(found, x + (values.numpy() + noise - x @ operator.T) @ gain.T, rtol=0, atol=1e-12)


def test_the_tapered_smoother_tapers_covariances_with_the_past_in_the_same_way():
    """Past and present sites as one state; between two sites the factor is the same, whenever they are."""
    sites, taper = 12, ring_taper(12, 2.0)
    members, values = normal(5, sites), normal(2, 6, seed=1)
    components, seen = list(range(0, sites, 2)), torch.tensor([[False], [True]])
    turn = normal(sites, sites, seed=2) / 3
    observations = Observations(values, 0.5, torch.tensor(components), seen.expand(2, 6))
    found = assimilate(EnKF(taper), lambda x: x @ turn, members, observations, lag=1, generator=generator(3), keep=True)
    noise = normal(5, 6, seed=3).numpy()
    noise = (noise - noise.mean(0)) * math.sqrt(5 / 4 * 0.5)
    both = np.hstack([members.numpy(), (members @ turn).numpy()])
    operator = np.eye(2 * sites)[[sites + site for site in components]]
    covariance = np.cov(both.T) * np.tile(taper.numpy(), (2, 2))
    gain = covariance @ operator.T @ np.linalg.inv(operator @ covariance @ operator.T + 0.5 * np.eye(6))
    expected = both + (values[1].numpy() + noise - both @ operator.T) @ gain.T
    np.testing.assert_allclose(found.analyses[0], expected[:, :sites], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.analyses[1], expected[:, sites:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", [EnKF, ETKF])
def test_a_taper_of_ones_is_none(method):
    members, observations = ensemble(30), problem()
    with_it, without = (run(m, members, observations, lag=2) for m in (method(torch.ones(3, 3).double()), method()))
    torch.testing.assert_close(with_it.mean, without.mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(with_it.spread, without.spread, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", [EnKF, ETKF])
def test_a_taper_keeps_far_sites_as_they_are(method):
    observations = Observations(torch.ones(1, 1, dtype=torch.float64), 0.5, torch.tensor([0]))
    members = normal(5, 12)
    analysis = method(ring_taper(12, 2.0))
    found = assimilate(analysis, lambda x: x, members, observations, generator=generator(), keep=True).analyses[0]
    far = [4, 5, 6, 7, 8]
    torch.testing.assert_close(found[:, far], members[:, far], rtol=0, atol=1e-14)
    assert (found - members)[:, [0, 1, 11]].abs().min() > 1e-6


# What is off, and what is not there.


@given(factor=st.floats(0.5, 3.0))
def test_inflation_multiplies_the_spread_and_leaves_the_mean(factor):
    members = ensemble(7)
    found = inflated(members, factor)
    torch.testing.assert_close(found.mean(-2), members.mean(-2), rtol=0, atol=1e-13)
    torch.testing.assert_close(found.std(-2), factor * members.std(-2), rtol=1e-12, atol=0)
    assert torch.equal(inflated(members, 1.0), members)


def test_inflation_is_the_same_as_a_wider_prior():
    seen = Observations(torch.tensor([[0.4, -1.0]], dtype=torch.float64), VARIANCE, torch.tensor(COMPONENTS))
    wide = torch.from_numpy(PRIOR_MEAN) + 1.5 * (ensemble(9, exact=True) - torch.from_numpy(PRIOR_MEAN))
    found = run(ETKF(), ensemble(9, exact=True), seen, inflation=1.5).analyses
    torch.testing.assert_close(found, run(ETKF(), wide, seen).analyses, rtol=0, atol=1e-12)


def test_without_observations_there_is_the_forecast():
    nothing = Observations(torch.full((4, 3), torch.nan, dtype=torch.float64), 1.0, mask=torch.tensor(False))
    found = run(EnKF(), ensemble(5), nothing, inflation=2.0)
    state = ensemble(5)
    for time in range(4):
        torch.testing.assert_close(found.analyses[time], state, rtol=0, atol=0)
        state = forecast(state)


@pytest.mark.parametrize("analysis", [EnKF(), ETKF()])
def test_what_is_masked_may_hold_anything(analysis):
    observations = problem()
    other = Observations(
        torch.where(observations.seen, observations.values, 7e9),
        torch.where(observations.seen, observations.errors, -1.0),
        observations.components,
        observations.seen,
    )
    found, expected = (run(analysis, ensemble(8), given) for given in (other, observations))
    assert torch.equal(found.mean, expected.mean)


def test_missing_observations_are_those_of_a_smaller_operator():
    values = torch.tensor([[0.7, -9.0, 0.2]], dtype=torch.float64)
    masked = Observations(values, 0.3, mask=torch.tensor([True, False, True]))
    fewer = Observations(values[:, [0, 2]], 0.3, torch.tensor([0, 2]))
    found, expected = (run(ETKF(), ensemble(8), given).analyses for given in (masked, fewer))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_the_model_error_has_its_covariance():
    root = np.linalg.cholesky(PRIOR)
    nothing = Observations(torch.zeros(2, 3, dtype=torch.float64), 1.0, mask=torch.tensor(False))
    for covariance, expected in [(torch.from_numpy(root @ root.T), PRIOR), (0.3, 0.3 * np.eye(3))]:
        still = assimilate(
            ETKF(), torch.zeros_like, ensemble(MANY), nothing, model_error=covariance, generator=generator(), keep=True
        )
        np.testing.assert_allclose(np.cov(still.analyses[1].numpy().T), expected, rtol=0, atol=0.03)


# Precision, gradients.


@pytest.mark.parametrize("analysis", [EnKF(), ETKF(), ETKF(torch.ones(3, 3).double()), EnKF(torch.ones(3, 3).double())])
def test_single_precision_is_near_double(analysis):
    exact = problem()
    single = Observations(exact.values.float(), exact.errors.float(), exact.components, exact.seen)
    found = run(analysis, ensemble(20).float(), single)
    assert found.mean.dtype == torch.float32
    assert torch.isfinite(rauch_tung_striebel(found).mean).all()
    if isinstance(analysis, ETKF):
        torch.testing.assert_close(found.mean.double(), run(ETKF(), ensemble(20), exact).mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("taper", [None, ring_taper(4, 1.0)])
@pytest.mark.parametrize("count", [3, 6])
@pytest.mark.parametrize("method", [EnKF, ETKF])
def test_gradients(method, count, taper):
    """With respect to members, values and a parameter of the model; in both spaces of the transform."""

    def work(members, values, rate):
        grow = lambda x: x + rate * x.roll(1, -1) * x  # noqa: E731
        found = assimilate(method(taper), grow, members, Observations(values, 0.5), generator=generator(), keep=True)
        return found.analyses, rauch_tung_striebel(found).mean

    inputs = [normal(count, 4), normal(2, 4, seed=1), torch.tensor(0.1, dtype=torch.float64)]
    assert torch.autograd.gradcheck(work, [x.requires_grad_() for x in inputs], fast_mode=True)


def test_observations_made_without_gradients_pass_them_on():
    """And more than once: nothing of a graph is kept in them."""
    values = normal(2, 3).requires_grad_()
    with torch.no_grad():
        observations = Observations(values, 0.5)
        assimilate(ETKF(), forecast, ensemble(5), observations)
    for _ in range(2):
        found = assimilate(ETKF(), forecast, ensemble(5), observations).mean.sum() + observations.known.sum()
        (gradient,) = torch.autograd.grad(found, values)
        assert gradient.abs().min() > 0


# What they refuse.

GOOD = Observations(torch.zeros(2, 3, dtype=torch.float64), 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: run(EnKF(), ensemble(5)[0], GOOD), "two or more"),
        (lambda: run(EnKF(), ensemble(5)[:1], GOOD), "two or more"),
        (lambda: run(EnKF(), ensemble(5).float(), GOOD), "bring them to one"),
        (lambda: run(EnKF(), ensemble(5)[:, :2], GOOD), "2 components"),
        (lambda: run(EnKF(torch.ones(2, 2)), ensemble(5), GOOD), "taper of shape"),
        (lambda: run(ETKF(torch.ones(3, 2)), ensemble(5), GOOD), "taper of shape"),
        (lambda: run(EnKF(), ensemble(5), GOOD, inflation=0.0), "inflation"),
        (lambda: run(EnKF(), ensemble(5), GOOD, lag=-1), "lag"),
        (lambda: run(EnKF(), ensemble(5), GOOD, model_error=-1.0), "at least 0"),
        (lambda: run(EnKF(), ensemble(5), GOOD, model_error=torch.ones(2)), "covariance of shape"),
        (lambda: run(EnKF(), ensemble(5), GOOD, model_error=torch.eye(3).roll(1, 0)), "not symmetric"),
        (lambda: Observations(torch.zeros(3), 1.0), "expected real numbers"),
        (lambda: Observations(torch.zeros(2, 3), 0.0), "not positive"),
        (lambda: Observations(torch.zeros(2, 3), torch.ones(2)), "does not fit"),
        (lambda: Observations(torch.full((2, 3), torch.nan), 1.0), "not finite"),
        (lambda: Observations(torch.zeros(2, 3), 1.0, torch.tensor([0])), "1 components"),
        (lambda: Observations(torch.zeros(2, 1), 1.0, torch.tensor([5])).on_state(3), "0 to 2"),
        (lambda: Observations(torch.zeros(2, 2), 1.0, torch.tensor([1, 1])).on_state(3), "twice"),
        (lambda: rauch_tung_striebel(assimilate(ETKF(), forecast, ensemble(5), GOOD)), "keep=True"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
