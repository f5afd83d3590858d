"""Mistakes in experiments, catalogs and arguments through the command line: exit code 2, one line, nothing written."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.faults.project import Project, command
from tests.workflow.project import experiment

SPLIT = experiment()["split"]


def changed(**keys: object) -> str:
    return yaml.safe_dump({**experiment(), **keys})


EXPERIMENTS = {
    "unknown key": (changed(modles=[]), "modles: unknown key; did you mean 'models'"),
    "unknown key below": (changed(split={**SPLIT, "gap_day": 1}), r"split\.gap_day: unknown .* mean 'gap_days'"),
    "unknown key of a task": (changed(training={"ptach": 1}), r"training\.ptach: unknown key; did you mean 'patch'"),
    "unknown key of a labeller": (
        changed(labels={"labeller": "okubo_weiss", "options": {"factr": 1}}),
        r"labels\.options\.factr: unknown key",
    ),
    "unknown model": (changed(models=["eddynett"]), "unknown model 'eddynett'; did you mean 'eddynet'"),
    "negative epochs": (changed(training={"max_epochs": -1}), r"training\.max_epochs: .*\(got -1\)"),
    "a word for a number": (changed(training={"max_epochs": "many"}), r"training\.max_epochs: .*integer.*'many'"),
    "no such date": (changed(split={**SPLIT, "train": ["2005-04-01", "2005-04-31"]}), r"split\.train"),
    "ends before it starts": (changed(split={**SPLIT, "train": ["2005-04-20", "2005-04-01"]}), r"split\.train"),
    "overlap": (changed(split={**SPLIT, "validation": ["2005-04-20", "2005-04-22"]}), "train and validation overlap"),
    "test first": (
        changed(split={**SPLIT, "train": ["2005-05-20", "2005-05-25"], "validation": ["2005-06-10", "2005-06-11"],
                       "test": ["2005-04-01", "2005-04-20"]}),
        "test lies before train",
    ),
    "secret": (changed(password="hunter2"), r"password: .*secret"),  # noqa: S106
    "empty": ("", "is empty|mapping"),
    "a list": ("- 1\n", "mapping"),
    "not YAML": ("title: [", r"tiny\.yaml:1: is not valid YAML"),
    "key twice": ("title: a\ntitle: b\n", "tiny.yaml:2: key 'title' is already on line 1"),
}  # fmt: skip


def refused(done: object, message: str) -> None:
    assert done.code == 2, done.problems
    assert len(done.problems) == 1, done.problems
    assert re.search(message, done.problems[0]), done.problems[0]
    assert "hunter2" not in done.problems[0]


@pytest.mark.parametrize("case", EXPERIMENTS)
def test_statistics_of_a_bad_experiment(tmp_path, case):
    text, message = EXPERIMENTS[case]
    file = tmp_path / "tiny.yaml"
    file.write_text(text)
    output = tmp_path / "results" / "statistics.json"
    done = command("statistics", file, "--datasets", tmp_path / "none.json", "--output", output)
    refused(done, message)
    assert "tiny" in done.problems[0]
    assert [f.name for f in tmp_path.iterdir()] == ["tiny.yaml"]


def test_several_mistakes_are_told_together(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(changed(training={"max_epochs": -1, "ptach": 1}, scoring={"ptaches": {}}))
    done = command("statistics", file, "--datasets", "x", "--output", tmp_path / "results" / "statistics.json")
    assert done.code == 2
    assert len(done.problems) == 3, done.problems
    assert not (tmp_path / "results").exists()


def test_a_missing_experiment(tmp_path):
    done = command("statistics", tmp_path / "none.yaml", "--datasets", "x", "--output", tmp_path / "o" / "s.json")
    refused(done, r"none\.yaml: ")
    assert list(tmp_path.iterdir()) == []


CATALOGS = {
    "unknown unit": ({"spec": {"units": "furlong"}}, r"variables\.adt\.units|unknown unit 'furlong'"),
    "limits the wrong way round": ({"spec": {"valid_min": 1, "valid_max": -1}}, "valid_min 1.* is not below valid_max"),
    "unknown preparation": ({"preparation": {"name": "gridded_shs"}}, "did you mean 'gridded_ssh'"),
    "unknown option": (
        {"preparation": {"name": "gridded_ssh", "options": {"wavelenght_km": 1}}},
        r"preparation\.options\.wavelenght_km: unknown key; did you mean 'wavelength_km'",
    ),
    "unknown driver": ({"fetch": {"driver": "fiel", "path": "a.nc"}}, "did you mean 'file'"),
    "ends before it starts": ({"time": {"start": "2005-04-01", "end": "2005-03-01"}}, "before it starts"),
}


@pytest.mark.parametrize("case", CATALOGS)
def test_preprocessing_with_a_bad_catalog(tmp_path, case):
    keys, message = CATALOGS[case]
    project = Project(tmp_path).describe(**keys)
    refused(project.preprocess(), message)
    assert [f.name for f in tmp_path.iterdir()] == ["catalog.yaml"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tiny-adt": "tinyadt"}, "no source is called 'tinyadt'; did you mean 'tiny-adt'"),
        ({"2005-04": "2005-13"}, "'2005-13' is not a period; write a month as YYYY-MM"),
        ({"2005-04": "2004-12"}, "2004-12 is not covered; ask for a month from 2005-04-01 to 2005-06-30"),
        ({"--threads": "--thread=0"}, "'0' is not a whole number of at least 1"),
    ],
)
def test_preprocessing_what_there_is_not(tmp_path, change, message):
    project = Project(tmp_path).describe()
    words = [change.get(word, word) for word in project.arguments()]
    if "--thread=0" in words:
        words.remove("1")
    done = command(*words)
    assert done.code == 2
    assert re.search(message, done.problems[-1]), done.problems
    assert [f.name for f in tmp_path.iterdir()] == ["catalog.yaml"]
