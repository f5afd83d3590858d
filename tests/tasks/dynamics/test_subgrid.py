"""A-priori: closures that learn the exact term, and scores of the term that they give to true states."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr

from pipeline_lib.errors import ConfigError, DataError, ScoreError
from pipeline_lib.learning.forecaster import TermAlone
from pipeline_lib.metrics import METRICS
from pipeline_lib.models.registry import MODELS
from pipeline_lib.score.gate import InvalidRunError
from pipeline_lib.simulations.burgers import BurgersSimulation
from pipeline_lib.tasks.assimilation import Assimilation
from pipeline_lib.tasks.assimilation import train as assimilation
from pipeline_lib.tasks.assimilation.options import TrainingOptions as AssimilationOptions
from pipeline_lib.tasks.dynamics import reading
from pipeline_lib.tasks.dynamics.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.dynamics.predict import _term
from pipeline_lib.tasks.dynamics.problem import DynamicsProblem
from pipeline_lib.tasks.dynamics.score import score_stores
from pipeline_lib.tasks.dynamics.train import _outcome, _require_term
from pipeline_lib.tasks.dynamics.windows import StatesAndTerms
from tests.tasks.dynamics.stepping import Counting

STEP, MEAN, SCALE = 0.05, 0.3, 1.7
UNIT = SCALE / STEP
TIMES = np.datetime64("2000-01-01", "ns") + np.arange(40) * np.timedelta64(72, "m")
SHAPES = {"burgers_closure": (2, 16), "quasigeostrophic_closure": (8, 8), "turbulence_closure": (4, 4, 4, 4)}


def network_of(name, closure, shape, **options):
    """A closure with random weights, in float64."""
    model = MODELS.get(name)
    torch.manual_seed(1)
    network = model.build(model.Options(closure=closure, **options), shape=shape, step=STEP, mean=MEAN, scale=SCALE)
    with torch.no_grad():
        for value in network.parameters():
            value += 0.1 * torch.randn_like(value)
    return network.double().eval()


def pairs(states, terms):
    """Physical states (time, ...) and terms, as a training sees them."""
    times = np.arange(len(states)).astype("datetime64[s]")
    flat = ((states - MEAN) / SCALE).reshape(len(states), -1)
    return StatesAndTerms(flat, times, shape=states.shape[1:], terms=terms / UNIT)


def learned(name, network, data, **training):
    """What a training on the term ends with."""
    request = SimpleNamespace(
        network_model=MODELS.get(name), inputs=("state",), statistics={"state": {"mean": MEAN, "std": SCALE}}, seed=0
    )
    options = TrainingOptions(target="subgrid", step=STEP, optimizer="levenberg_marquardt", **training)
    return _outcome(request, options, network, data, data)


# ---- training --------------------------------------------------------------------------------------------------


def test_a_linear_flux_that_learned_the_term_is_the_least_squares_solution():
    """By numpy: the term is the difference of two fluxes, each a sum of weights times four cells."""
    made = BurgersSimulation.run(BurgersSimulation.Options(refinement=4, substeps=2, cells=16, spin_up=2.0), times=40)
    states, exact = made.state.values, made.subgrid.values
    network = network_of("burgers_closure", "linear", (2, 16))
    history = learned("burgers_closure", network, pairs(states, exact), loss_scale=1.0).history
    spacing = 2 * np.pi / 16
    u = states[:, 0]
    cells = [np.roll(u, -shift, axis=1) for shift in (-1, 0, 1, 2)]  # around the upper face
    columns = [((np.roll(cell, 1, axis=1) - cell) / spacing).ravel() for cell in cells]
    weights, misfit, *_ = np.linalg.lstsq(np.stack(columns, axis=1), exact.ravel(), rcond=None)
    # The network's flux is in units of the square of the scale, and sees velocities in units of the scale.
    found = network.closure.flux.net[0].weight.detach().numpy().ravel() * SCALE
    np.testing.assert_allclose(found, weights, rtol=1e-6)
    loss = misfit[0] / exact.size / UNIT**2
    assert history["val_loss"].min() == pytest.approx(loss, rel=1e-9)
    assert history["val_rmse"].min() == pytest.approx(loss**0.5, rel=1e-9)


@pytest.mark.parametrize("name", SHAPES)
def test_the_loss_is_that_of_the_term_as_a_change_in_one_step(name):
    shape = SHAPES[name]
    network = network_of(name, "network", shape, hidden=2)
    rng = np.random.default_rng(0)
    states = MEAN + SCALE * rng.standard_normal((5, *shape))
    term_of = network.closure if name == "burgers_closure" else network.system.closure
    fields = torch.from_numpy(states)
    with torch.no_grad():
        terms = term_of(fields[:, 0] if name == "burgers_closure" else fields).numpy()
    exact = terms + rng.standard_normal(terms.shape)
    data = pairs(states, exact)
    problem = DynamicsProblem(TrainingOptions(loss_scale=7.0, batch_size=5), data, data, seed=0)
    batch = data.spread()
    output = TermAlone(network, UNIT)(batch.inputs).detach()
    expected = np.mean((terms * STEP / SCALE - exact * STEP / SCALE) ** 2)
    assert problem.loss(output, batch).item() == pytest.approx(7 * expected)
    scores = problem.new_scores()
    scores.update(output, batch)
    assert scores.result() == {"loss": pytest.approx(7 * expected), "rmse": pytest.approx(expected**0.5)}
    single = TermAlone(network.float(), UNIT)(batch.inputs.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), output, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_no_closure_gives_no_term(name):
    shape = SHAPES[name]
    network = network_of(name, "none", shape)
    term = network.term(torch.randn(3, int(np.prod(shape)), dtype=torch.float64))
    assert term.shape == (3, *network.term_shape)
    assert not term.any()


def test_every_state_is_learned_from_with_its_own_term():
    states, terms = np.arange(12.0).reshape(6, 2), np.arange(6.0)[:, None]
    ages = np.array([0, 1, 2, 0, 1, 2])
    data = StatesAndTerms(states, TIMES[:6], shape=(2,), ages=ages, from_age=1, terms=terms)
    batch = data.spread()
    assert batch.samples[:, 0].tolist() == [1, 2, 4, 5]
    torch.testing.assert_close(batch.inputs, torch.from_numpy(states[[1, 2, 4, 5]]))
    torch.testing.assert_close(batch.target, torch.from_numpy(terms[[1, 2, 4, 5]]))
    others = StatesAndTerms(states, TIMES[:6], shape=(2,), ages=ages, from_age=1, terms=terms + 1)
    assert others.identity != data.identity


def test_models_without_closure_and_other_terms_are_refused():
    data = pairs(np.zeros((4, 2, 16)), np.zeros((4, 2, 16)))
    with pytest.raises(ConfigError, match=r"training.target: Counting has no closure to learn; leave it out"):
        _require_term(Counting(), data, "Counting")
    network = network_of("burgers_closure", "linear", (2, 16))
    with pytest.raises(DataError, match=r"subgrid: terms are \(2, 16\), those of Burgers \(16,\); take a source"):
        _require_term(network, data, "Burgers")
    exact = xr.DataArray(np.zeros((4, 2, 16)), dims=("time", "field", "x"), attrs={"units": "1"})
    with pytest.raises(DataError, match=r"subgrid: terms are \(2, 16\), those of the model \(16,\); take a source"):
        _term(network, np.zeros((4, 32)), exact, torch.device("cpu"))


def test_a_dataset_without_the_term_and_models_of_windows_are_refused(monkeypatch):
    monkeypatch.setattr(reading, "open_days", lambda *_: xr.Dataset())
    request = SimpleNamespace(train=("2000-01-01", "2000-01-02"), of=lambda _: [])
    options = AssimilationOptions(target="subgrid", assimilation={"window": 8})
    with pytest.raises(DataError, match=r"subgrid: is not in the dataset; take a source that makes it"):
        reading.read_terms(request, options, "train", unit=1.0)
    request.training_as, request.inputs = lambda _: options, ("state", "observation")
    request.network_model, request.model = MODELS.get("fourdvarnet"), "fourdvarnet"
    with pytest.raises(ConfigError, match=r"training.target: fourdvarnet has no closure; leave it out"):
        assimilation.train(request)
    assert Assimilation.variables(options, None) == {"training.target": ("subgrid",)}


# ---- scores ----------------------------------------------------------------------------------------------------


def stores(seed=0, leads=3):
    """Product and dataset of random states of two fields, with terms of the same shape that are about alike."""
    rng = np.random.default_rng(seed)
    states, exact = rng.standard_normal((2, 40, 2, 5))
    dims, coords = ("time", "field", "x"), {"time": TIMES}
    variables = {"state": (dims, states, {"units": "1"}), "subgrid": (dims, exact)}
    forecast = ("time", "lead", "field", "x"), np.zeros((40, leads, 2, 5))
    answers = dims, 0.4 * exact + 0.3 * rng.standard_normal(exact.shape) + 0.2
    product = xr.Dataset({"forecast": forecast, "subgrid": answers}, {**coords, "lead": np.arange(1, leads + 1)})
    return product, xr.Dataset(variables, coords)


def scores_of(product, dataset, **options):
    counts, _ = score_stores(product, None, dataset, ScoringOptions(**options), where="model")
    pooled = {str(name): values.sum("time").values[None] for name, values in counts.data_vars.items()}
    return [float(METRICS.get(f"subgrid_{name}").from_counts(pooled)[0]) for name in ("correlation", "nrmse")]


@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_scores_of_the_term_are_those_of_scipy_and_of_a_loop(seed):
    product, dataset = stores(seed)
    x, y = (ds.subgrid.values[:37] for ds in (product, dataset))  # the last three start no forecast
    correlation, error = scores_of(product, dataset)
    assert correlation == pytest.approx(pearsonr(x.ravel(), y.ravel()).statistic)
    wrong = all_of_it = 0.0
    for answer, exact in zip(x.ravel().tolist(), y.ravel().tolist(), strict=True):
        wrong, all_of_it = wrong + (answer - exact) ** 2, all_of_it + exact**2
    assert error == pytest.approx((wrong / all_of_it) ** 0.5)


def test_only_fields_that_are_scored_count_unless_the_term_has_none():
    product, dataset = stores()
    one = [ds.assign(subgrid=ds.subgrid.isel(field=1)) for ds in (product, dataset)]
    expected = scores_of(*one, fields=[0])
    assert scores_of(product, dataset, fields=[1]) == pytest.approx(expected)
    assert scores_of(product, dataset) != pytest.approx(expected)


def test_the_exact_term_scores_best_and_no_closure_has_no_correlation():
    product, dataset = stores()
    assert scores_of(product.assign(subgrid=dataset.subgrid), dataset) == pytest.approx([1.0, 0.0])
    assert scores_of(product.assign(subgrid=-dataset.subgrid), dataset) == pytest.approx([-1.0, 2.0])
    correlation, error = scores_of(product.assign(subgrid=0 * dataset.subgrid), dataset)
    assert np.isnan(correlation)
    assert error == 1
    assert np.isnan(scores_of(product.drop_vars("subgrid"), dataset)).all()  # a model that knows no closure
    with pytest.raises(ConfigError, match=r"scoring.metrics: needs the exact answer of a closure; take a source"):
        scores_of(product, dataset.drop_vars("subgrid"))


def test_terms_that_are_not_finite_or_have_another_shape_are_told():
    product, dataset = stores()
    with pytest.raises(ScoreError, match=r"model: subgrid is .*, in the dataset .*; predict again"):
        scores_of(product.assign(subgrid=product.subgrid.isel(field=0)), dataset)
    product.subgrid[4, 0, 1] = np.nan
    with pytest.raises(
        InvalidRunError, match=r"1 of 37 answers of the closure .*, the first to the state of 2000-01-01T04"
    ):
        scores_of(product, dataset)
