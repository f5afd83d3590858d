"""Counts of each image, against a loop over images, and the metrics made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import DataError, ScoreError
from pipeline_lib.metrics import METRICS
from pipeline_lib.score.bootstrap import Resampling
from pipeline_lib.score.gate import InvalidRunError
from pipeline_lib.score.leaderboard import leaderboard
from pipeline_lib.tasks.classification.options import ScoringOptions
from pipeline_lib.tasks.classification.score import BINS, score_stores
from tests.tasks.classification.stores import stores, times
from tests.tasks.metrics_of import metrics_of


def counts_of(product, dataset):
    return score_stores(product, None, dataset, ScoringOptions(), where="model")[0]


def pooled(product, dataset):
    return {str(n): v.sum("time").values[None] for n, v in counts_of(product, dataset).data_vars.items()}


def value(metric, product, dataset):
    return METRICS.get(metric).from_counts(pooled(product, dataset))[0]


@given(seed=st.integers(0, 10**6))
def test_metrics_are_those_of_a_loop(seed):
    product, dataset = stores(seed)
    logs, truth = product.log_probability.values.astype(float), dataset.label.values.astype(int)
    wrong, entropy = 0, 0.0
    bins = [[0.0, 0] for _ in range(BINS)]
    for row, label in zip(logs.tolist(), truth.tolist(), strict=True):
        best = row.index(max(row))
        wrong += best != label
        entropy -= row[label]
        sure = math.exp(row[best])
        chosen = next(b for b in range(BINS) if sure <= (b + 1) / BINS or b == BINS - 1)
        bins[chosen][0] += sure
        bins[chosen][1] += best == label
    assert value("error_rate", product, dataset) == wrong / 60
    assert value("cross_entropy", product, dataset) == pytest.approx(entropy / 60, rel=1e-9)
    expected = sum(abs(sure - right) for sure, right in bins) / 60
    assert value("calibration_error", product, dataset) == pytest.approx(expected, rel=1e-9)


def test_a_perfect_answer_has_no_error_of_any_kind():
    product, dataset = stores()
    truth = dataset.label.values.astype(int)
    product["log_probability"][:] = np.where(np.arange(4) == truth[:, None], 0.0, -200.0)
    assert [value(name, product, dataset) for name in sorted(metrics_of("classification"))] == [0, 0, 0]


def test_a_sure_and_wrong_answer_costs_what_it_should_and_stays_finite():
    product, dataset = stores()
    truth = dataset.label.values.astype(int)
    product["log_probability"][:] = np.where(np.arange(4) == (truth[:, None] + 1) % 4, 0.0, -200.0)
    assert value("error_rate", product, dataset) == 1
    assert value("cross_entropy", product, dataset) == 200
    assert value("calibration_error", product, dataset) == 1


def test_sums_do_not_depend_on_the_order():
    values = counts_of(*stores(count=1000)).cross_entropy.values
    assert values.sum() == values[::-1].sum() == sum(values.tolist())


def test_other_options_of_intervals_leave_blocks_at_single_images():
    options = ScoringOptions.model_validate({"intervals": {"resamples": 4000}}).intervals
    assert (options.resamples, options.block_days) == (4000, ScoringOptions().intervals.block_days)
    assert ScoringOptions.model_validate({"intervals": {"block_days": 2.0}}).intervals.block_days == 2.0


def test_blocks_are_single_images_and_intervals_those_of_independent_ones():
    options = ScoringOptions().intervals
    resampling = Resampling(times(500), options)
    assert resampling.block == 1
    # Weak correlation at most is allowed for; 60 errors in 500 have a standard error of sqrt(p (1 - p) / n).
    product, dataset = stores(seed=3, count=500)
    counts = counts_of(product, dataset)
    board = leaderboard({("model", 0): counts}, metrics=["error_rate"], options=options).table.iloc[0]
    p = board["value"]
    width = 2 * 1.96 * math.sqrt(p * (1 - p) / 500)
    assert width < board["ci_high"] - board["ci_low"] < 1.5 * width


def test_what_is_not_finite_makes_the_run_invalid():
    product, dataset = stores()
    product["log_probability"][7, 2] = -np.inf
    with pytest.raises(InvalidRunError, match=r"1 of 60 images have .* not finite, the first on 2001-02-01T02:37:30"):
        counts_of(product, dataset)


def test_what_cannot_be_compared_is_refused():
    product, dataset = stores()
    with pytest.raises(ScoreError, match="model: has other times than the dataset; predict again"):
        counts_of(product.assign_coords(time=product.time + np.timedelta64(1, "s")), dataset)
    with pytest.raises(ScoreError, match="was trained for 'label', of which the dataset holds no classes"):
        counts_of(product, dataset.drop_vars("label"))
    product["log_probability"][3] = -0.5
    with pytest.raises(ScoreError, match="do not sum to 1 on 2001-02-01T01:07:30"):
        counts_of(product, dataset)


@pytest.mark.parametrize("wrong", [9, 4, -1, 0.6, np.nan])
def test_a_truth_that_is_no_class_is_refused(wrong):
    product, dataset = stores()
    dataset.label[7] = wrong
    with pytest.raises(DataError, match=rf"target: label: holds {wrong:g}, not a class from 0 to 3"):
        counts_of(product, dataset)


def test_runs_on_other_truths_do_not_compare():
    product, dataset = stores()
    _, one = score_stores(product, None, dataset, ScoringOptions(), where="a")
    _, other = score_stores(product, None, dataset.assign(label=(dataset.label + 1) % 4), ScoringOptions(), where="b")
    assert one.truths != other.truths
    assert one.cells == (1,) * 60
