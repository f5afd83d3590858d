"""Normalisation sees training days only: what happens on other days cannot reach it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.faults.project import Project, command, small_maps
from tests.workflow.project import experiment

AS_IS = {"name": "as_is", "options": {"variables": ["adt"]}}


def moments(folder: Path, day: str | None) -> dict[str, float]:
    """Mean and standard deviation of an experiment that trains from 1 to 20 April, with an outlier on one day."""
    maps = small_maps()
    if day is not None:
        maps.adt.loc[{"time": day}] += 1000
    project = Project(folder).deliver(maps, preparation=AS_IS)
    assert project.preprocess().code == 0
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**experiment(), "inputs": ["adt"]}))
    output = folder / "statistics" / "statistics.json"
    done = command("statistics", folder / "tiny.yaml", "--datasets", project.output, "--output", output)
    assert done.code == 0, done.problems
    return json.loads(output.with_name("statistics.values.json").read_text())["adt"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, float]:
    return moments(tmp_path_factory.mktemp("plain"), None)


@pytest.mark.parametrize("day", ["2005-04-21", "2005-04-30"])
def test_an_outlier_after_the_training_days_changes_nothing(tmp_path, plain, day):
    assert moments(tmp_path, day) == plain


@pytest.mark.parametrize("day", ["2005-04-01", "2005-04-20"])
def test_an_outlier_on_a_training_day_would_be_seen(tmp_path, plain, day):
    assert moments(tmp_path, day)["std"] > 100 * plain["std"]


def test_statistics_are_those_of_numpy(plain):
    values = small_maps().adt.sel(time=slice("2005-04-01", "2005-04-20")).values.astype("float32").astype("float64")
    np.testing.assert_allclose([plain["mean"], plain["std"]], [np.nanmean(values), np.nanstd(values)], rtol=1e-6)
