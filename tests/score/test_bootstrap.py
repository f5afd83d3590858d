"""Block bootstrap: coverage on AR(1) series, closed forms, a second library, invariants."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from pipeline_lib.score.bootstrap import (
    Resampling,
    block_length,
    block_weights,
    draws_of,
    interval,
    pool,
    stretch,
    summable,
)
from pipeline_lib.score.gate import InvalidRunError
from pipeline_lib.score.options import IntervalOptions

SERIES = 2000


def days(count: int, step: int = 1) -> np.ndarray:
    return np.datetime64("2005-06-01", "ns") + np.arange(count) * np.timedelta64(step, "D")


def ar1(count: int, length: int, persistence: float, *, seed: int = 1) -> np.ndarray:
    """Stationary AR(1) series of mean 0 and variance 1."""
    noise = np.random.default_rng(seed).standard_normal((count, length))
    noise[:, 1:] *= np.sqrt(1 - persistence**2)
    return np.asarray(lfilter([1.0], [1.0, -persistence], noise, axis=1))


def coverage(series: np.ndarray, options: IntervalOptions, *, factor: float | None = None) -> float:
    """Share of 95 % intervals for the mean that hold the true mean 0."""
    resampling = Resampling(days(series.shape[1]), options)
    used = resampling.factor if factor is None else factor
    resampled = resampling.weights @ series.T / series.shape[1]
    means = series.mean(axis=1)
    held = 0
    for mean, draws in zip(means, resampled.T, strict=True):
        low, high = interval(
            draws_of(np.array([mean]), draws[None], factor=used, generator=np.random.default_rng(0)), 0.95
        )
        held += low <= 0 <= high
    return held / len(series)


@pytest.mark.parametrize("dates", [25, 60, 200])
def test_95_percent_intervals_hold_the_mean_of_ar1_series_in_93_to_97_percent_of_cases(dates: int) -> None:
    options = IntervalOptions(block_days=10, resamples=500)
    series = ar1(SERIES, dates, np.exp(-1 / 5))  # correlation 1/e after 5 dates, half a block
    assert 0.93 <= coverage(series, options) <= 0.97
    assert coverage(series, options, factor=1.0) < 0.85  # what plain percentiles would give


def test_series_that_forget_faster_get_wide_rather_than_narrow_intervals() -> None:
    options = IntervalOptions(block_days=10, resamples=500)
    assert coverage(ar1(SERIES, 60, 0.5), options) >= 0.95
    assert coverage(ar1(SERIES, 60, 0.0), options) >= 0.95


def test_coverage_for_a_skewed_ratio_of_sums() -> None:
    """A ratio as metrics are: numerator and denominator vary together from date to date."""
    options = IntervalOptions(block_days=10, resamples=500)
    resampling = Resampling(days(100), options)
    top = np.exp(0.5 * ar1(SERIES, 100, np.exp(-0.2), seed=2))
    bottom = top + np.exp(0.5 * ar1(SERIES, 100, np.exp(-0.2), seed=3))
    held = 0
    truth = 0.5  # numerator and rest have the same distribution
    for a, b in zip(top, bottom, strict=True):
        resampled = (resampling.weights @ a) / (resampling.weights @ b)
        draws = resampling.draws(np.array([a.sum() / b.sum()]), resampled[None], seeds=[0])
        low, high = interval(draws, 0.95)
        held += low <= truth <= high
    assert 0.93 <= held / SERIES <= 0.97


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_spread_between_seeds_is_part_of_the_interval(seeds: int) -> None:
    """Seeds alone differ: intervals then are those of Student's t."""
    generator = np.random.default_rng(5)
    held = 0
    for values in generator.standard_normal((SERIES, seeds)):
        resampled = np.repeat(values[:, None], 1000, axis=1)
        low, high = interval(draws_of(values, resampled, factor=1.0, generator=generator), 0.95)
        held += low <= 0 <= high
    assert 0.93 <= held / SERIES <= 0.97


@pytest.mark.parametrize("shared", [0.0, 3.0])
def test_a_difference_has_the_spread_of_the_differences_seed_by_seed(shared: float) -> None:
    """Whatever the seed does to both is none of it; where it does nothing to both, a paired t is right as well."""
    generator = np.random.default_rng(8)
    held, widths = 0, []
    for both in generator.standard_normal((SERIES, 3)):
        values = shared * both + generator.standard_normal((2, 3))
        state = np.random.default_rng(int(generator.integers(2**32))).bit_generator.state
        drawn = []
        for estimates in values:
            same = np.random.default_rng()
            same.bit_generator.state = state
            drawn.append(draws_of(estimates, np.repeat(estimates[:, None], 1000, axis=1), factor=1.0, generator=same))
        low, high = interval(drawn[0] - drawn[1], 0.95)
        held += low <= 0 <= high
        widths.append(high - low)
    assert 0.93 <= held / SERIES <= 0.97
    # Of the differences the standard error is sqrt(2/3), whose estimate has a mean of .886 of it; t is 4.30.
    assert np.mean(widths) == pytest.approx(2 * 4.303 * np.sqrt(2 / 3) * 0.886, rel=0.06)


def test_dates_and_seeds_together_do_not_fall_short() -> None:
    options = IntervalOptions(block_days=10, resamples=500)
    resampling = Resampling(days(60), options)
    common = ar1(SERIES, 60, np.exp(-0.2))
    offsets = 0.3 * np.random.default_rng(6).standard_normal((SERIES, 3))
    held = 0
    for i in range(SERIES):
        runs = common[i] + offsets[i][:, None]  # each seed is off by its own constant
        draws = resampling.draws(runs.mean(axis=1), runs @ resampling.weights.T / 60, seeds=[i, 1, 2])
        low, high = interval(draws, 0.95)
        held += low <= 0 <= high
    assert 0.93 <= held / SERIES <= 0.985


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5))
def test_resamples_are_made_of_whole_blocks_on_a_circle(dates: int, block: int, seed: int) -> None:
    block = min(block, dates)
    weights = block_weights(dates, block, resamples=200, seed=seed)
    assert weights.shape == (200, dates)
    assert (weights.sum(axis=1) == dates).all()
    np.testing.assert_array_equal(weights, block_weights(dates, block, resamples=200, seed=seed))
    # Going around the circle, the weight can only rise where a block starts: at most one start per block.
    rises = np.maximum(np.roll(weights, -1, axis=1) - weights, 0).sum(axis=1)
    assert (rises <= -(-dates // block)).all()


def test_every_date_is_as_likely_as_any_other() -> None:
    weights = block_weights(25, 10, resamples=20_000, seed=0)
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.05)  # not so without the circle


def test_with_blocks_of_one_date_it_is_the_ordinary_bootstrap() -> None:
    from scipy.stats import bootstrap

    values = np.random.default_rng(2).gamma(2.0, size=80)
    draws = block_weights(80, 1, resamples=10_000, seed=3) @ values / 80
    expected = bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=4)
    ours = interval(draws, 0.95)
    assert ours == pytest.approx(tuple(expected.confidence_interval), abs=0.02)
    assert np.std(draws) == pytest.approx(float(expected.standard_error), rel=0.03)


def test_the_scores_library_resamples_blocks_with_the_same_spread() -> None:
    from scores.processing import block_bootstrap

    series = ar1(1, 60, 0.8)[0]
    theirs = block_bootstrap(xr.DataArray(series, dims="time"), blocks={"time": 10}, n_iteration=2000, circular=True)
    expected = float(theirs.mean("time").std())
    ours = np.std(block_weights(60, 10, resamples=4000, seed=0) @ series / 60)
    assert ours == pytest.approx(expected, rel=0.1)


def test_the_closed_form_behind_the_calibration_is_the_resampled_variance() -> None:
    from pipeline_lib.score.bootstrap import _resampled_variance

    series = ar1(3, 25, 0.7)
    expected = np.var(block_weights(25, 10, resamples=200_000, seed=1) @ series.T / 25, axis=0)
    np.testing.assert_allclose(_resampled_variance(series, 10), expected, rtol=0.03)


def test_stretch_grows_as_blocks_get_fewer_and_never_shrinks_an_interval() -> None:
    factors = [stretch(dates, 10, 0.95) for dates in (25, 50, 100, 365)]
    assert factors == sorted(factors, reverse=True)
    assert min(factors) >= 1.0
    assert stretch(25, 10, 0.95) == pytest.approx(3.3, abs=0.15)  # the figures in the module's text
    assert stretch(200, 10, 0.95) == pytest.approx(1.5, abs=0.07)


def test_block_length_counts_dates() -> None:
    assert block_length(days(30), 10.0) == 10
    assert block_length(days(30, step=5), 10.0) == 2
    assert block_length(days(30, step=30), 10.0) == 1
    assert block_length(days(1), 10.0) == 1
    assert block_length(days(15), 20.0) == 20


def test_a_block_of_a_sequence_has_as_many_dates_as_a_sequence_has_starts() -> None:
    first = np.datetime64("2000-01-01", "ns") + np.arange(40) * np.timedelta64(12, "h")
    starts = (first[:, None] + np.array([150, 240, 330]) * np.timedelta64(1, "m")).ravel()
    assert block_length(starts, 0.5) == 3
    assert block_length(starts, 1.0) == 6
    two_seasons = np.concatenate([days(60), days(60) + np.timedelta64(200, "D")])
    assert block_length(two_seasons, 10.0) == 10


def test_fewer_than_two_blocks_give_no_interval() -> None:
    resampling = Resampling(days(15), IntervalOptions(block_days=10))
    assert not resampling.usable
    draws = resampling.draws(np.array([1.0]), np.ones((1, 2000)), seeds=[0])
    assert np.isnan(interval(draws, 0.95)).all()


def test_pool_sums_counts_whatever_the_order_of_dates() -> None:
    generator = np.random.default_rng(0)
    counts = xr.Dataset(
        {"a": (("time",), generator.integers(0, 10**6, 30)), "b": (("k", "time"), generator.integers(0, 9, (4, 30)))},
        {"time": days(30)},
    )
    total = pool(counts)
    assert total["a"].tolist() == [counts.a.values.sum()]
    np.testing.assert_array_equal(total["b"], counts.b.values.sum(axis=1)[None])
    shuffled = pool(counts.isel(time=generator.permutation(30)))
    for name in total:
        np.testing.assert_array_equal(total[name], shuffled[name])
    weights = block_weights(30, 4, resamples=200, seed=0)
    looped = [sum(w * v for w, v in zip(row, counts.a.values, strict=True)) for row in weights[:5]]
    np.testing.assert_array_equal(pool(counts, weights)["a"][:5], looped)


def test_scaling_the_values_scales_the_interval() -> None:
    resampling = Resampling(days(60), IntervalOptions(resamples=500))
    series = ar1(1, 60, 0.8)
    one = resampling.draws(series.mean(axis=1), series @ resampling.weights.T / 60, seeds=[0])
    ten = resampling.draws(10 * series.mean(axis=1), 10 * series @ resampling.weights.T / 60, seeds=[0])
    np.testing.assert_allclose(interval(ten, 0.95), 10 * np.array(interval(one, 0.95)), rtol=1e-9)


def test_undefined_resamples_are_left_out_unless_they_are_most() -> None:
    draws = np.arange(100.0)
    some, most = draws.copy(), draws.copy()
    some[::3], most[:60] = np.nan, np.nan
    assert np.isfinite(interval(some, 0.9)).all()
    assert np.isnan(interval(most, 0.9)).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.randoms())
def test_sums_of_either_sign_are_exact_in_any_order(values, random):
    rounded = summable(np.array(values))
    np.testing.assert_allclose(rounded, values, rtol=0, atol=1e-9 * max(1e-300, np.abs(values).sum()))
    shuffled = random.sample(rounded.tolist(), len(rounded))
    assert sum(shuffled) == sum(rounded.tolist())


@pytest.mark.parametrize("values", [[1.0, np.inf], [np.nan, 1.0], [1e308, 1e308]])
def test_what_has_no_finite_sum_makes_a_run_invalid(values):
    """Rounded to multiples of infinity, all of it would be no numbers."""
    with pytest.raises(InvalidRunError, match="a count is not finite: the product holds values too large"):
        summable(np.array(values))
