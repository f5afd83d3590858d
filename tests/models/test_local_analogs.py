"""Analogs of the neighbourhood of each site of a ring: the search, and what they are worth in a filter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.registry import MODELS
from pipeline_lib.solvers.lorenz96 import Lorenz96
from pipeline_lib.solvers.schemes import RK4, integrate
from pipeline_lib.tasks.assimilation.methods import Prior, analyse, forecast_operator
from pipeline_lib.tasks.assimilation.options import MethodOptions
from tests.assimilation.twins import observe

MODEL = MODELS.get("analog")


def built(sites, catalogue, **options):
    made = MODEL.Options(catalogue=catalogue, **options)
    return MODEL.build(made, shape=(sites,), step=0.05, mean=0.0, scale=1.0).double()


def searched(states, successors, query, site, *, reach, count, shared, method):
    """The forecast of one site, written down for it alone."""
    sites = len(query)
    beside = np.arange(-reach, reach + 1)
    here = query[(site + beside) % sites]
    pool = [
        (state[(other + beside) % sites], following[other])
        for state, following in zip(states, successors, strict=True)
        for other in (range(sites) if shared else [site])
    ]
    nearest = sorted(pool, key=lambda pair: ((pair[0] - here) ** 2).sum())[:count]
    near, after = np.array([window for window, _ in nearest]), np.array([value for _, value in nearest])
    squares = ((near - here) ** 2).sum(axis=1)
    weights = np.exp(-squares / squares[(count - 1) // 2])
    if method == "local_linear":
        features = np.hstack([np.ones((count, 1)), near - here])
        root = np.sqrt(weights)[:, None]
        return np.linalg.lstsq(root * features, root[:, 0] * after, rcond=None)[0][0]
    values = after if method == "locally_constant" else query[site] + after - near[:, reach]
    return (weights * values).sum() / weights.sum()


@pytest.mark.parametrize("method", ["locally_constant", "locally_incremental", "local_linear"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("reach", [1, 2, 5])  # the windows of eleven sites are searched without a tree
def test_forecasts_are_those_of_a_plain_search_for_each_site(reach, shared, method):
    rng = np.random.default_rng(reach)
    states, successors, queries = (rng.standard_normal((count, 12)) for count in (40, 40, 3))
    network = built(12, 40, reach=reach, shared=shared, method=method, neighbours=[15])
    network.states.copy_(torch.from_numpy(states))
    network.successors.copy_(torch.from_numpy(successors))
    found, _ = network.advance(torch.from_numpy(queries), None)
    how = {"reach": reach, "count": 15, "shared": shared, "method": method}
    expected = [[searched(states, successors, query, site, **how) for site in range(12)] for query in queries]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("shared", [False, True])
def test_large_batches_are_forecast_in_parts(shared, monkeypatch):
    rng = torch.Generator().manual_seed(0)
    network = built(8, 60, reach=1, shared=shared, neighbours=[9])
    network.remember(torch.randn(61, 8, generator=rng, dtype=torch.float64))
    queries = torch.randn(5, 8, generator=rng, dtype=torch.float64)
    whole, _ = network.advance(queries, None)
    monkeypatch.setattr("pipeline_lib.models.analog.network._QUERIES", 3)
    torch.testing.assert_close(network.advance(queries, None)[0], whole)


def test_a_new_catalogue_takes_the_place_of_the_old():
    rng = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 31, 8, generator=rng, dtype=torch.float64)
    network, fresh = (built(8, 30, reach=1, neighbours=[5]) for _ in range(2))
    network.remember(first)
    with torch.inference_mode():
        network.advance(first[:1], None)
    network.remember(second)
    fresh.remember(second)
    state = second[:1].clone().requires_grad_()
    torch.testing.assert_close(network.advance(state, None)[0], fresh.advance(state, None)[0])


def test_a_gradient_passes_through_what_was_searched_in_a_prediction():
    states = torch.randn(31, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network = built(8, 30, reach=1, neighbours=[5], method="locally_incremental")
    network.remember(states)
    with torch.inference_mode():
        network.advance(states[:1], None)
    state = states[:1].clone().requires_grad_()
    network.advance(state, None)[0].sum().backward()
    assert state.grad is not None
    assert bool(state.grad.isfinite().all())


def test_draws_of_a_site_have_the_spread_of_its_analogs_and_sites_are_independent():
    rng = torch.Generator().manual_seed(0)
    near = torch.randn(100, 4, generator=rng, dtype=torch.float64)
    after = near + torch.tensor([0.1, 0.2, 0.3, 0.4]) * torch.randn(100, 4, generator=rng, dtype=torch.float64)
    options = {"reach": 1, "neighbours": [100], "method": "locally_incremental"}
    network, plain = built(4, 100, sampled=True, **options), built(4, 100, **options)
    for one in (network, plain):
        one.states.copy_(near)
        one.successors.copy_(after)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = network.advance(torch.zeros(2000, 4, dtype=torch.float64), None)[0]
    mean = plain.advance(torch.zeros(1, 4, dtype=torch.float64), None)[0]
    torch.testing.assert_close(drawn.mean(dim=0), mean[0], atol=0.03, rtol=0)
    spread = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    torch.testing.assert_close(drawn.std(dim=0), spread, atol=0.08, rtol=0)
    apart = drawn.T.corrcoef() - torch.eye(4, dtype=torch.float64)
    assert float(apart.abs().max()) < 0.08


@pytest.mark.parametrize("shape", [(4,), (6, 5)])
def test_states_that_are_no_ring_of_sites_are_refused(shape):
    options = MODEL.Options(reach=2)
    with pytest.raises(ConfigError, match=r"analog.reach: states of shape .* are no ring for 2 neighbours a side; set"):
        MODEL.build(options, shape=shape, step=0.05, mean=0.0, scale=1.0)


@pytest.fixture(scope="module")
def trajectory():
    """2,060 states of twelve sites of Lorenz 1996."""
    start = 8.0 + torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return integrate(Lorenz96(8.0), start, dt=0.05, steps=2159, scheme=RK4)[100:]


@pytest.mark.parametrize("method", ["etkf", "enkf"])
def test_local_analogs_serve_a_localised_filter_where_whole_states_do_not(trajectory, method):
    """Half the sites, drawn anew, are observed at every other state with errors of variance 1.

    Errors of one draw: of the ETKF .73 and 1.58, of the EnKF .81 and 1.45.
    """
    known, truth = trajectory[:2001], trajectory[2001:2041]
    observations = observe(truth, every=2, variance=1.0, sites=6, generator=torch.Generator().manual_seed(1))
    prior = Prior(known.mean(dim=0), known.T.cov())
    chosen = MethodOptions(method=method, members=20, localisation=3.0, inflation=1.02)
    error = {}
    for name, options in {"local": {"reach": 2, "shared": True}, "whole": {}}.items():
        network = built(12, 2000, neighbours=[30], sampled=True, **options)
        network.remember(known)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            generator = torch.Generator().manual_seed(0)
            found, spread = analyse(forecast_operator(network), observations, prior, chosen, generator)
        error[name] = float((found - truth)[20:].square().mean().sqrt())
        assert float(spread[20:].mean()) > 0.3 * error[name]
    assert error["local"] < 1.0
    assert error["local"] < 0.7 * error["whole"]
