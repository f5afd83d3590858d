"""Counts of forecasts at a site: against sums written out, with gaps in the truth."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from scipy.stats import multivariate_normal

from pipeline_lib.errors import ConfigError, ScoreError
from pipeline_lib.metrics import METRICS
from pipeline_lib.score.gate import InvalidRunError, check_same_sample
from pipeline_lib.score.leaderboard import leaderboard
from pipeline_lib.score.options import IntervalOptions
from pipeline_lib.tasks.site_forecast import SiteForecast
from pipeline_lib.tasks.site_forecast.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.site_forecast.score import score_stores
from tests.tasks.metrics_of import metrics_of

TIMES, LEADS, SEEN = 12, 3, 2
METRIC_NAMES = ["site_rmse", "site_mae", "site_bias", "nwp_skill", "site_rmse_lead_2", "nwp_skill_lead_3"]


def stores(targets: int) -> tuple[xr.Dataset, xr.Dataset]:
    """A product and a dataset; the truth lacks a value at one time."""
    rng = np.random.default_rng(0)
    times = np.datetime64("2016-05-01", "ns") + np.arange(TIMES) * np.timedelta64(1, "h")
    names = ["u", "v"][:targets]
    wind = {name: ("time", rng.normal(5, 2, TIMES), {"units": "m s-1"}) for name in names}
    fields = {f"nwp_{name}": (("time", "row", "column"), rng.normal(5, 2, (TIMES, 2, 2))) for name in ("u", "v")}
    coords = {"time": times, "station_row": ("station", [1.0]), "station_column": ("station", [0.0])}
    dataset = xr.Dataset({**wind, **fields}, coords)
    dataset[names[-1]].values[7] = np.nan
    rules = {"targets": targets, "nwp": ["nwp_u", "nwp_v"], "speed": targets == 1, "seen": SEEN, "leads": LEADS}
    rules |= {"nwp_delay_hours": 0, "missing": 0.3}
    attrs = {"inputs": json.dumps([*names, "nwp_u", "nwp_v"]), "rules": json.dumps({**rules, "step_minutes": 60})}
    forecast = rng.normal(5, 2, (TIMES, LEADS, targets)).astype(np.float32)
    product = xr.Dataset(
        {"forecast": (("time", "lead", "target"), forecast, attrs)}, {"time": times, "lead": np.arange(1, LEADS + 1)}
    )
    return product, dataset


def scored(product, dataset, metrics):
    counts, sample = score_stores(product, None, dataset, ScoringOptions(metrics=metrics), where="model")
    pooled = {str(n): v.sum("time").values[None] for n, v in counts.data_vars.items()}
    return counts, sample, {name: float(METRICS.get(name).from_counts(pooled)[0]) for name in metrics}


@pytest.mark.parametrize("targets", [1, 2])
def test_metrics_are_those_of_plain_loops(targets):
    product, dataset = stores(targets)
    names = [name for name in METRIC_NAMES if targets == 1 or "bias" not in name]
    counts, sample, found = scored(product, dataset, names)
    # A gap at 7 stops the starts that see it, and is a missing truth for those before it.
    starts = [i for i in range(SEEN - 1, TIMES - LEADS) if 7 not in (i, i - 1)]
    assert counts.time.values.tolist() == dataset.time.values[starts].tolist()
    assert len(sample.times) == len(starts)
    errors: list[list] = [[] for _ in range(LEADS)]
    foretold: list[list] = [[] for _ in range(LEADS)]
    for i in starts:
        for lead in range(LEADS):
            truth = np.array([dataset[name].values[i + 1 + lead] for name in ("u", "v")[:targets]]).astype(np.float32)
            if np.isnan(truth).any():
                continue
            said = np.array([dataset[f"nwp_{name}"].values[i + 1 + lead, 1, 0] for name in ("u", "v")])
            said = np.array([np.linalg.norm(said)]) if targets == 1 else said
            errors[lead].append(product.forecast.values[i, lead].astype(float) - truth)
            foretold[lead].append(said - truth)
    rmse = [np.sqrt(np.mean([e @ e for e in part])) for part in errors]
    raw = [np.sqrt(np.mean([e @ e for e in part])) for part in foretold]
    assert found["site_rmse"] == pytest.approx(np.mean(rmse), rel=1e-5)
    assert found["site_rmse_lead_2"] == pytest.approx(rmse[1], rel=1e-5)
    assert found["site_mae"] == pytest.approx(
        np.mean([np.mean([np.linalg.norm(e) for e in p]) for p in errors]), rel=1e-5
    )
    assert found["nwp_skill_lead_3"] == pytest.approx(1 - rmse[2] / raw[2], rel=1e-4)
    assert found["nwp_skill"] == pytest.approx(np.mean(1 - np.array(rmse) / raw), rel=1e-4)
    if targets == 1:
        assert found["site_bias"] == pytest.approx(np.mean([np.mean(p) for p in errors]), rel=1e-5)
    assert counts.missing.sum().item() == sum(len(starts) - len(part) for part in errors) > 0


def test_the_log_loss_is_that_of_scipy():
    product, dataset = stores(2)
    rng = np.random.default_rng(1)
    spread, correlation = rng.uniform(0.5, 3, (TIMES, LEADS, 2)), rng.uniform(-0.9, 0.9, (TIMES, LEADS, 1))
    parameters = np.concatenate([product.forecast.values, spread, correlation], axis=-1)
    product["distribution"] = (("time", "lead", "parameter"), parameters)
    counts, _, found = scored(product, dataset, ["log_loss", "log_loss_lead_1"])
    starts = np.searchsorted(dataset.time.values, counts.time.values)
    losses: list[list[float]] = [[] for _ in range(LEADS)]
    for i in starts:
        for lead in range(LEADS):
            truth = np.array([dataset[name].values[i + 1 + lead] for name in ("u", "v")])
            if np.isnan(truth).any():
                continue
            a, b, su, sv, rho = parameters[i, lead]
            covariance = [[su**2, rho * su * sv], [rho * su * sv, sv**2]]
            losses[lead].append(-multivariate_normal([a, b], covariance).logpdf(truth))
    assert found["log_loss_lead_1"] == pytest.approx(np.mean(losses[0]), rel=1e-6)
    assert found["log_loss"] == pytest.approx(np.mean([np.mean(part) for part in losses]), rel=1e-6)
    assert np.isnan(scored(product.drop_vars("distribution"), dataset, ["log_loss"])[2]["log_loss"])


def test_a_perfect_forecast_has_perfect_scores():
    product, dataset = stores(1)
    for lead in range(1, LEADS + 1):
        product.forecast[: TIMES - lead, lead - 1, 0] = dataset.u.values[lead:]
    product["forecast"] = product.forecast.fillna(0)
    names = [name.replace("*", "lead_2") for name in metrics_of("site_forecast") if not name.startswith("log_loss")]
    found = scored(product, dataset, names)[2]
    for name, value in found.items():
        assert value == pytest.approx(1 if name.startswith("nwp_skill") else 0, abs=1e-6), name


def test_what_cannot_be_scored_is_told():
    product, dataset = stores(1)
    with pytest.raises(ScoreError, match="no forecast from 2 times lies in the test"):
        scored(product.isel(time=slice(9, 12)), dataset, ["site_rmse"])
    with pytest.raises(ScoreError, match="times that the dataset does not hold"):
        scored(product.assign_coords(time=product.time + np.timedelta64(1, "m")), dataset, ["site_rmse"])
    product.forecast[3, 0] = np.nan
    with pytest.raises(InvalidRunError, match="from 2016-05-01T03:00:00 has no value 1 steps later"):
        scored(product, dataset, ["site_rmse"])


def test_a_start_needs_what_the_prediction_says_at_the_nearest_point_and_lacks_no_other():
    product, dataset = stores(1)
    dataset["u"].values[7] = 5.0
    dataset["nwp_v"].values[[2, 4], 0, 1] = np.nan  # a fourth of a field is missing, at another point
    whole, _, _ = scored(product, dataset, ["nwp_skill"])
    assert whole.time.values.tolist() == dataset.time.values[SEEN - 1 : TIMES - LEADS].tolist()
    dataset["nwp_u"].values[6, 1, 0] = np.nan
    counts, _, found = scored(product, dataset, ["nwp_skill_lead_1"])
    starts = [i for i in range(SEEN - 1, TIMES - LEADS) if 6 not in range(i - SEEN + 1, i + LEADS + 1)]
    assert counts.time.values.tolist() == dataset.time.values[starts].tolist()
    said = np.hypot(dataset.nwp_u.values[:, 1, 0], dataset.nwp_v.values[:, 1, 0])
    pairs = [
        (product.forecast.values[i, 0, 0] - dataset.u.values[i + 1], (said - dataset.u.values)[i + 1]) for i in starts
    ]
    ours, theirs = np.sqrt(np.mean(np.square(pairs), axis=0))
    assert found["nwp_skill_lead_1"] == pytest.approx(1 - ours / theirs, rel=1e-4)
    assert (counts.nwp_values == counts["values"]).all()


def test_options_must_go_together():
    def check(metric, **training):
        SiteForecast.check(TrainingOptions(**training), ScoringOptions(metrics=[metric]))

    check("site_rmse_lead_5", leads=5)
    with pytest.raises(ConfigError, match="is 4, and site_rmse_lead_5 needs 5"):
        check("site_rmse_lead_5", leads=4)
    with pytest.raises(ConfigError, match=r"training.nwp: nwp_skill compares with a prediction"):
        check("nwp_skill")
    with pytest.raises(ConfigError, match="is 1, and log_loss is of 2"):
        check("log_loss")
    with pytest.raises(ConfigError, match=r"training.accumulated_hours: is missing: how many hours"):
        check("site_rmse", accumulated=True, leads=1)
    check("site_rmse", accumulated=True, leads=1, accumulated_hours=1)
    with pytest.raises(ConfigError, match="is 2, and site_bias is of 1"):
        check("site_bias", targets=2)
    assert METRICS.get("site_rmse_lead_5").__doc__ == "RMSE at the site, lead 5."
    with pytest.raises(ConfigError, match="unknown metric"):
        METRICS.get("site_rmse_5")


def test_competitors_may_see_other_things_and_a_forecast_without_a_density_has_no_log_loss():
    product, dataset = stores(2)
    parameters = np.concatenate([product.forecast.values, np.ones((TIMES, LEADS, 2)), np.zeros((TIMES, LEADS, 1))], -1)
    sure = product.assign(distribution=(("time", "lead", "parameter"), parameters))
    rules = json.loads(product.forecast.attrs["rules"]) | {"neighbours": [], "loss": "likelihood"}
    sure["forecast"] = sure.forecast.assign_attrs(rules=json.dumps(rules))
    names = ["site_rmse", "log_loss"]
    first, second = scored(product, dataset, names), scored(sure, dataset, names)
    check_same_sample({"values": first[1], "density": second[1]})
    runs = {("values", 0): first[0], ("density", 0): second[0]}
    options = IntervalOptions(block_days=0.05, resamples=200)
    table = leaderboard(runs, metrics=names, options=options).table.set_index(["model", "metric"])["value"]
    assert table["values", "site_rmse"] == table["density", "site_rmse"]
    assert np.isnan(table["values", "log_loss"])
    assert np.isfinite(table["density", "log_loss"])
