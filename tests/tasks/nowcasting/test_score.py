"""Counts of forecast frames: against sums that are written out, with gaps in time and in space."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.brightness import TemperatureScale
from pipeline_lib.errors import DataError, ScoreError
from pipeline_lib.metrics import METRICS
from pipeline_lib.score.gate import InvalidRunError
from pipeline_lib.skill.regimes import REGIMES
from pipeline_lib.tasks.nowcasting.options import ScoringOptions
from pipeline_lib.tasks.nowcasting.score import score_stores
from tests.scales import HKO7
from tests.tasks.metrics_of import metrics_of

START, STEP = np.datetime64("2010-08-26", "ns"), np.timedelta64(300, "s")
FRAMES, LEADS, SIDE, CUT = 12, 3, 8, 7
OF_EVENTS = ("csi", "pod", "far", "hss", "gss", "frequency_bias", "event_accuracy", "event_f1")
METRIC_NAMES = ["frame_mse", "b_mse", "rain_mse", "csi_0.5", "hss_5", "fss_2_3", "correlation", "csi_2_lead_3"]


@pytest.fixture
def stores() -> tuple[xr.Dataset, xr.Dataset]:
    """A product and a dataset, of which a frame in the middle and a corner are missing."""
    rng = np.random.default_rng(0)
    frames = rng.random((FRAMES, SIDE, SIDE)).astype(np.float32)
    frames[:, :2, :2] = np.nan
    frames[5, 7, 7] = np.nan
    attrs = {"units": "1", **HKO7.attributes()}
    times = START + np.arange(FRAMES) * STEP
    dataset = xr.Dataset({"echo": (("time", "y", "x"), frames, attrs)}, {"time": times})
    dataset = dataset.isel(time=[i for i in range(FRAMES) if i != CUT])
    forecast = rng.random((FRAMES - 1, LEADS, SIDE, SIDE)).astype(np.float32)
    told = {"forecast_of": "echo", "step_minutes": 5.0, "missing": 0.1, "seen": 1}
    product = xr.Dataset(
        {"forecast": (("time", "lead", "y", "x"), forecast, told)}, {"time": dataset.time, "lead": np.arange(1, 4)}
    )
    return product, dataset


def scored(product, dataset, metrics=METRIC_NAMES, **interior):
    options = ScoringOptions(metrics=metrics, interior=interior)
    counts, sample = score_stores(product, None, dataset, options, where="model")
    pooled = {str(n): v.sum("time").values[None] for n, v in counts.data_vars.items()}
    return counts, sample, {name: float(METRICS.get(name).from_counts(pooled)[0]) for name in metrics}


def plainly(product, dataset, starts, lead):
    """The metrics at one lead, of loops over starts and cells; neighbours beyond the border have no event."""
    sums, frames = Counter(), 0
    for i in starts:
        truth = dataset.echo.values[i + lead].astype(float)
        guess = product.forecast.values[i, lead - 1].astype(float)
        known = np.isfinite(truth)
        frames += known.any()
        events = {}
        for row, column in np.argwhere(known):
            t, g = truth[row, column], guess[row, column]
            rate, guessed = HKO7.to_rate(t), HKO7.to_rate(g)
            weight = 30 if rate >= 30 else 10 if rate >= 10 else 5 if rate >= 5 else 2 if rate >= 2 else 1
            sums["cells"] += 1
            sums["squared"] += (g - t) ** 2
            sums["rain"] += (guessed - rate) ** 2
            sums["weighted squared"] += weight * (g - t) ** 2
            sums["weighted"] += weight * abs(g - t)
            sums["forecast"] += g**2
            sums["truth"] += t**2
            sums["product"] += g * t
            for limit in (0.5, 2, 5):
                sums[limit, bool(guessed >= limit), bool(rate >= limit)] += 1
            events[row, column] = np.array([guessed >= 2, rate >= 2])
        for row, column in events:
            around = [(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
            F, O = sum(events.get(cell, np.zeros(2)) for cell in around) / 9  # noqa: E741
            sums["fractions apart"] += (F - O) ** 2
            sums["fractions"] += F**2 + O**2
    hits, alarms, misses, rest = (
        {limit: sums[limit, yes, event] for limit in (0.5, 2, 5)}
        for yes, event in ((True, True), (True, False), (False, True), (False, False))
    )
    csi = {limit: hits[limit] / (hits[limit] + alarms[limit] + misses[limit]) for limit in hits}
    a, b, c, d = (counted[5] for counted in (hits, alarms, misses, rest))
    return {
        "frame_mse": sums["squared"] / sums["cells"],
        "rain_mse": sums["rain"] / sums["cells"],
        "b_mse": sums["weighted squared"] / frames,
        "b_mae": sums["weighted"] / frames,
        "csi_0.5": csi[0.5],
        "csi_2": csi[2],
        "hss_5": 2 * (a * d - b * c) / ((a + c) * (c + d) + (a + b) * (b + d)),
        "fss_2_3": 1 - sums["fractions apart"] / sums["fractions"],
        "correlation": sums["product"] / (np.sqrt(sums["forecast"] * sums["truth"]) + 1e-9),
    }, sums["cells"]


def test_metrics_are_those_of_plain_loops_over_the_starts_with_a_future(stores):
    """Values are stored in 32 bits and computed with in 64: only rounding parts the two ways."""
    product, dataset = stores
    times = dataset.time.values
    starts = [i for i in range(len(times) - LEADS) if times[i + LEADS] - times[i] == LEADS * STEP]
    leads = range(1, LEADS + 1)
    expected, cells = zip(*(plainly(product, dataset, starts, lead) for lead in leads), strict=True)
    names = list(expected[0])
    counts, sample, found = scored(product, dataset, [*names, *(f"{n}_lead_{lead}" for n in names for lead in leads)])
    assert counts.time.values.tolist() == times[starts].tolist()
    assert len(sample.times) == len(starts) == 5
    # A cell that is missing at one time makes leads differ: the mean over leads is not that over all cells.
    assert counts.cells.sum("time").values.tolist() == list(cells)
    assert len(set(cells)) > 1
    for lead in leads:
        assert {n: found[f"{n}_lead_{lead}"] for n in names} == pytest.approx(expected[lead - 1], rel=1e-9)
    assert {n: found[n] for n in names} == pytest.approx(
        {n: np.mean([at[n] for at in expected]) for n in names}, rel=1e-9
    )


def test_regimes_are_counted_apart_by_the_frames_that_were_seen_last(stores):
    product, dataset = stores
    # One storm in a frame, in every other frame a new one, and boxes of one cell: most cells are far from it.
    frames, rng = np.zeros_like(dataset.echo.values), np.random.default_rng(1)
    for number in range(0, len(frames), 2):
        row, column = rng.integers(3, SIDE - 2, 2)
        frames[number, row, column] = frames[number + 1 : number + 2, row - 1, column] = 1
    frames[:, 0, 0] = np.nan
    dataset = dataset.assign(echo=(dataset.echo.dims, frames, {"units": "1"}))
    names = [f"{score}_0.5_{regime}" for score in ("csi", "pod", "far") for regime in REGIMES]
    counts, _, _ = scored(product, dataset, names)
    times = dataset.time.values
    # Growth takes a frame before the one that was seen last.
    starts = [i for i in range(1, len(times) - LEADS) if times[i + LEADS] - times[i - 1] == (LEADS + 1) * STEP]
    assert counts.time.values.tolist() == times[starts].tolist()
    expected = {regime: np.zeros((4, len(starts), LEADS)) for regime in REGIMES}
    for number, i in enumerate(starts):
        for row, column in np.ndindex(SIDE, SIDE):
            around = [
                frames[i, r, c] if 0 <= r < SIDE and 0 <= c < SIDE else np.nan
                for r in (row - 1, row, row + 1)
                for c in (column - 1, column, column + 1)
            ]
            if np.nanmax(around) < 0.5 and np.isnan(around).any():
                continue
            storm, before = (np.argwhere(frames[j] == 1) for j in (i, i - 1))
            # A storm of one cell has not grown if it was there before, or beside.
            moved = len(storm) and len(before) and abs(storm[0] - before[0]).max() <= 1
            regimes = ["initiation"]
            if np.nanmax(around) >= 0.5:
                regimes = ["continuation", "advection" if moved else "growth"]
            for lead in range(LEADS):
                true, yes = frames[i + 1 + lead, row, column], product.forecast.values[i, lead, row, column] >= 0.5
                if not np.isnan(true):
                    for regime in regimes:
                        expected[regime][[[3, 2], [1, 0]][int(yes)][int(true)], number, lead] += 1
    outcomes = ("hits", "false_alarms", "misses", "correct_negatives")
    for regime, table in expected.items():
        assert table.any()
        for outcome, values in zip(outcomes, table, strict=True):
            np.testing.assert_array_equal(counts[f"{outcome}_0.5_{regime}"], values)
    assert "hits_0.5" not in counts
    # A wider box makes more of the cells near.
    dataset.echo.attrs["box_cells"] = 3
    wider, _, _ = scored(product, dataset, names)
    assert (wider["misses_0.5_continuation"].sum() > counts["misses_0.5_continuation"].sum()).item()


def test_every_metric_has_a_perfect_value_for_the_truth(stores):
    product, dataset = stores
    perfect = product.copy(deep=True)
    for i in range(len(dataset.time) - LEADS):
        perfect.forecast[i] = dataset.echo.values[i + 1 : i + 1 + LEADS]
    families = {
        "fss_*": "fss_2_3",
        "power_left_*": "power_left_4",
        **{f"{name}_*": f"{name}_0.5" for name in OF_EVENTS},
    }
    names = [families.get(name, name.replace("*", "lead_2")) for name in metrics_of("nowcasting", "metrics")]
    kelvin = dataset.assign(echo=dataset.echo.assign_attrs(TemperatureScale(180, 320).attributes()))
    _, _, found = scored(perfect, kelvin, names)
    for name, value in found.items():
        metric = METRICS.get(name)
        if name.startswith(("frequency_bias", "power_left", "std_ratio", "sequence_cross_entropy")):
            continue
        assert value == pytest.approx(metric.bounds[1] if metric.direction == "higher" else 0, abs=1e-6), name
    assert found["frequency_bias_0.5"] == found["power_left_4"] == 1
    assert found["std_ratio"] == pytest.approx(1)


def test_errors_in_kelvin_are_those_of_shares_times_the_range(stores):
    product, dataset = stores
    names = ["temperature_rmse_lead_2", "frame_mse_lead_2", "std_ratio_lead_2"]
    kelvin = dataset.assign(echo=dataset.echo.assign_attrs(TemperatureScale(180, 320).attributes()))
    _, _, found = scored(product, kelvin, names)
    assert found["temperature_rmse_lead_2"] == pytest.approx(140 * np.sqrt(found["frame_mse_lead_2"]))
    times = dataset.time.values
    starts = [i for i in range(len(times) - LEADS) if times[i + LEADS] - times[i] == LEADS * STEP]
    truth, guess = dataset.echo.values[[i + 2 for i in starts]], product.forecast.values[starts, 1]
    known = np.isfinite(truth)
    expected = guess[known].astype(float).std() / truth[known].astype(float).std()
    assert found["std_ratio_lead_2"] == pytest.approx(expected, rel=1e-6)
    with pytest.raises(DataError, match="no scale that turns the values into temperatures"):
        scored(product, dataset, names)


def test_power_of_short_waves_is_that_of_their_modes_one_by_one(stores):
    product, dataset = stores
    counts, _, found = scored(product, dataset, ["power_left_4_lead_2", "power_left_8_lead_2", "power_left_2_lead_2"])
    place = np.arange(SIDE)
    fade = np.outer(*2 * [np.sin(np.pi * (place + 0.5) / SIDE) ** 2])
    power = {wavelength: np.zeros(2) for wavelength in (2, 4, 8)}
    for i in np.searchsorted(dataset.time, counts.time):
        truth = dataset.echo.values[i + 2].astype(float)
        known = np.isfinite(truth)
        for which, frame in enumerate((product.forecast.values[i, 1].astype(float), truth)):
            faded = np.where(known, frame - frame[known].mean(), 0) * fade
            for row in range(-SIDE // 2, SIDE // 2):
                for column in range(-SIDE // 2, SIDE // 2):
                    waves = round(np.hypot(row, column))
                    mode = np.outer(np.exp(2j * np.pi * row * place / SIDE), np.exp(2j * np.pi * column * place / SIDE))
                    for wavelength, sums in power.items():
                        if SIDE / wavelength <= waves <= SIDE / 2:
                            sums[which] += abs((faded * mode).sum()) ** 2
    for wavelength, (forecast, truth) in power.items():
        assert found[f"power_left_{wavelength}_lead_2"] == pytest.approx(forecast / truth, rel=1e-9)
    flat = product.assign(forecast=xr.zeros_like(product.forecast))
    assert scored(flat, dataset, ["power_left_4"])[2]["power_left_4"] == 0


def test_forecasts_of_rain_are_cut_to_where_its_scale_ends_before_all_scores(stores):
    """HKO-7 cuts them to [0, 1]; frames of anything else are scored as they are."""
    product, dataset = stores
    names = ["frame_mse", "frame_mae", "correlation", "b_mse", "csi_0.5", "power_left_4"]
    beyond = product.assign(forecast=(2 * product.forecast - 0.5).assign_attrs(product.forecast.attrs))
    cut = product.assign(forecast=beyond.forecast.clip(0, 1).assign_attrs(product.forecast.attrs))
    assert scored(beyond, dataset, names)[2] == scored(cut, dataset, names)[2]
    plain = dataset.assign(echo=dataset.echo.drop_attrs().assign_attrs(units="1"))
    mse = ["frame_mse"]
    assert scored(beyond, plain, mse)[2]["frame_mse"] > 1.2 * scored(cut, plain, mse)[2]["frame_mse"]


def test_spectra_are_kept_of_the_leads_that_are_drawn_and_their_sums_are_exact():
    leads, frames = 9, np.random.default_rng(2).random((30, SIDE, SIDE)).astype(np.float32)
    times = START + np.arange(30) * STEP
    dataset = xr.Dataset({"echo": (("time", "y", "x"), frames, {"units": "1"})}, {"time": times})
    told = {"forecast_of": "echo", "step_minutes": 5.0, "missing": 0.1, "seen": 1}
    made = np.random.default_rng(3).random((30, leads, SIDE, SIDE)).astype(np.float32)
    made *= 10.0 ** np.random.default_rng(4).uniform(-3, 3, (30, 1, 1, 1)).astype(np.float32)
    product = xr.Dataset(
        {"forecast": (("time", "lead", "y", "x"), made, told)}, {"time": times, "lead": np.arange(1, leads + 1)}
    )
    counts, _, _ = scored(product, dataset, ["power_left_4"])
    assert counts.drawn_lead.values.tolist() == [1, 5, 9]
    assert counts.forecast_power.dims == ("time", "drawn_lead", "ring")
    assert counts.forecast_power_4.dims == ("time", "lead")
    for name in ("forecast_power", "true_power"):
        assert counts[name].dtype == np.float32
        values = counts[name].values.astype(float)
        forth, back = values[0].copy(), values[-1].copy()
        for start in values[1:]:
            forth += start
        for start in values[-2::-1]:
            back += start
        np.testing.assert_array_equal(forth, back)
    # The sums over the short waves are those of the rings, at the leads that have them.
    assert (counts.forecast_power_4.sel(lead=[1, 5, 9]).values > 0).all()


def test_a_forecast_without_a_value_is_no_forecast(stores):
    product, dataset = stores
    product.forecast[0, 1, 4, 4] = np.nan
    with pytest.raises(InvalidRunError, match=r"from 2010-08-26T00:00:00 has no value 2 steps later"):
        scored(product, dataset)
    product.forecast[0, 1, 4, 4] = 0
    product.forecast[0, 1, 0, 0] = np.nan  # where the truth has none either
    scored(product, dataset)


def test_forecasts_that_saw_frames_of_another_split_are_not_scored(stores):
    product, dataset = stores
    product.forecast.attrs["seen"] = 3
    counts, _, _ = scored(product, dataset)
    # Frames 0 to 6 and 8 to 11 lie in rows: three are seen, three follow.
    assert counts.time.values.tolist() == dataset.time.values[[2, 3]].tolist()


INNER = {"rows": (2, 7), "columns": (3, 8)}


def test_an_interior_is_scored_as_if_it_were_all_there_is(stores):
    product, dataset = stores
    inner = {"y": slice(*INNER["rows"]), "x": slice(*INNER["columns"])}
    counts, sample, found = scored(product, dataset, **INNER)
    expected, cut, wanted = scored(product.isel(inner), dataset.isel(inner))
    assert found == pytest.approx(wanted, rel=1e-12)
    xr.testing.assert_allclose(counts, expected)
    assert (sample.cells, sample.truths, sample.axes) == (cut.cells, cut.truths, cut.axes)
    assert max(sample.cells) == 25
    every = scored(product, dataset)
    assert found["b_mse"] < 0.6 * every[2]["b_mse"]
    assert sample.method != every[1].method
    # What a forecast has outside is not looked at.
    product.forecast[:, :, :, :3] = np.nan
    assert scored(product, dataset, **INNER)[2] == found
    # Rows alone.
    assert scored(product.isel(x=slice(3, 8)), dataset.isel(x=slice(3, 8)), rows=INNER["rows"])[2] == found


def test_regimes_of_an_interior_know_the_frame_around_it(stores):
    product, dataset = stores
    echoes = np.zeros_like(dataset.echo.values)
    echoes[:, 4, 2] = 1  # beside the interior
    dataset = dataset.assign(echo=(dataset.echo.dims, echoes, {"units": "1"}))
    counts, _, _ = scored(product, dataset, ["csi_0.5_continuation", "csi_0.5_initiation"], **INNER)
    near, far = (
        sum(counts[f"{name}_0.5_{regime}"] for name in ("hits", "false_alarms", "misses", "correct_negatives"))
        for regime in ("continuation", "initiation")
    )
    assert (near == 3).all()  # cells (3, 3), (4, 3) and (5, 3)
    # Of the others, those of the last column lie at the border of the frame: what is around them is not all known.
    assert (far == 25 - 3 - 5).all()


@pytest.mark.parametrize("cells", [{"rows": (0, 9)}, {"columns": (7, 20)}])
def test_an_interior_outside_the_frames_is_refused(stores, cells):
    with pytest.raises(ScoreError, match=r"interior\.(rows|columns): \[\d, \d+\] is not within the 8 (rows|columns)"):
        scored(*stores, **cells)


def test_noise_is_not_scored(stores):
    product, dataset = stores
    noisy = dataset.assign(echo=dataset.echo.assign_attrs(noise_below=0.28))
    counts, sample, _ = scored(product, noisy)
    every, other, _ = scored(product, dataset)
    truth = np.stack([dataset.echo.values[i + 1 : i + 4] for i in np.searchsorted(dataset.time, counts.time)])
    noise = ((truth > 0) & (truth < 0.28)).sum(axis=(2, 3))
    np.testing.assert_array_equal(every.cells - counts.cells, noise)
    assert sample.method != other.method


def test_what_is_at_a_threshold_is_at_it(stores):
    product, dataset = stores
    for rate in (0.5, 1.0, 2.0, 5.0, 10.0, 12.0, 30.0):
        at = np.float32(HKO7.to_share(rate))
        flat = dataset.assign(echo=xr.full_like(dataset.echo, at))
        found = scored(product.assign(forecast=xr.full_like(product.forecast, at)), flat, [f"csi_{rate:g}"])[2]
        assert found[f"csi_{rate:g}"] == 1


def test_cells_that_the_training_knew_are_missed(stores):
    product, dataset = stores
    hidden = dataset.copy(deep=True)
    hidden.echo[:, :, 4:] = np.nan
    assert len(scored(product, hidden)[1].times) == 5  # no frame has them: as if nobody could
    known = np.ones((SIDE, SIDE), np.int8)
    known[:2, :2] = 0
    product = product.assign_coords(known=(("y", "x"), known))
    assert len(scored(product, dataset)[1].times) == 5
    with pytest.raises(ScoreError, match=r"lies in the test with all of them \(11 frames, 11 of them incomplete"):
        scored(product, hidden)


def test_a_dry_test_is_scored(stores):
    product, dataset = stores
    dry = dataset.assign(echo=xr.where(dataset.echo.isnull(), np.nan, 0).astype(np.float32))
    dry.echo.attrs = dataset.echo.attrs
    counts, sample, found = scored(
        product.assign(forecast=xr.zeros_like(product.forecast)), dry, ["frame_mse", "csi_2"]
    )
    assert len(sample.times) == 5
    assert found["frame_mse"] == 0
    assert np.isnan(found["csi_2"])  # no event: undefined, neither 0 nor 1
    assert (counts["correct_negatives_2"] == counts.cells).all()


def test_what_cannot_be_scored_is_told(stores):
    product, dataset = stores
    with pytest.raises(ScoreError, match="no forecast of 3 frames from 1 lies in the test"):
        scored(product.isel(time=slice(0, 3)), dataset.isel(time=slice(0, 3)))
    with pytest.raises(ScoreError, match="times that the dataset does not hold"):
        scored(product.assign_coords(time=product.time + STEP // 2), dataset)
    plain = dataset.assign(echo=dataset.echo.assign_attrs(rain_scale_a="none"))
    with pytest.raises(ScoreError, match="need frames of rain"):
        scored(product, plain)
    assert scored(product, plain, ["csi_0.5"])[2]["csi_0.5"] > 0.2
