"""Experiments: what the task adds to the checks of the file."""

from __future__ import annotations

from datetime import date, datetime

import pytest
import yaml
from pydantic import ValidationError

from pipeline_lib.config.experiment import Split
from pipeline_lib.config.loader import load_experiment
from pipeline_lib.errors import ConfigError
from pipeline_lib.tasks.segmentation import Segmentation
from tests.workflow.project import experiment


def test_splits_are_apart_by_the_gap_and_by_what_a_sample_reaches(tmp_path, monkeypatch):
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump({**experiment(), "models": ["eddynet"]}))  # 10 days between the nearest splits
    load_experiment(file)
    monkeypatch.setattr(Segmentation, "reach_days", staticmethod(lambda training: training.patch // 16))  # 2 days
    with pytest.raises(
        ConfigError, match=r"10 days lie between train .* 12 are needed: start validation on 2005-05-03"
    ):
        load_experiment(file)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"scoring": {"metrics": ["mean_dice"]}},
            "tiny: scoring.metrics: mean_dice is no metric of task dynamics; choose",
        ),
        (
            {"scoring": {"metrics": ["rmse_28"]}, "training": {"forecast_steps": 5}},
            "tiny: models.linear.training.forecast_steps: is 5, and rmse_28 needs 28",
        ),
        (
            {"scoring": {"metrics": ["valid_steps"]}},
            "tiny: models.linear.training.free_run: is not set, and valid_steps needs free runs",
        ),
        (
            {"training": {"history": 16}},
            "tiny: models.linear.training.history: is 16, and Linear map sees the present state alone; leave it out",
        ),
        (
            {"models": [{"name": "mlp", "model": "perceptron", "options": {"past": 3}}]},
            "tiny: models.mlp.options.past: is 3, forecasts start from 1; set training.history to 3 or more",
        ),
        ({"training": {"free_run": 0.01}}, "free_run is 0.01, not two or more whole steps of 0.01"),
        ({"training": {"free_run": 0.105}}, "free_run is 0.105, not two or more whole steps of 0.01"),
        ({"training": {"free_run": 40.0}}, "less than or equal to 28"),
    ],
)
def test_metrics_that_nothing_can_be_scored_by_are_told_before_anything_runs(changes, line, tmp_path):
    tiny = {key: value for key, value in experiment().items() if key in {"title", "source", "split"}}
    tiny["split"]["gap_days"] = 0
    tiny |= {"task": "dynamics", "inputs": ["state"], "models": [{"name": "linear", "model": "linear_map"}]}
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(tiny))
    load_experiment(file)
    file.write_text(yaml.safe_dump(tiny | changes))
    with pytest.raises(ConfigError) as caught:
        load_experiment(file)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("block", "key"), [({"alert": {"window_days": 5}}, "alert"), ({"retrain": {"when": "skill"}}, "retrain.when")]
)
def test_what_watches_scores_is_refused_where_periods_are_not_scored(block, key, tmp_path):
    tiny = {k: value for k, value in experiment().items() if k in {"title", "source", "split"}}
    tiny["split"]["gap_days"] = 0
    tiny |= {"task": "dynamics", "inputs": ["state"], "models": [{"name": "linear", "model": "linear_map"}]}
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump({**tiny, "operations": {"start": "2005-07-01"}}))
    load_experiment(file)
    file.write_text(yaml.safe_dump({**tiny, "operations": {"start": "2005-07-01", **block}}))
    with pytest.raises(
        ConfigError, match=rf"operations\.{key}: periods of task dynamics are predicted, but not scored"
    ):
        load_experiment(file)


def test_a_model_s_own_training_changes_single_options_of_a_block(tmp_path):
    tiny = experiment()
    twin = {
        **{key: tiny[key] for key in ("title", "source")},
        "split": {**tiny["split"], "gap_days": 0},
        "task": "assimilation",
        "inputs": ["state", "observation"],
        "training": {"assimilation": {"window": 200, "members": 30}},
        "models": [{"name": "truth", "model": "known_dynamics", "training": {"assimilation": {"members": 50}}}],
    }
    file = tmp_path / "twin.yaml"
    file.write_text(yaml.safe_dump(twin))
    method = load_experiment(file).training("truth").assimilation
    assert (method.window, method.members) == (200, 50)


def split(train, validation, test, gap_days=0.0):
    return Split.model_validate({"train": train, "validation": validation, "test": test, "gap_days": gap_days})


def test_a_day_can_be_cut_into_blocks():
    made = split(
        ["2010-08-26 00:00", "2010-08-26 02:55"],
        ["2010-08-26T03:00", "2010-08-26T05:05"],
        ["2010-08-26 05:10", "2010-08-26"],
    )
    assert made.train.first == datetime(2010, 8, 26)
    assert made.train.last == datetime(2010, 8, 26, 2, 55)
    assert (made.test.first, made.test.last) == (datetime(2010, 8, 26, 5, 10), date(2010, 8, 26))
    assert Split.model_validate(made.model_dump(mode="json")) == made
    whole = split(["2010-01-01", "2010-01-05"], ["2010-01-06", "2010-01-07"], ["2010-01-08", "2010-01-09"])
    assert whole.model_dump(mode="json")["train"] == {"start": "2010-01-01", "end": "2010-01-05"}


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ((["2010-08-26 02:00", "2010-08-26 01:00"], ["2010-08-27"] * 2, ["2010-08-28"] * 2), "before it starts"),
        (
            (["2010-08-26 00:00", "2010-08-26 03:00"], ["2010-08-26 03:00", "2010-08-26 05:00"], ["2010-08-27"] * 2),
            "train and validation overlap: train ends 2010-08-26 03:00:00, validation starts 2010-08-26 03:00:00",
        ),
        (
            (["2010-08-26", "2010-08-26"], ["2010-08-26 03:00", "2010-08-26 05:00"], ["2010-08-27"] * 2),
            "train and validation overlap: train ends 2010-08-26, validation starts 2010-08-26 03:00:00",
        ),
    ],
)
def test_blocks_of_a_day_may_not_touch(ranges, told):
    with pytest.raises(ValidationError, match=told):
        split(*ranges, gap_days=0.01)


def test_gaps_between_blocks_of_a_day_are_parts_of_days():
    ranges = (
        ["2010-08-26 00:00", "2010-08-26 03:00"],
        ["2010-08-26 06:00", "2010-08-26 09:00"],
        ["2010-08-26 12:00"] * 2,
    )
    with pytest.raises(ValidationError, match="before it starts"):
        split(*ranges)
    ranges = (*ranges[:2], ["2010-08-26 12:00", "2010-08-26 13:00"])
    split(*ranges, gap_days=0.125)
    with pytest.raises(
        ValidationError, match=r"0\.125 days lie between train .* 0\.2 are needed: start .* 07:48:00 or later"
    ):
        split(*ranges, gap_days=0.2)


COMPARED = {
    "dynamics": ("linear_map", {"free_run": 1.0}, {"free_run": 2.0}, "free_run: is 2.0, that of one 1.0"),
    "history": ("recurrent", {"history": 16}, {"history": 8}, "history: is 8, that of one 16"),
    "runs of some": ("linear_map", {"free_run": 1.0}, {}, "free_run: is not set, that of one 1.0"),
    "assimilation": (
        "known_dynamics",
        {"assimilation": {"start": "truth"}},
        {"assimilation": {"inflation": 1.1}},
        "assimilation.start: is climatology, that of one truth",
    ),
}


@pytest.mark.parametrize("name", COMPARED)
def test_what_scores_cannot_be_compared_without_is_the_same_for_all(name, tmp_path):
    model, one, two, line = COMPARED[name]
    tiny = {key: value for key, value in experiment().items() if key in {"title", "source", "split"}}
    task = "assimilation" if name == "assimilation" else "dynamics"
    tiny |= {"task": task, "inputs": ["state", "observation"], "split": {**tiny["split"], "gap_days": 0}}
    file = tmp_path / "tiny.yaml"
    alike = {**one, "noise": 0.5}
    for second in (alike, two):
        both = [{"name": n, "model": model, "training": t} for n, t in (("one", one), ("two", second))]
        file.write_text(yaml.safe_dump(tiny | {"models": both}))
        if second is alike:
            load_experiment(file)
    with pytest.raises(ConfigError) as caught:
        load_experiment(file)
    told = f"tiny: models.two.training.{line}: scores could not be compared; give all models the same"
    assert told in str(caught.value)
