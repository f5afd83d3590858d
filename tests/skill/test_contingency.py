"""Scores of yes-or-no forecasts against loops and against the packages `scores` and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from scores.categorical import BinaryContingencyManager
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from pipeline_lib.skill.contingency import accuracy, contingency, csi, f1, far, frequency_bias, gss, hss, pod
from tests.skill.cases import cases, draw, pooled

THRESHOLDS = (0.1, 0.5, 0.8)
SCORES = (csi, pod, far, frequency_bias, hss, gss, accuracy, f1)
NAMES = ("hits", "false_alarms", "misses", "correct_negatives")


def by_hand(forecast, truth, threshold, valid):
    counts = dict.fromkeys(NAMES, 0)
    for p, t, counted in zip(forecast.ravel(), truth.ravel(), valid.ravel(), strict=True):
        if counted:
            counts[NAMES[(p < threshold) * 2 + (t < threshold)]] += 1
    return counts


@given(cases)
def test_counts_are_those_of_a_loop(case):
    counts = contingency(case[0], case[1], THRESHOLDS, case[2])
    for frame, parts in enumerate(zip(*case, strict=True)):
        for i, threshold in enumerate(THRESHOLDS):
            wanted = by_hand(parts[0], parts[1], threshold, parts[2])
            assert {name: counts[name][frame, i] for name in NAMES} == wanted


@settings(max_examples=30)
@given(cases)
def test_scores_are_those_of_another_library(case):
    forecast, truth, valid = case
    counts = pooled(contingency(forecast, truth, (0.5,), valid))
    as_events = [xr.DataArray(np.where(valid, values >= 0.5, np.nan).ravel()) for values in (forecast, truth)]
    other = BinaryContingencyManager(*as_events)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = [
            (csi, other.critical_success_index()),
            (pod, other.probability_of_detection()),
            (far, other.false_alarm_ratio()),
            (frequency_bias, other.frequency_bias()),
            (hss, other.heidke_skill_score()),
            (gss, other.gilberts_skill_score()),
        ]
        for ours, theirs in pairs:
            theirs = theirs.item()
            # Theirs is infinite for forecasts of what never happens; ours is undefined.
            wanted = theirs if np.isfinite(theirs) else np.nan
            np.testing.assert_allclose(ours(counts)[0], wanted, rtol=1e-9, atol=1e-12, err_msg=ours.__name__)


@settings(max_examples=30)
@given(cases)
def test_scores_of_masks_are_those_of_scikit_learn(case):
    forecast, truth, valid = case
    assume(valid.any())
    counts = pooled(contingency(forecast, truth, (0.5,), valid))
    said, was = ((values[valid] >= 0.5).astype(int) for values in (forecast, truth))
    assert accuracy(counts)[0] == pytest.approx(accuracy_score(was, said))
    nan = {"zero_division": np.nan}
    assert f1(counts)[0] == pytest.approx(f1_score(was, said, **nan), nan_ok=True)
    # Recall and precision need no metrics of their own.
    assert pod(counts)[0] == pytest.approx(recall_score(was, said, **nan), nan_ok=True)
    assert 1 - far(counts)[0] == pytest.approx(precision_score(was, said, **nan), nan_ok=True)


@given(cases)
def test_the_gilbert_score_is_the_equitable_threat_score(case):
    counts = pooled(contingency(case[0], case[1], (0.5,), case[2]))
    a, b, c, d = (counts[name][0] for name in NAMES)
    assume(a + b + c + d > 0)
    by_chance = (a + b) * (a + c) / (a + b + c + d)
    assume(abs(a + b + c - by_chance) > 1e-9)
    assert gss(counts)[0] == pytest.approx((a - by_chance) / (a + b + c - by_chance), rel=1e-9, abs=1e-12)


def test_a_table_by_hand():
    # Finley's tornadoes, the table of textbooks: 28 hits, 72 false alarms, 23 misses, 2680 correct negatives.
    counts = dict(zip(NAMES, np.array([28.0, 72.0, 23.0, 2680.0]), strict=True))
    got = {score.__name__: round(float(score(counts)), 3) for score in SCORES}
    assert got == {
        "csi": 0.228,
        "pod": 0.549,
        "far": 0.720,
        "frequency_bias": 1.961,
        "hss": 0.355,
        "gss": 0.216,
        "accuracy": 0.966,
        "f1": 0.371,
    }


@given(cases)
def test_a_perfect_forecast(case):
    _, truth, valid = case
    counts = pooled(contingency(truth, truth, THRESHOLDS, valid))
    happened = counts["hits"] > 0
    for score, best in [(csi, 1), (pod, 1), (far, 0), (frequency_bias, 1)]:
        np.testing.assert_array_equal(score(counts), np.where(happened, best, np.nan))
    either = happened & (counts["correct_negatives"] > 0)
    for score in (hss, gss):
        np.testing.assert_allclose(score(counts), np.where(either, 1, np.nan), rtol=1e-12)


def test_a_threshold_belongs_to_the_event():
    counts = contingency([[0.5]], [[0.5]], (0.5,))
    assert counts["hits"] == 1


def test_scores_of_nothing_are_undefined():
    _, truth, _ = draw(0)
    dry = pooled(contingency(0 * truth, 0 * truth, THRESHOLDS))
    nowhere = pooled(contingency(truth, truth, THRESHOLDS, np.zeros(truth.shape, bool)))
    for score in SCORES:
        if score is not accuracy:  # to forecast nothing where nothing happens is right
            assert np.isnan(score(dry)).all(), score.__name__
        assert np.isnan(score(nowhere)).all(), score.__name__
