"""Competitors that would do the same work twice are one, and the reader is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.plan import load_plan
from tests.workflow.project import edit_yaml, experiment, snakemake, write_project

NOTE = "'again' is the same model with the same options as 'eddynet': run once, as 'eddynet'"


def loaded(folder: Path, models: list, **changes: object):
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump({**experiment(), "models": models, **changes}))
    return load_experiment(file)


def test_two_names_for_one_model_are_run_once_with_a_note(tmp_path):
    found = loaded(tmp_path, ["eddynet", {"name": "again", "model": "eddynet", "label": "Again"}, "okubo_weiss"])
    assert found.spec.names == ["eddynet", "okubo_weiss"]
    assert found.notes == (NOTE,)


@pytest.mark.parametrize(
    "change",
    [{"training": {"learning_rate": 0.01}}, {"options": {"filters": 8}}, {"model": "eddynet_s"}],
    ids=["training", "options", "model"],
)
def test_any_difference_that_counts_keeps_them_apart(tmp_path, change):
    found = loaded(tmp_path, ["eddynet", {"name": "again", "model": "eddynet", **change}])
    assert found.spec.names == ["eddynet", "again"]
    assert found.notes == ()


def test_defaults_written_out_are_no_difference(tmp_path):
    options = loaded(tmp_path, ["eddynet"]).model_options("eddynet").model_dump(mode="json")
    found = loaded(tmp_path, ["eddynet", {"name": "again", "model": "eddynet", "options": options}])
    assert found.notes == (NOTE,)


def test_training_options_of_a_model_without_training_are_no_difference(tmp_path):
    other = {"name": "again", "model": "okubo_weiss", "training": {"learning_rate": 0.01}}
    assert loaded(tmp_path, ["eddynet", "okubo_weiss", other]).spec.names == ["eddynet", "okubo_weiss"]


def test_seeds_of_both_are_kept_each_once(tmp_path):
    again = {"name": "again", "model": "eddynet", "seeds": [1, 2]}
    found = loaded(tmp_path, ["eddynet", again], seeds=[0, 1])
    assert found.spec.seeds_of("eddynet") == [0, 1, 2]


def test_the_plan_says_so_and_trains_once(tmp_path, monkeypatch, caplog):
    folder = write_project(tmp_path)
    edit_yaml(folder / "config/experiments/tiny.yaml", models=["eddynet", {"name": "again", "model": "eddynet"}])
    monkeypatch.chdir(folder)
    assert load_plan({"experiments": ["tiny"]}).runs("tiny") == [("eddynet", 0)]
    assert f"tiny: {NOTE}" in caplog.text


@pytest.mark.slow
def test_the_workflow_shows_the_note(tmp_path):
    folder = write_project(tmp_path)
    edit_yaml(folder / "config/experiments/tiny.yaml", models=["eddynet", {"name": "again", "model": "eddynet"}])
    done = snakemake(folder, "--dry-run")
    assert f"tiny: {NOTE}" in done.stdout
    assert "again" not in done.stdout.replace(NOTE, "")


def test_a_new_note_makes_the_report_again(tmp_path, monkeypatch):
    folder = write_project(tmp_path)
    monkeypatch.chdir(folder)

    def keys() -> tuple[str, ...]:
        plan = load_plan({"experiments": ["tiny"]})
        run = {"experiment": "tiny", "model": "eddynet", "seed": "0"}
        return (
            plan.key("report", experiment="tiny"),
            plan.key("train", **run),
            plan.key("leaderboard", experiment="tiny"),
        )

    models = ["eddynet", "okubo_weiss", {"name": "again", "model": "okubo_weiss"}]
    edit_yaml(folder / "config/experiments/tiny.yaml", models=models)
    before = keys()
    edit_yaml(folder / "config/experiments/tiny.yaml", models=[*models, {"name": "thrice", "model": "okubo_weiss"}])
    after = keys()
    assert [a == b for a, b in zip(after, before, strict=True)] == [False, True, True]
