"""Models that are found in one go: analogs, sparse regression, nonlinear least squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import PolynomialFeatures

from pipeline_lib.errors import DataError, TrainingError
from pipeline_lib.learning.forecaster import Rollout, forecast_error
from pipeline_lib.models.analog.pool import Pool
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.state_networks import OdeStep
from pipeline_lib.solvers.lorenz63 import Lorenz63
from pipeline_lib.solvers.lorenz96 import Lorenz96
from pipeline_lib.solvers.schemes import RK4, integrate
from pipeline_lib.tasks.dynamics.least_squares import fit_least_squares
from pipeline_lib.tasks.dynamics.windows import Trajectory
from pipeline_lib.train.problem import Batch

STEP, MEAN, SCALE = 0.01, 8.0, 14.0


def build(name, dimension=3, **options):
    model = MODELS.get(name)
    network = model.build(model.Options(**options), shape=(dimension,), step=STEP, mean=MEAN, scale=SCALE)
    return model, network.double()


@pytest.fixture(scope="module")
def states():
    """4,000 normalised states of the Lorenz 1963 system, made by RK4."""
    start = torch.tensor([8.0, 0.0, 30.0], dtype=torch.float64)
    return (integrate(Lorenz63(), start, dt=STEP, steps=4499, scheme=RK4)[500:] - MEAN) / SCALE


def windows(states, horizon):
    times = np.arange(len(states)).astype("datetime64[s]")
    return Trajectory(states.numpy(), times, horizon).spread()


def fitted(network, train, validation, horizon, iterations):
    return fit_least_squares(
        Rollout(network, horizon),
        windows(train, horizon),
        windows(validation, horizon),
        iterations=iterations,
        scale=1000.0,
    )


# ---- least squares -----------------------------------------------------------------------------------------


def test_least_squares_finds_the_equations_behind_runge_kutta_data_to_round_off(states):
    torch.manual_seed(0)
    _, network = build("bilinear")
    history = fitted(network, states[:500], states[2000:2200], 1, 200)
    assert history["val_loss"].iloc[-1] < 1e-20 * history["val_loss"].iloc[0]
    assert SCALE * forecast_error(network, states[3000:], 8) < 1e-9
    physical = states[3000:3010] * SCALE + MEAN
    torch.testing.assert_close(network.tendency(states[3000:3010]) * SCALE, Lorenz63()(physical, 0.0))


def test_a_stencil_finds_lorenz_96_from_few_states():
    torch.manual_seed(0)
    system, sites = Lorenz96(8.0), 8
    start = 8.0 + torch.randn(sites, dtype=torch.float64)
    truth = (integrate(system, start, dt=STEP, steps=500, scheme=RK4)[100:] - MEAN) / SCALE
    _, network = build("bilinear_stencil", dimension=sites)
    fitted(network, truth[:200], truth[200:], 1, 200)
    physical = truth[-5:] * SCALE + MEAN
    torch.testing.assert_close(network.tendency(truth[-5:]) * SCALE, system(physical, 0.0), atol=1e-6, rtol=0)


def test_the_kept_parameters_are_those_of_the_best_validation(states):
    torch.manual_seed(0)
    _, network = build("ode_network", hidden=3)
    train, validation = states[:60], states[3000:3300]  # so few that the fit will suit nothing else
    history = fitted(network, train, validation, 2, 60)
    found = forecast_error(network, validation, 2)
    assert found == pytest.approx(history["val_rmse"].min(), rel=0.05)  # the error looks at evenly spread starts
    assert history["epoch"].tolist() == list(range(len(history)))


def test_a_single_evaluation_keeps_the_start(states):
    torch.manual_seed(0)
    _, network = build("bilinear")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    history = fitted(network, states[:50], states[100:150], 1, 1)
    expected = (Rollout(network, 1)(states[100:149]).squeeze(1) - states[101:150]).detach().square().mean()
    assert history["epoch"].tolist() == [0]
    assert history["val_loss"][0] == pytest.approx(1000 * float(expected))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_fit_that_ended_at_the_limit_of_evaluations_is_told(states, caplog):
    for evaluations, told in ((2, True), (50, False)):
        caplog.clear()
        _, network = build("lorenz63_ode")
        fitted(network, states[:100], states[200:300], 1, evaluations)
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        said = f"the fit had not converged after {evaluations} evaluations: raise training.max_epochs"
        assert warnings == [said] * told


def test_parameters_that_are_right_at_the_start_stay(states):
    """The gradient vanishes."""
    _, network = build("lorenz63_ode", initial=[10.0, 28.0, 8 / 3])
    exact = Rollout(network, 1)(states[:50]).detach()
    batch = Batch(states[:50], exact, torch.arange(50)[:, None])
    history = fit_least_squares(Rollout(network, 1), batch, batch, iterations=9, scale=1.0)
    assert history["val_loss"].tolist() == [0.0]
    learned = [value for parameter in network.parameters() for value in parameter.tolist()]
    np.testing.assert_allclose(learned, [10.0, 28.0, 8 / 3])


def test_values_without_finite_forecasts_of_validation_are_not_kept(states):
    _, network = build("bilinear")
    with pytest.raises(TrainingError, match=r"no values give finite forecasts of the validation days"):
        fitted(network, states[:50], torch.full_like(states[:9], torch.nan), 1, 2)


def test_least_squares_says_what_it_cannot_fit(states):
    _, network = build("lorenz63_ode", initial=[1e200, 1e200, 1e200])
    with pytest.raises(TrainingError, match=r"levenberg_marquardt: no fit: .*set optimizer: adam"):
        fitted(network, states[:50], states[100:150], 3, 5)


class Stubborn(torch.autograd.Function):
    """The identity, with a derivative backwards alone."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def test_least_squares_says_that_a_network_has_no_derivatives_forwards(states):
    _, network = build("lorenz63_ode")
    advance = network.advance
    network.advance = lambda state, memory: (Stubborn.apply(advance(state, memory)[0]), memory)
    with pytest.raises(TrainingError, match=r"no derivatives by forward differentiation: .*set optimizer: adam"):
        fitted(network, states[:50], states[100:150], 1, 5)


# ---- analogs -----------------------------------------------------------------------------------------------


def linear_states(count=400):
    """States that a rotation with damping carries round, kept alive by kicks: each follows a linear map exactly."""
    generator = torch.Generator().manual_seed(0)
    map_ = torch.tensor([[0.9, -0.3], [0.3, 0.9]], dtype=torch.float64)
    starts = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return starts, starts @ map_.T + 0.5, map_


def filled(method, near, after, count):
    _, network = build("analog", dimension=2, catalogue=len(near), neighbours=[count], method=method)
    network.states.copy_(near)
    network.successors.copy_(after)
    return network


def test_local_regression_is_exact_for_a_linear_map_and_increments_for_a_translation():
    near, after, map_ = linear_states()
    queries = torch.randn(20, 2, dtype=torch.float64) * 0.5
    found, _ = filled("local_linear", near, after, 15).advance(queries, None)
    torch.testing.assert_close(found, queries @ map_.T + 0.5)
    found, _ = filled("locally_incremental", near, near + 0.25, 15).advance(queries, None)
    torch.testing.assert_close(found, queries + 0.25)
    found, _ = filled("locally_constant", near, torch.full_like(after, 3.0), 15).advance(queries, None)
    torch.testing.assert_close(found, torch.full_like(found, 3.0))


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_forecasts_are_those_of_a_plain_search(seed, count):
    rng = np.random.default_rng(seed)
    near, after, query = (rng.standard_normal((n, 2)) for n in (40, 40, 1))
    found, _ = filled("locally_constant", torch.tensor(near), torch.tensor(after), count).advance(
        torch.tensor(query), None
    )
    distance = np.linalg.norm(near - query, axis=1)
    chosen = np.argsort(distance)[:count]
    squares = distance[chosen] ** 2
    weights = np.exp(-squares / np.sort(squares)[(count - 1) // 2])
    np.testing.assert_allclose(found[0], (weights[:, None] * after[chosen]).sum(0) / weights.sum(), rtol=1e-9)


def test_a_tree_and_a_search_of_everything_find_the_same(monkeypatch):
    near, after, _ = linear_states()
    queries = torch.randn(30, 2, dtype=torch.float64)
    pool = Pool(near, after)
    by_tree = pool.nearest(queries, 9)
    monkeypatch.setattr("pipeline_lib.models.analog.pool._TREE_DIMENSIONS", 1)
    assert torch.equal(by_tree, pool.nearest(queries, 9))
    monkeypatch.setattr("pipeline_lib.models.analog.pool._DISTANCES", 5 * len(near))  # six parts
    assert torch.equal(by_tree, pool.nearest(queries, 9))


def test_forecasts_are_the_same_bits_wherever_states_lie_in_memory(states):
    _, network = build("analog", catalogue=1000, neighbours=[50])
    network.remember(states[:1001])
    starts = states[2000:2200]
    expected, _ = network.advance(starts, None)
    room = torch.empty(starts.numel() + 8, dtype=starts.dtype)
    for shift in range(8):
        elsewhere = room[shift : shift + starts.numel()].view(starts.shape).copy_(starts)
        kept = [torch.empty(97 * shift + 1) for _ in range(5)]  # what is allocated next lies elsewhere, too
        found, _ = network.advance(elsewhere, None)
        assert torch.equal(found, expected), len(kept)


def test_the_number_of_analogs_is_the_one_that_validation_likes_best(states):
    model, network = build("analog", catalogue=2000, neighbours=[3, 30, 300])
    model.fit(network, states[:2500], states[3000:3300], horizon=4)
    chosen, errors = int(network.neighbours), {}
    for count in (3, 30, 300):
        network.neighbours.fill_(count)
        errors[count] = forecast_error(network, states[3000:3300], 4)
    assert chosen == min(errors, key=errors.get)
    torch.testing.assert_close(network.states, states[499:2499])
    torch.testing.assert_close(network.successors, states[500:2500])


def test_a_number_of_analogs_whose_forecasts_are_no_numbers_is_not_chosen(monkeypatch):
    errors = {3: float("nan"), 5: 0.5, 7: 0.2, 9: float("inf")}
    near, after, _ = linear_states()
    _, network = build("analog", dimension=2, catalogue=len(near), neighbours=list(errors))

    def error_of(network, *_):
        return errors[int(network.neighbours)]

    monkeypatch.setattr("pipeline_lib.models.analog.network.forecast_error", error_of)
    network.choose(after, 1)
    assert int(network.neighbours) == 7
    errors.update(dict.fromkeys(errors, float("nan")))
    with pytest.raises(DataError, match=r"analog.neighbours: no number of analogs gives finite forecasts"):
        network.choose(after, 1)


@pytest.mark.parametrize("method", ["locally_constant", "locally_incremental", "local_linear"])
@pytest.mark.parametrize("dimension", [3, 12])
def test_a_state_that_is_no_number_has_no_forecast_and_others_keep_theirs(dimension, method):
    """A tree looks at few dimensions, a search of everything at more."""
    near, query = torch.randn(60, dimension, dtype=torch.float64), torch.randn(7, dimension, dtype=torch.float64)
    _, network = build("analog", dimension=dimension, catalogue=60, neighbours=[20], method=method)
    network.states.copy_(near)
    network.successors.copy_(near.flip(0))
    network.neighbours.fill_(20)
    expected, _ = network.advance(query, None)
    lost = {1: torch.nan, 3: torch.inf, 4: -torch.inf, 6: 1e200}
    for row, value in lost.items():
        query[row, 0] = value
    found, _ = network.advance(query, None)
    rows = [row for row in range(7) if row not in lost]
    torch.testing.assert_close(found[rows], expected[rows])
    assert found[list(lost)].isnan().all()
    assert network.advance(query[[1, 3]], None)[0].isnan().all()


def test_analogs_for_drawn_forecasts_are_chosen_without_chance(states):
    found = []
    for sampled, seed in ((False, 0), (True, 0), (True, 1)):
        model, network = build("analog", catalogue=1000, neighbours=[40, 41, 42, 43, 44, 45], sampled=sampled)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model.fit(network, states[:2000], states[2000:2300], horizon=5)
            before = torch.get_rng_state()
            model.fit(network, states[:2000], states[2000:2300], horizon=5)
            assert torch.equal(torch.get_rng_state(), before)
            forecasts = [network.advance(states[:5], None)[0] for _ in range(2)]
            assert torch.allclose(*forecasts, rtol=0, atol=1e-9) != sampled
        found.append(int(network.neighbours))
    assert len(set(found)) == 1


def test_sampled_forecasts_have_mean_and_spread_of_the_analogs():
    generator = torch.Generator().manual_seed(0)
    near = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    noise = torch.tensor([[0.5, 0.0], [0.3, 0.2]], dtype=torch.float64)
    after = near + torch.randn(200, 2, generator=generator, dtype=torch.float64) @ noise.T
    _, network = build("analog", dimension=2, catalogue=200, neighbours=[200], method="locally_incremental")
    _, sampling = build(
        "analog", dimension=2, catalogue=200, neighbours=[200], method="locally_incremental", sampled=True
    )
    for one in (network, sampling):
        one.states.copy_(near)
        one.successors.copy_(after)
        one.neighbours.fill_(200)
    query = torch.zeros(20_000, 2, dtype=torch.float64)
    mean = network.advance(query[:1], None)[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = torch.cat([sampling.advance(part, None)[0] for part in query.split(2000)])
    torch.testing.assert_close(drawn.mean(dim=0), mean[0], atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), noise @ noise.T, atol=0.08, rtol=0)


def test_a_catalogue_larger_than_the_training_is_refused(states):
    model, network = build("analog", catalogue=1000)
    with pytest.raises(DataError, match=r"analog.catalogue: 1000 training states have 999 successors"):
        model.fit(network, states[:1000], states[1000:], horizon=2)


# ---- sparse regression -------------------------------------------------------------------------------------


def test_sparse_regression_finds_the_seven_terms_of_lorenz(states):
    model, network = build("sparse_regression")
    model.fit(network, states[:3000], states[3200:], horizon=5)
    found = network.tendency.coefficients
    assert int((found != 0).sum()) == 7
    names = PolynomialFeatures(2).fit(np.zeros((1, 3))).get_feature_names_out(["x", "y", "z"]).tolist()
    terms = [("x", 0, -10.0), ("y", 0, 10.0), ("x", 1, 28.0), ("y", 1, -1.0), ("x z", 1, -1.0), ("z", 2, -8 / 3)]
    for name, row, value in [*terms, ("x y", 2, 1.0)]:
        assert float(found[row, names.index(name)]) == pytest.approx(value, rel=0.05)


def test_coefficients_are_in_the_unit_of_the_states_whatever_the_normalisation(states):
    physical = states * SCALE + MEAN
    model = MODELS.get("sparse_regression")
    plain = model.build(model.Options(), shape=(3,), step=STEP, mean=0.0, scale=1.0)
    model.fit(plain, physical[:3000], physical[3200:], horizon=5)
    _, network = build("sparse_regression")
    model.fit(network, states[:3000], states[3200:], horizon=5)
    torch.testing.assert_close(plain.tendency.coefficients, network.tendency.coefficients, rtol=1e-6, atol=1e-9)
    assert isinstance(network, OdeStep)
