"""The sentences that open the page: ties, leads, invalid models and missing intervals are told as they are."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline_lib.config.experiment import DateRange, Experiment
from pipeline_lib.report.board import Board, Cell
from pipeline_lib.report.context import Competitor, MetricInfo, ReportContext, Run
from pipeline_lib.report.figures.leaderboard import draw_leaderboard
from pipeline_lib.report.numbers import as_printed, listed, show
from pipeline_lib.report.words import period_words, range_words, result_sentences

METRIC = MetricInfo(title="Mean Dice")


def context(*values: tuple[str, str, str, str, int], invalid: dict[str, str] | None = None, blocks: float = 20.0):
    """A context with one metric; each value is (model, value, low, high, rank)."""
    invalid = invalid or {}
    cells, ranks = [], {}
    for model, value, low, high, rank in values:
        numbers = {"value": value, "ci_low": low, "ci_high": high, "published": "", "comparable": ""}
        cells.append(Cell(model, "mean_dice", {"model": model, "seed_count": "1", "n": "25", **numbers}))
        ranks[("mean_dice", model)] = rank
    names = [*(v[0] for v in values), *invalid]
    spec = Experiment.model_validate(
        {
            "title": "t", "task": "segmentation", "source": "s", "inputs": ["adt"], "models": names or ["a"],
            "split": {
                "train": ["2005-01-01", "2005-01-31"],
                "validation": ["2005-03-01", "2005-03-10"],
                "test": ["2005-06-01", "2005-06-25"],
            },
        }
    )  # fmt: skip
    return ReportContext(
        spec=spec,
        board=Board(tuple(cells), ranks, invalid, {"blocks": blocks}),
        competitors=tuple(Competitor(n, n.upper(), "#000000", (), {}, invalid.get(n, "")) for n in names),
        datasets=(),
        labels=(),
        metrics={"mean_dice": METRIC},
    )


def words(*values: tuple[str, str, str, str, int], **others) -> str:
    return re.sub(r"<[^>]*>", "", " ".join(result_sentences(context(*values, **others))))


def test_a_lead_is_a_lead():
    said = words(("a", "0.771234", "0.74", "0.8", 1), ("b", "0.52", "0.4999", "0.55", 2))
    assert said == (
        "On 25 days that no model was trained on, A reaches 0.771 [0.740, 0.800] in mean Dice; B 0.520 [0.500, 0.550]."
        " The lead of A over every other model is larger than its uncertainty."
    )


def test_the_last_of_many_are_summed_up_and_one_alone_is_named():
    many = [(name, f"0.{9 - i}1", "", "", i + 1) for i, name in enumerate("abcdef")]
    assert "D 0.610; the other 2 lie between 0.410 and 0.510." in words(*many)
    assert "D 0.610; E 0.510." in words(*many[:5])
    lower = [(name, f"0.{i}1", "", "", i + 1) for i, name in enumerate("abcdef")]
    assert "the other 2 lie between 0.410 and 0.510." in words(*lower)
    last = ("f", "undefined", "", "", 6)
    assert "D 0.610; E 0.510; it is undefined for F." in words(*many[:5], last)
    seven = [*many, ("g", "undefined", "", "", 7)]
    assert "D 0.610; the other 2 lie between 0.410 and 0.510; it is undefined for G." in words(*seven)


def test_models_that_were_trained_once_are_named():
    told = context(("a", "0.77", "0.74", "0.8", 1), ("b", "0.5", "0.4", "0.6", 2), ("c", "0.4", "0.3", "0.5", 3))
    trained = Run(0, history=pd.DataFrame({"epoch": [1], "train_loss": [0.3]}))
    runs = {"a": (trained, replace(trained, seed=1)), "b": (trained,), "c": (Run(0),)}

    def said(**runs) -> str:
        competitors = tuple(replace(c, runs=runs[c.name]) for c in told.competitors)
        return " ".join(result_sentences(replace(told, competitors=competitors)))

    assert "B was trained with one seed: intervals and ranks do not tell what another would change." in said(**runs)
    assert "A and B were trained with one seed" in said(**{**runs, "a": (trained,)})
    assert "one seed" not in said(**{**runs, "b": runs["a"]})


def test_a_tie_is_a_tie():
    three = (("a", "0.77", "0.7", "0.8", 1), ("b", "0.76", "0.7", "0.8", 1), ("c", "0.75", "0.7", "0.8", 1))
    assert "A and B tie: the interval of their difference in mean Dice holds zero." in words(*three[:2])
    assert "A, B and C tie: " in words(*three)
    assert "larger than its uncertainty" not in words(*three)


def test_without_intervals_nobody_leads():
    said = words(("a", "0.77", "", "", 1), ("b", "0.5", "", "", 1))
    assert "A reaches 0.770 in mean Dice; B 0.500." in said
    assert "A and B are not ranked: there are too few days for an interval." in said


def test_an_only_model_leads_nobody():
    said = words(("a", "0.77", "0.7", "0.8", 1))
    assert "tie" not in said
    assert "lead" not in said


def test_a_note_about_the_experiment_is_the_last_sentence_and_escaped():
    told = replace(context(("a", "0.77", "0.74", "0.8", 1)), notes=("'b' is <the same> as 'a'",))
    assert result_sentences(told)[-1] == "&#39;b&#39; is &lt;the same&gt; as &#39;a&#39;."


def test_few_blocks_are_a_warning():
    assert "only about 2.5 independent blocks" in words(("a", "0.77", "0.1", "1", 1), blocks=2.5)
    assert "blocks" not in words(("a", "0.77", "0.1", "1", 1), blocks=5.0)


NIGHT = {"dates": ["2010-08-26T05:30", "2010-08-26T05:55"], "date_count": 6}


def test_a_night_of_frames_has_no_days():
    told = context(("a", "0.77", "", "", 1), ("b", "0.5", "", "", 1), blocks=2.5)
    told = replace(told, board=replace(told.board, content={**NIGHT, "blocks": 2.5}))
    said = re.sub(r"<[^>]*>", "", " ".join(result_sentences(told)))
    assert "On 25 times that no model was trained on" in said
    assert "there are too few times for an interval" in said
    assert "Neighbouring times look alike: those of the test hold only about 2.5 independent blocks" in said
    assert "day" not in said + draw_leaderboard(told).caption
    assert "Scores on the times of the test" in draw_leaderboard(told).caption
    assert "Scores on the days of the test" in draw_leaderboard(context(("a", "0.77", "0.7", "0.8", 1))).caption


def test_ranges_are_told_to_the_minute_where_they_have_one():
    assert period_words(NIGHT) == "2010-08-26 05:30 to 2010-08-26 05:55"
    assert period_words({**NIGHT, "dates": ["2010-08-26T05:30", "2010-09-03T05:55"]}) == "2010-08-26 to 2010-09-03"
    night = DateRange.model_validate(["2010-08-26 00:00", "2010-08-26 02:55"])
    assert range_words(night) == "2010-08-26 00:00 to 2010-08-26 02:55"
    assert range_words(DateRange.model_validate(["2005-01-01", "2005-01-31"])) == "2005-01-01 to 2005-01-31"


def test_undefined_and_invalid_values_get_no_number():
    said = words(("a", "0.77", "0.7", "0.8", 1), ("b", "undefined", "", "", 2), invalid={"c": "a cell is missing."})
    assert "B undefined" in said
    assert said.endswith("C is invalid and has no score: a cell is missing.")


def test_no_model_no_result():
    assert words() == "No competitor has a valid score yet, so there is no result to state."


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.7716, "1", "0.772"),
        (-0.0, "1", "0.000"),
        (-0.0004, "1", "−0.0004"),
        (0.01234, "1", "0.012"),
        (2.346e-6, "1", "2.35 × 10⁻⁶"),
        (-1.5e9, "m", "−1.5 × 10⁹"),
        (-0.5, "km", "−0.50"),
        (12.345, "km", "12.35"),
        (float("nan"), "1", "–"),
        (2, "m", "2"),
        (0.9945, "1", "0.995"),
        (np.float64(0.9945), "1", "0.995"),
    ],
)
def test_numbers_are_rounded_for_reading(value: float, unit: str, text: str):
    assert show(value, unit) == text


def test_published_numbers_keep_their_digits():
    assert [as_printed(v) for v in (0.5, 0.9945, 2136.0, -1.5e-7)] == ["0.5", "0.9945", "2136", "−1.5 × 10⁻⁷"]


def test_lists():
    assert [listed(list(s)) for s in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
