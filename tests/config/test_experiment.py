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
