"""Experiments: what the task adds to the checks of the file."""

from __future__ import annotations

import pytest
import yaml

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
