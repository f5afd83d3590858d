"""The second stage: what a retrieval is fitted to, what of it is scored, what must be there for it."""

from __future__ import annotations

import json

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.delayed import delayed

from pipeline_lib.data.datasets import concat_times
from pipeline_lib.errors import ConfigError, DataError, ScoreError, StoreError
from pipeline_lib.io.manifest import Artefact, read_manifest
from pipeline_lib.io.zarr_store import write_zarr
from pipeline_lib.metrics import METRICS
from pipeline_lib.retrieval.features import features_of
from pipeline_lib.retrieval.options import RetrievalOptions
from pipeline_lib.retrieval.rain import Retrieval
from pipeline_lib.score.gate import InvalidRunError, check_same_sample
from pipeline_lib.tasks.nowcasting import Nowcasting
from pipeline_lib.tasks.nowcasting.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.nowcasting.retrieval import FILE, add_retrieved, fit_retrieval, load_retrieval
from pipeline_lib.tasks.nowcasting.score import score_stores
from tests.tasks.metrics_of import metrics_of

FRAMES, LEADS, SIDE = 9, 3, 6
TIMES = np.datetime64("2010-08-26", "ns") + np.arange(FRAMES) * np.timedelta64(1800, "s")
OPTIONS = RetrievalOptions(target="rain_rate", rows=3, columns=3, epochs=3, samples=200, fewest=20)
KINDS, EVENTS = ("retrieved", "bound"), ("csi", "pod", "far")
FAMILIES = {f"{kind}_{score}_*": f"{kind}_{score}_1" for kind in KINDS for score in EVENTS}
NAMES = [FAMILIES.get(name, name.replace("*", "lead_2")) for name in metrics_of("nowcasting", "retrieved")]


@pytest.fixture
def stores() -> tuple[xr.Dataset, xr.Dataset]:
    """A product and a dataset with gaps in the frames and in the rain, in different places."""
    rng = np.random.default_rng(0)
    dims = ("time", "y", "x")
    top, rain = rng.random((2, FRAMES, SIDE, SIDE)).astype(np.float32)
    rain *= 3
    top[:, 0, 0], rain[:, 5, 5], rain[4] = np.nan, np.nan, np.nan
    dataset = xr.Dataset(
        {"cloud_top": (dims, top, {"units": "1"}), "rain_rate": (dims, rain, {"units": "mm h-1"})}, {"time": TIMES}
    )
    told = {"forecast_of": "cloud_top", "step_minutes": 30.0, "missing": 0.1, "seen": 1}
    shape, of_rain = (FRAMES, LEADS, SIDE, SIDE), {"forecast_of": "rain_rate", "retrieval": "{}"}
    made, retrieved = rng.random((2, *shape)).astype(np.float32)
    bound = rng.random(top.shape).astype(np.float32)
    bound[6, 2, 3] = np.nan  # as where the surface below is not known
    product = xr.Dataset(
        {
            "forecast": (("time", "lead", "y", "x"), made, told),
            "retrieved": (("time", "lead", "y", "x"), 3 * retrieved, of_rain),
            "retrieved_from_truth": (("valid_time", "y", "x"), 3 * bound, of_rain),
        },
        {"time": TIMES, "lead": np.arange(1, LEADS + 1), "valid_time": TIMES},
    )
    return product, dataset


def scored(product, dataset, metrics=NAMES):
    counts, sample = score_stores(product, None, dataset, ScoringOptions(metrics=metrics), where="model")
    pooled = {str(n): v.sum("time").values[None] for n, v in counts.data_vars.items()}
    return sample, {name: METRICS.get(name).by_lead(pooled)[0] for name in metrics}


def test_scores_of_retrieved_rain_are_those_of_plain_loops(stores):
    product, dataset = stores
    _, found = scored(product, dataset)
    bound = product.retrieved_from_truth.values
    for lead in range(LEADS):
        pairs = []
        for start in range(FRAMES - LEADS):
            frame = start + 1 + lead
            for cell in np.ndindex(SIDE, SIDE):
                three = (array[cell] for array in (product.retrieved.values[start, lead], bound[frame]))
                numbers = [float(value) for value in (*three, dataset.rain_rate.values[frame][cell])]
                if cell != (0, 0) and np.isfinite(numbers).all():
                    pairs.append(numbers)
        retrieved, from_truth, o = np.array(pairs).T
        for kind, p in (("retrieved", retrieved), ("bound", from_truth)):
            a, b, c = (((p >= 1) == yes) & ((o >= 1) == event) for yes, event in ((1, 1), (1, 0), (0, 1)))
            a, b, c = a.sum(), b.sum(), c.sum()
            expected = {
                "csi_1": a / (a + b + c),
                "pod_1": a / (a + c),
                "far_1": b / (a + b),
                "rmse": np.sqrt(((p - o) ** 2).mean()),
                "pearson": np.corrcoef(p, o)[0, 1],
            }
            for score, value in expected.items():
                assert found[f"{kind}_{score}"][lead] == pytest.approx(value), (kind, score, lead)


def test_the_bound_of_a_score_is_that_of_the_true_frames_and_ranks_nobody(stores):
    product, dataset = stores
    counts, _ = score_stores(product, None, dataset, ScoringOptions(metrics=NAMES), where="model")
    pooled = {str(n): v.sum("time").values[None] for n, v in counts.data_vars.items()}
    for name in NAMES:
        metric = METRICS.get(name)
        if name.startswith("bound"):
            assert metric.direction == "none"
            assert metric.perfect(pooled) is None
        else:
            other = METRICS.get(name.replace("retrieved", "bound"))
            np.testing.assert_array_equal(metric.perfect(pooled), other.by_lead(pooled))
            assert metric.direction in ("higher", "lower")
    assert METRICS.get("frame_mse").perfect(pooled) is None
    assert METRICS.get("bound_csi_0.1_lead_6").__doc__ == "CSI at 0.1 of rain retrieved from the true frames, lead 6."


def test_of_an_interior_nothing_else_is_counted(stores):
    product, dataset = stores
    interior = {"rows": [1, 5], "columns": [2, 6]}
    options = ScoringOptions(metrics=NAMES, interior=interior)
    counts, _ = score_stores(product, None, dataset, options, where="model")
    part = {"y": slice(1, 5), "x": slice(2, 6)}
    alone, _ = score_stores(product.isel(part), None, dataset.isel(part), ScoringOptions(metrics=NAMES), where="model")
    for name in counts:
        if name.startswith(("retrieved", "bound")):
            np.testing.assert_allclose(counts[name], alone[name], err_msg=name)


def test_a_gap_in_what_is_retrieved_is_no_forecast(stores):
    product, dataset = stores
    product.retrieved[2, 0, 0, 0] = np.nan  # where there is no true frame
    product.retrieved[2, 1, 1, 1] = np.nan  # of frame 4, in which the rain is not known
    scored(product, dataset)
    product.retrieved[2, 0, 3, 3] = np.nan
    with pytest.raises(InvalidRunError, match="a forecast from 2010-08-26T01:00:00 has no value 1 steps later"):
        scored(product, dataset)


def test_competitors_with_other_retrievals_are_not_compared(stores):
    product, dataset = stores
    samples = {"one": scored(product, dataset)[0]}
    product.retrieved.attrs["retrieval"] = '{"options": {}}'
    samples["two"] = scored(product, dataset)[0]
    with pytest.raises(ScoreError, match="two"):
        check_same_sample(samples)
    # Where retrieved rain is not scored, it does not matter.
    assert "retrieval" not in scored(product, dataset, ["frame_mse"])[0].method


def test_scores_of_retrieved_rain_need_a_retrieval(stores):
    product, dataset = stores
    with pytest.raises(ScoreError, match=r"model: retrieves nothing from its forecasts; set training\.retrieval"):
        scored(product[["forecast"]], dataset)
    scoring = ScoringOptions(metrics=["frame_mse", "retrieved_csi_1"])
    with pytest.raises(ConfigError, match=r"training\.retrieval: is missing, and retrieved_csi_1 needs one"):
        Nowcasting.check(TrainingOptions(), scoring)
    Nowcasting.check(TrainingOptions(retrieval=OPTIONS), scoring)
    assert Nowcasting.counted(scoring)["retrieved"] == [1.0]
    assert Nowcasting.counted(ScoringOptions(metrics=["bound_rmse"]))["retrieved"] == []


def test_it_is_fitted_to_pixels_with_a_frame_and_a_rain_rate(stores):
    _, dataset = stores
    every = OPTIONS.model_copy(update={"samples": FRAMES * SIDE**2})
    made = fit_retrieval(dataset, "cloud_top", every)
    features = features_of(dataset.cloud_top.values)
    rates = dataset.rain_rate.values.astype(float)
    known = np.isfinite(features).all(axis=-1) & np.isfinite(rates)
    assert known.sum() == (FRAMES - 1) * (SIDE**2 - 2)
    expected = Retrieval.fit(features[known], rates[known], every)
    for name, values in vars(expected).items():
        np.testing.assert_allclose(getattr(made, name), values, atol=1e-9)
    some = fit_retrieval(dataset, "cloud_top", OPTIONS)
    np.testing.assert_array_equal(some.weights, fit_retrieval(dataset, "cloud_top", OPTIONS).weights)
    other = fit_retrieval(dataset, "cloud_top", OPTIONS.model_copy(update={"seed": 1}))
    assert abs(some.weights - other.weights).max() > 0.01


def test_what_it_cannot_be_fitted_to_is_told(stores):
    _, dataset = stores
    with pytest.raises(DataError, match=r"training\.retrieval: there is no variable 'land'; keep it in the source's"):
        fit_retrieval(dataset, "cloud_top", OPTIONS.model_copy(update={"surface": "land"}))
    units = dataset.rain_rate.assign_attrs(units="m s-1")
    with pytest.raises(DataError, match=r"rain_rate: is in 'm s-1', no rain rate \(mm h-1\)"):
        fit_retrieval(dataset.assign(rain_rate=units), "cloud_top", OPTIONS)
    with pytest.raises(DataError, match=r"rain_rate: has shape \(9,\), the frames are \(9, 6, 6\)"):
        fit_retrieval(dataset.assign(rain_rate=dataset.rain_rate[:, 1, 1]), "cloud_top", OPTIONS)
    with pytest.raises(DataError, match="there are 0 pixels"):
        fit_retrieval(dataset.assign(rain_rate=dataset.rain_rate.where(False)), "cloud_top", OPTIONS)


def kept(file, stored, options):
    """Return the manifest of a model that holds nothing but a retrieval."""
    with Artefact(file, kind="model", code="") as out:
        out.payload(FILE).write_text(json.dumps(stored))
        out.content = {"retrieval": {"options": options}}
    return read_manifest(file, kind="model", verify="deep")


def test_a_forecast_lies_above_the_surface_of_its_start(stores, tmp_path):
    product, dataset = stores
    ice = np.arange(FRAMES)[:, None, None] % 3 + np.zeros((FRAMES, SIDE, SIDE))
    dataset = dataset.assign(ice=(("time", "y", "x"), ice, {"units": "1"}))
    options = OPTIONS.model_copy(update={"surface": "ice"})
    retrieval = fit_retrieval(dataset, "cloud_top", options)
    trained = kept(tmp_path / "model.json", retrieval.to_plain(), options.model_dump(mode="json"))
    made = product[["forecast"]].isel(time=[2, 4, 7])
    add_retrieved(made, "forecast", trained, dataset, tail=2)
    for number, start in enumerate((2, 4, 7)):
        for lead in range(LEADS):
            frame = made.forecast.values[number, lead][None]
            found = made.retrieved.values[number, lead]
            np.testing.assert_allclose(found, retrieval.rates(frame, ice[start])[0], rtol=1e-6)
    # Once for each frame of the period, above the surface of its own time, and not for those of the period before.
    np.testing.assert_array_equal(made.valid_time, TIMES[2:])
    for number, place in enumerate(range(2, FRAMES)):
        true = retrieval.rates(dataset.cloud_top.values[place][None], ice[place])[0]
        np.testing.assert_allclose(made.retrieved_from_truth.values[number], true, rtol=1e-6)
    assert made.retrieved.dtype == made.retrieved_from_truth.dtype == made.forecast.dtype
    with pytest.raises(DataError, match=r"training\.retrieval: there is no variable 'ice'"):
        add_retrieved(made, "forecast", trained, dataset.drop_vars("ice"), tail=2)


def test_periods_bring_the_bound_of_each_others_leads(stores, tmp_path):
    """Of periods side by side, one of them too short for a start, the counts are those of one long period."""
    product, dataset = stores
    stored = fit_retrieval(dataset, "cloud_top", OPTIONS).to_plain()
    trained = kept(tmp_path / "model.json", stored, OPTIONS.model_dump(mode="json"))

    def period(frames, starts):
        made = product[["forecast"]].isel(time=starts)
        add_retrieved(made, "forecast", trained, dataset.isel(time=frames), tail=0)
        write_zarr(made, tmp_path / f"{frames.start}.zarr", attrs={})
        return xr.open_zarr(tmp_path / f"{frames.start}.zarr")

    parts = [period(slice(5, 9), slice(5, 9)), period(slice(0, 4), slice(0, 4)), period(slice(4, 5), slice(0, 0))]
    joined = concat_times(parts, where=["c", "a", "b"])
    np.testing.assert_array_equal(joined.valid_time, TIMES)
    np.testing.assert_array_equal(joined.time, np.delete(TIMES, 4))
    whole = product[["forecast"]].isel(time=np.delete(np.arange(FRAMES), 4))
    add_retrieved(whole, "forecast", trained, dataset, tail=0)
    options = ScoringOptions(metrics=NAMES)
    counts, expected = (score_stores(each, None, dataset, options, where="model")[0] for each in (joined, whole))
    xr.testing.assert_identical(counts, expected)
    # As many pairs for the bound as for the forecast, at every lead whose frame has rain: all but the fifth frame.
    np.testing.assert_array_equal(counts.bound_cells, counts.retrieved_cells)
    frames = np.searchsorted(TIMES, counts.time)[:, None] + np.arange(1, LEADS + 1)
    np.testing.assert_array_equal(counts.bound_cells > 0, frames != 4)


def test_a_product_without_the_bound_of_a_time_is_predicted_again(stores):
    product, dataset = stores
    line = "model: lacks rain retrieved from true frames of the test; predict again"
    for lacking in (product.isel(valid_time=slice(1, None)), product.drop_dims("valid_time")):
        with pytest.raises(ScoreError, match=line):
            scored(lacking, dataset)
        scored(lacking, dataset, ["frame_mse"])


def test_what_was_stored_in_another_form_is_told(stores, tmp_path):
    _, dataset = stores
    stored = fit_retrieval(dataset, "cloud_top", OPTIONS).to_plain()
    for number, (change, options) in enumerate([({}, {}), ({"offsets": None}, {}), ({}, {"rows": "many"})]):
        file = tmp_path / str(number) / "model.json"
        values = {name: value for name, value in {**stored, **change}.items() if value is not None}
        trained = kept(file, values, {**OPTIONS.model_dump(mode="json"), **options})
        if not change and not options:
            found = load_retrieval(trained)
            assert found is not None
            assert (found[0].to_plain(), found[1]) == (stored, OPTIONS)
            continue
        with pytest.raises(StoreError, match=rf"{file.name}: holds no retrieval as they are today; train it again"):
            load_retrieval(trained)


def test_a_network_runs_once_for_forecast_and_rain(stores, tmp_path):
    product, dataset = stores
    stored = fit_retrieval(dataset, "cloud_top", OPTIONS).to_plain()
    trained = kept(tmp_path / "model.json", stored, OPTIONS.model_dump(mode="json"))
    whole = product[["forecast"]].isel(time=[0, 3, 4, 7])
    runs = []

    def network(part):
        runs.append(part)
        return whole.forecast.values[part]

    shape = (2, *whole.forecast.shape[1:])
    lazy, places = delayed(network, pure=False), (slice(0, 2), slice(2, 4))
    parts = [da.from_delayed(lazy(part), shape, dtype="float32") for part in places]
    made = whole.assign(forecast=whole.forecast.copy(data=da.concatenate(parts)))
    for product_of in (made, whole):
        add_retrieved(product_of, "forecast", trained, dataset, tail=0)
    with dask.config.set(scheduler="synchronous"):
        write_zarr(made, tmp_path / "product.zarr", attrs={})
    assert sorted(runs, key=str) == sorted(places, key=str)
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "product.zarr").load(), whole)
