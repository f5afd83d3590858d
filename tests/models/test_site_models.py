"""Models that forecast at a site: sizes by hand, answers against plain numpy and other libraries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.linear_model import LinearRegression, Ridge

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.learning.bivariate_gaussian import negative_log_likelihood, parameters_of
from pipeline_lib.models.registry import MODELS
from pipeline_lib.models.sites import Fields, Site

SCALES = ((5.0, 2.0), (3.0, 1.0), (7.0, 4.0))
WIND = {
    "seen": 4,
    "leads": 3,
    "targets": SCALES[:1],
    "series": SCALES,
    "ahead": Fields(rows=5, columns=6, scales=SCALES[:2]).model_dump(),
    "point": (3, 2),
    "speed": True,
}
VECTOR = {**WIND, "targets": SCALES[:2], "speed": False}
RAIN = {
    "seen": 4,
    "leads": 1,
    "accumulated": True,
    "targets": ((2.0, 6.0),),
    "fields": Fields(rows=9, columns=9, scales=((0.0, 1.0),) * 4).model_dump(),
}
NETWORKS = {
    "station_lstm": (WIND, {}),
    "nwp_cnn": (WIND, {}),
    "station_nwp": (WIND, {}),
    "deeprain": (RAIN, {"widths": (6, 4), "patch": 2, "crop": 3}),
}
NAMES = [name for name in MODELS.names() if MODELS.get(name).card.task == "site_forecast"]


def network(name: str, sizes: dict, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS.get(name)
    return model.build(model.Options(**options), **sizes)


def inputs(sizes: dict, batch: int = 6) -> torch.Tensor:
    return 5 + 2 * torch.randn(batch, Site.model_validate(sizes).values, generator=torch.Generator().manual_seed(1))


def count(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_each_model_forecasts_and_all_its_values_are_trained(name):
    sizes, options = NETWORKS.get(name, (RAIN if name == "linear_regression" else WIND, {}))
    net = network(name, sizes, **options)
    forecast = net.forecast(inputs(sizes))
    assert forecast.shape == (6, sizes["leads"], 1)
    assert torch.isfinite(forecast).all()
    if name in NETWORKS:
        net(inputs(sizes)).square().mean().backward()
        for word, parameter in net.named_parameters():
            assert torch.isfinite(parameter.grad).all(), word
            assert parameter.grad.any(), word
    assert not [key for key in net.state_dict() if "mean" in key or "scale" in key]


def test_sizes_are_those_counted_by_hand():
    three, hidden = 3, 64
    lstm = 4 * (64 * (three + 64) + 2 * 64)
    assert count(network("station_lstm", WIND)) == lstm + (64 + 2) * hidden + hidden + hidden * 3 + 3
    encoder = (2 * 8 * 9 + 8) + (8 * 16 * 9 + 16) + (16 * 32 * 9 + 32)
    head = (3 * 16 + 2) * hidden + hidden + hidden * 3 + 3
    assert count(network("nwp_cnn", WIND)) == encoder + 32 * 16 + 16 + head
    stations = (4 * 32 * 3 + 32) + (32 * 32 * 3 + 32) + (4 * 32 * 32 + 32)
    code = 32 + 7 * 8 + 7 * (2 + 1) + 2
    head = code * 128 + 128 + 128 * 3 + 3
    assert count(network("station_nwp", WIND)) == encoder + 32 * 8 + 8 + stations + head + (4 * 4 + 7) * 3
    # A layer of ConvLSTM: kernels on input and state, a bias, three peepholes.
    first = 4 * 128 * 9 + 128 + 32 * 128 * 9 + 3 * 32
    second = 32 * 128 * 9 + 128 + 32 * 128 * 9 + 3 * 32
    dense = 32 * (1 + 25) * 64 + 64 + 64 + 1
    assert count(network("deeprain", RAIN, widths=(32,))) == first + dense == 95_073
    assert count(network("deeprain", RAIN)) == first + second + dense == 169_025
    fc = 4 * 81 * 4 * 32 + 4 * 32 + 32 * 4 * 32 + 3 * 32
    assert count(network("deeprain", RAIN, cells="dense", widths=(32,))) == fc + 32 * 64 + 64 + 64 + 1
    assert count(network("linear_regression", RAIN, blocks=2)) == 1 + 2 + 4 * 4 * 4
    assert count(network("nwp_corrected", WIND)) == 3 * 4
    assert count(network("nwp_corrected", WIND, daily=False)) == 3 * 2
    assert count(network("persistence_series", WIND)) == count(network("nwp_nearest", WIND)) == 0


def parts(values: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hour, series and prediction of WIND's inputs, taken apart by counting."""
    flat = values.double().numpy()
    return flat[:, :2], flat[:, 2:14].reshape(-1, 4, 3), flat[:, 14:].reshape(-1, 7, 2, 5, 6)


def test_a_regression_on_more_blocks_than_cells_is_refused():
    network("linear_regression", RAIN, blocks=9)
    with pytest.raises(
        ConfigError, match=r"linear_regression.blocks: 10 along each side are more than the 9 x 9 cells"
    ):
        network("linear_regression", RAIN, blocks=10)


def test_baselines_say_what_they_should():
    values = inputs(WIND)
    hour, series, ahead = parts(values)
    last = network("persistence_series", WIND)(values)
    np.testing.assert_allclose(last.numpy()[..., 0], np.repeat(series[:, -1:, 0], 3, axis=1), rtol=1e-6)
    raw = network("nwp_nearest", WIND)(values).numpy()[..., 0]
    np.testing.assert_allclose(raw, np.linalg.norm(ahead[:, 4:, :, 3, 2], axis=2), rtol=1e-6)
    both = network("nwp_nearest", VECTOR)(values).numpy()
    np.testing.assert_allclose(both, ahead[:, 4:, :, 3, 2], rtol=1e-6)
    assert hour.shape == (6, 2)


def test_least_squares_are_those_of_scikit_learn_over_what_is_not_missing():
    values, rng = inputs(WIND, 80), np.random.default_rng(0)
    target = torch.from_numpy(rng.normal(5, 2, (80, 3, 1)))
    target[rng.random((80, 3, 1)) < 0.2] = np.nan
    hour, _, ahead = parts(values)
    batches = [(values[:33], target[:33]), (values[33:], target[33:])]
    for daily in (True, False):
        net = network("nwp_corrected", WIND, daily=daily).double()
        net.fit(batches)
        found = net(values.double()).detach().numpy()
        for lead in range(3):
            seen = np.linalg.norm(ahead[:, 4 + lead, :, 3, 2], axis=1)[:, None]
            seen = np.concatenate([seen, hour], axis=1) if daily else seen
            truth = target[:, lead, 0].numpy()
            there = np.isfinite(truth)
            reference = LinearRegression().fit(seen[there], truth[there]).predict(seen)
            np.testing.assert_allclose(found[:, lead, 0], reference, rtol=1e-5)
    with pytest.raises(DataError, match="3 true values are too few for 4 weights"):
        network("nwp_corrected", WIND).double().fit([(values[:3], torch.ones(3, 3, 1))])


def test_ridge_regression_is_that_of_scikit_learn_on_means_over_blocks():
    values, rng = inputs(RAIN, 60), np.random.default_rng(0)
    truth = rng.exponential(3, 60)
    net = network("linear_regression", RAIN, blocks=3, penalty=0.05).double()
    net.fit([(values, torch.from_numpy(truth)[:, None, None])])
    flat = values.double().numpy()
    blocks = flat[:, 2:].reshape(60, 4, 4, 3, 3, 3, 3).mean(axis=(4, 6)).reshape(60, -1)
    seen = np.concatenate([flat[:, :2], blocks], axis=1)
    reference = Ridge(alpha=0.05 * 60).fit(seen, truth).predict(seen)
    np.testing.assert_allclose(net(values.double()).detach().numpy()[:, 0, 0], reference, rtol=1e-5)
    dry = network("linear_regression", RAIN, blocks=3, penalty=0.05, least=1.5).double()
    dry.load_state_dict(net.state_dict())
    assert reference.min() < 1.5
    np.testing.assert_allclose(dry(values.double()).detach().numpy()[:, 0, 0], np.maximum(reference, 1.5), rtol=1e-5)


def test_ridge_regression_sees_the_nearest_point_of_a_prediction_too():
    values, rng = inputs(WIND, 90), np.random.default_rng(0)
    truth = rng.normal(5, 2, (90, 3))
    net = network("linear_regression", WIND, blocks=1, penalty=0.05).double()
    net.fit([(values, torch.from_numpy(truth)[..., None])])
    hour, series, ahead = parts(values)
    means, scales = np.transpose(SCALES)
    seen = [
        hour,
        ((series - means) / scales).reshape(90, -1),
        (np.linalg.norm(ahead[:, :, :, 3, 2], axis=2) - means[0]) / scales[0],
        ((ahead.mean(axis=(3, 4)) - means[:2]) / scales[:2]).reshape(90, -1),
    ]
    flat = np.concatenate(seen, axis=1)
    reference = Ridge(alpha=0.05 * 90).fit(flat, truth).predict(flat)
    np.testing.assert_allclose(net(values.double()).detach().numpy()[..., 0], reference, rtol=1e-5)


def test_the_gaussian_is_that_of_scipy():
    rng = np.random.default_rng(0)
    output = torch.from_numpy(rng.normal(0, 2, (50, 5)))
    truth = torch.from_numpy(rng.normal(0, 2, (50, 2)))
    parameters = parameters_of(output)
    found = negative_log_likelihood(parameters, truth).numpy()
    for (a, b, su, sv, rho), y, value in zip(parameters.numpy(), truth.numpy(), found, strict=True):
        covariance = [[su**2, rho * su * sv], [rho * su * sv, sv**2]]
        assert value == pytest.approx(-multivariate_normal([a, b], covariance).logpdf(y), rel=1e-9)


@pytest.mark.parametrize("name", ["station_lstm", "nwp_cnn", "station_nwp"])
def test_a_gaussian_head_answers_in_the_units_of_the_data(name):
    net = network(name, VECTOR, head="gaussian")
    output = net(inputs(VECTOR))
    assert output.shape == (6, 3, 5)
    torch.testing.assert_close(net.forecast(inputs(VECTOR)), output[..., :2])
    assert (output[..., 2:4] > 0).all()
    assert (output[..., 4].abs() < 1).all()
    wider = {**VECTOR, "targets": ((5.0, 20.0), (3.0, 10.0))}
    assert torch.allclose(network(name, wider, head="gaussian")(inputs(VECTOR))[..., 2:4] / 10, output[..., 2:4]) == (
        name != "station_nwp"
    )  # which sees the targets' scale as well
    with pytest.raises(ConfigError, match="is of 2 components, here are 1 targets"):
        network(name, WIND, head="gaussian")


def test_rain_is_never_below_zero():
    net = network("deeprain", RAIN, widths=(4,), crop=1)
    with torch.no_grad():
        assert (net(20 * inputs(RAIN)) >= 0).all()


@pytest.mark.parametrize(
    ("rows", "columns", "patch", "crop"), [(9, 9, 1, 3), (24, 24, 2, 11), (9, 12, 4, 3), (5, 6, 2, 1)]
)
def test_the_crop_is_around_the_site_and_a_station_in_the_middle_changes_nothing(rows, columns, patch, crop):
    def net(**more: object) -> torch.nn.Module:
        fields = Fields(rows=rows, columns=columns, scales=((0.0, 1.0),)).model_dump()
        return network("deeprain", {**RAIN, "fields": fields, **more}, widths=(2,), patch=patch, crop=crop)

    high, wide = -(-rows // patch), -(-columns // patch)
    maps = torch.arange(float(high * wide)).reshape(1, 1, high, wide)
    middle = net()
    top, left = ((size // 2) // patch - crop // 2 for size in (rows, columns))
    assert torch.equal(middle._around(maps), maps[..., top : top + crop, left : left + crop].flatten(1))
    values = torch.randn(3, middle.site.values)
    assert torch.equal(net(cell=(rows // 2, columns // 2))(values), middle(values))
    for row in range(rows):
        for column in range(columns):
            seen = net(cell=(row, column))._around(maps)[0].tolist()
            here = [float(maps[0, 0, row // patch, column // patch])]
            assert set(here) <= set(seen)
            corner = [place // patch - crop // 2 for place in (row, column)]
            if min(corner) >= 0 and corner[0] + crop <= high and corner[1] + crop <= wide:
                assert seen[len(seen) // 2 :][:1] == here  # in the middle of the crop, away from borders


@pytest.mark.parametrize(
    ("name", "sizes", "options", "told"),
    [
        ("persistence_series", RAIN, {}, "needs the past of what is forecast"),
        ("nwp_nearest", RAIN, {}, "needs 1 fields of a numerical weather prediction, there are 0"),
        ("deeprain", WIND, {}, "sees fields of the past, and there are none"),
        ("deeprain", RAIN, {"patch": 3}, "is 5 cells, fields are 3 across"),
        ("deeprain", {**RAIN, "cell": "unknown"}, {}, "the data do not say where in the fields it is"),
    ],
)
def test_what_a_model_cannot_do_is_told(name, sizes, options, told):
    with pytest.raises(ConfigError, match=told):
        network(name, sizes, **options)
