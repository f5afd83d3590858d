"""Intervals by a circular block bootstrap over dates, calibrated for few blocks, with the spread between seeds.

*Resampling.* Whole blocks of consecutive dates are drawn with replacement, the series closed to a circle (Politis and
Romano 1992), and the counts of the drawn dates are summed before the metric is computed: right for ratios, which are
not means over dates.

*Calibration.* Plain percentiles are far too narrow when there are few blocks, because a resampled variance knows
only what few blocks show: of 95 % intervals for the mean of an AR(1) series whose correlation falls to 1/e in half a
block, 58 % hold the truth with 2.5 blocks and 82 % with 20. So each deviation from the estimate is stretched by the
factor that makes the interval of just such a series hold the truth as often as promised (:func:`stretch`): 3.3 with
2.5 blocks of 10 dates, 1.5 with 20. A series that forgets faster than that gets an interval that is too wide
rather than too narrow.

*Seeds.* A model's value is the mean over its seeds. Resampling three seeds would show two thirds of their variance and
cut its tails, so the seeds' part is drawn from Student's t with the standard error between seeds and (seeds - 1)
degrees of freedom. Models of the same seeds share what is drawn, so that the seeds' part of a difference is that of the
differences seed by seed (a paired t): what the seed decides for both, such as the noise of the data or a network that
two competitors use, is no reason why they differ. A model with a single seed shows the uncertainty of the dates only.

*Limits.* With fewer than two blocks there is no interval (NaN). With two to five the calibration leans on the
assumed AR(1) shape more than on the data: read such an interval as an order of magnitude.

References
----------
Künsch (1989), "The jackknife and the bootstrap for general stationary observations"; Politis and Romano (1992), "A
circular block-resampling procedure for stationary data"; Loh (1987), "Calibrating confidence coefficients".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.score.gate import InvalidRunError
from pipeline_lib.score.options import IntervalOptions

MIN_BLOCKS = 2.0
"""With fewer blocks a resample is hardly more than a rotation of the series."""
MIN_DEFINED = 0.5
"""Share of resamples in which a metric must be defined for it to have an interval."""
_SIMULATIONS = 20_000
"""Simulated series for a calibration: the factor is then known to about 1 %."""
_SIMULATED_VALUES = 10_000_000
"""Long series are simulated less often, to bound the memory."""
_CALIBRATION_SEED = 20170
_HALF_BLOCK = 2.0
"""A block is this many times the 1/e decorrelation time (see IntervalOptions.block_days)."""

_EXACT_BITS = 50
"""Sums of so many bits are exact in double precision, with room for resamples that are larger than the sample."""

_STABLE = "train a stable model, or forecast fewer steps"

Draws = NDArray[np.float64]


def summable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values rounded to multiples of a power of two so coarse that sums are exact, whatever their order.

    Raises
    ------
    InvalidRunError
        If a value, or their sum, is not finite: it would take all others with it.
    """
    with np.errstate(over="ignore"):
        total = float(np.abs(values).sum())
    if not np.isfinite(total):
        raise InvalidRunError("a count is not finite: the product holds values too large to be scored", fix=_STABLE)
    if total == 0:
        return values
    quantum = max(2.0 ** (np.ceil(np.log2(total)) - _EXACT_BITS), float(np.finfo(np.float64).smallest_subnormal))
    return np.asarray(np.round(values / quantum) * quantum)


def block_length(times: NDArray[np.datetime64], block_days: float) -> int:
    """Return the block length as a number of dates: how many there usually are from one on, within ``block_days``.

    Dates may come in groups, as starts of forecasts do of which some in each sequence have a future: the distance of
    two neighbours would make a block longer than it should be, the mean distance one over a gap of months shorter.
    """
    if times.size < 2:
        return 1
    step = float(np.median(np.diff(times).astype("timedelta64[ns]").astype(float)))
    length = block_days * float(np.timedelta64(1, "D") / np.timedelta64(1, "ns"))
    since = (times - times[0]).astype("timedelta64[ns]").astype(float)
    whole = np.flatnonzero(since + length <= since[-1] + step)
    if not whole.size:
        return max(1, round(length / step))
    dates = np.searchsorted(since, since[whole] + length) - whole
    return max(1, round(float(np.median(dates))))


def block_weights(dates: int, block: int, *, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return how often each date occurs in each resample, shape (resamples, dates); each row sums to ``dates``."""
    generator = np.random.default_rng(seed)
    blocks = -(-dates // block)
    starts = generator.integers(0, dates, size=(resamples, blocks))
    drawn = ((starts[..., None] + np.arange(block)) % dates).reshape(resamples, -1)[:, :dates]
    flat = drawn + dates * np.arange(resamples)[:, None]
    counted = np.bincount(flat.ravel(), minlength=resamples * dates)
    return counted.reshape(resamples, dates).astype(float)


def pool(counts: xr.Dataset, weights: NDArray[np.float64] | None = None) -> dict[str, NDArray[np.float64]]:
    """Sum counts over dates, once per row of ``weights`` (once, each date counting one, if there are none).

    Counts are integers, so that the sums are exact and depend on no order of dates or threads.
    """
    rows = np.ones((1, counts.sizes["time"])) if weights is None else weights
    pooled = {}
    for name, variable in counts.data_vars.items():
        values = variable.transpose("time", ...).values.astype(float)
        pooled[str(name)] = (rows @ values.reshape(len(values), -1)).reshape(len(rows), *values.shape[1:])
    return pooled


@lru_cache(maxsize=64)
def stretch(dates: int, block: int, confidence: float) -> float:
    """Return the factor by which deviations of resampled values are stretched, at least 1.

    It is found by simulating AR(1) series with the autocorrelation exp(-2 lag / block): the quantile of the
    distance between their mean and the truth in units of their own resampled standard deviation, over the normal
    quantile. The resampled variance of a mean needs no resampling: it is the variance of all circular block means.
    """
    # Here, since every command plans, and not every environment holds scipy.
    from scipy.signal import lfilter
    from scipy.stats import norm

    generator = np.random.default_rng(_CALIBRATION_SEED)
    persistence = np.exp(-_HALF_BLOCK / block)
    noise = generator.standard_normal((min(_SIMULATIONS, max(1000, _SIMULATED_VALUES // dates)), dates))
    noise[:, 1:] *= np.sqrt(1 - persistence**2)
    series = lfilter([1.0], [1.0, -persistence], noise, axis=1)
    distance = np.abs(series.mean(axis=1)) / np.sqrt(_resampled_variance(series, block))
    return max(1.0, float(np.quantile(distance, confidence) / norm.ppf((1 + confidence) / 2)))


def _resampled_variance(series: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """Variance of the mean over all resamples of each row, in closed form."""
    dates = series.shape[1]
    sums = np.cumsum(np.concatenate([np.zeros((len(series), 1)), series, series], axis=1), axis=1)

    def variance(length: int) -> NDArray[np.float64]:
        totals = sums[:, length : length + dates] - sums[:, :dates]
        return np.asarray(totals.var(axis=1) / dates**2)

    whole, rest = divmod(dates, block)
    return np.asarray(whole * variance(block) + (variance(rest) if rest else 0.0))


def draws_of(
    estimates: NDArray[np.float64], resampled: NDArray[np.float64], *, factor: float, generator: np.random.Generator
) -> Draws:
    """Return draws of a model's value that carry the spread over dates and between seeds.

    Parameters
    ----------
    estimates
        The metric on the real dates, one value per seed.
    resampled
        The metric on each resample of the dates, shape (seeds, resamples).
    factor
        The calibration factor of :func:`stretch`.
    generator
        Source of the seeds' part. Two models drawn from generators in the same state are paired seed by seed.
    """
    seeds, resamples = resampled.shape
    value = float(np.mean(estimates))
    draws: Draws = value + factor * (resampled.mean(axis=0) - value)
    if seeds > 1:
        # Normal with the standard error between seeds, as the sum of their squared deviations is (seeds - 1) variances;
        # over a root of chi squared, it is Student's t.
        normal = (estimates - value) @ generator.standard_normal((seeds, resamples)) / np.sqrt(seeds * (seeds - 1))
        draws = draws + normal / np.sqrt(generator.chisquare(seeds - 1, resamples) / (seeds - 1))
    return draws


def interval(draws: Draws, confidence: float) -> tuple[float, float]:
    """Return the central interval of draws; NaN if fewer than half of them are defined."""
    defined = draws[np.isfinite(draws)]
    if defined.size < MIN_DEFINED * draws.size:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


class Resampling:
    """The resamples of one set of dates: the same for every competitor, so that differences are paired."""

    def __init__(self, times: NDArray[np.datetime64], options: IntervalOptions) -> None:
        self.options = options
        self.dates = int(times.size)
        self.block = block_length(times, options.block_days)
        self.blocks = self.dates / self.block
        self.usable = self.blocks >= MIN_BLOCKS
        self.weights = block_weights(
            self.dates, min(self.block, self.dates), resamples=options.resamples, seed=options.seed
        )
        self.factor = stretch(self.dates, self.block, options.confidence) if self.usable else float("nan")

    def draws(self, estimates: NDArray[np.float64], resampled: NDArray[np.float64], *, seeds: Sequence[int]) -> Draws:
        """Return :func:`draws_of` with this resampling's factor; competitors of the same seeds are paired by them."""
        generator = np.random.default_rng([self.options.seed, *seeds])
        return draws_of(estimates, resampled, factor=self.factor, generator=generator)
