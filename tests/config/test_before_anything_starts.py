"""Mistakes that an experiment and its catalog entry show are told by the plan, in one line, at their place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline_lib.errors import ConfigError
from pipeline_lib.plan import load_plan
from tests.config.test_source_check import CONFIG, plan_of


def told(folder: Path, name: str, changes: str) -> list[str]:
    """Lines that a shipped experiment is refused with when some of it is changed."""
    shipped = yaml.safe_load((CONFIG / "experiments" / f"{name}.yaml").read_text())
    for base in {shipped.get("extends", name), name}:
        text = (CONFIG / "experiments" / f"{base}.yaml").read_text()
        (folder / f"{base if base != name else 'shipped'}.yaml").write_text(text)
    own = shipped if "extends" in shipped else {"extends": "shipped"}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(_merged(own, yaml.safe_load(changes))))
    with pytest.raises(ConfigError) as refused:
        plan_of(name, folder)
    return refused.value.lines


def _merged(base: dict, over: dict) -> dict:
    both = {key: _merged(base[key], over[key]) for key in over if isinstance(base.get(key), dict)}
    return {**base, **over, **both}


@pytest.mark.parametrize(
    ("name", "changes", "place"),
    [
        ("wind-vector", "training: {nwp: [nwp_u, nwp_u]}", "training.nwp: 'nwp_u'"),
        ("wind-vector", "training: {neighbours: [1, 1]}", "training.neighbours: 1"),
        ("lorenz63-forecast", "inputs: [state, state]", "inputs: 'state'"),
        ("eddies-mediterranean", "published: [eddynet, eddynet]", "published: 'eddynet'"),
    ],
)
def test_what_is_listed_twice_is_told(tmp_path, name, changes, place):
    lines = told(tmp_path, name, changes)
    assert any(f"{place} is listed twice" in line for line in lines), lines


@pytest.mark.parametrize(
    ("name", "changes", "needed"),
    [
        ("lorenz63-forecast", "training: {forecast_steps: 1000000000}", "1e+07 are needed"),
        ("lorenz63-forecast", "split: {gap_days: 1.0e+300}", "1e+300 are needed"),
        ("lorenz63-forecast", f"training: {{forecast_steps: {10**400}}}", "too large"),
    ],
)
def test_numbers_beyond_all_calendars_are_told_in_a_line(tmp_path, name, changes, needed):
    lines = told(tmp_path, name, changes)
    assert any(needed in line and "number" in line for line in lines), lines


def test_an_unknown_task_is_told_once(tmp_path):
    lines = told(tmp_path, "lorenz63-forecast", "task: dinamics")
    assert lines == ["lorenz63-forecast: unknown task 'dinamics'; did you mean 'dynamics'?"]


def test_models_are_looked_at_whatever_the_task(tmp_path):
    lines = told(tmp_path, "lorenz63-forecast", "{task: dinamics, models: [linear_mapp]}")
    assert len(lines) == 2
    assert "unknown model 'linear_mapp'; did you mean 'linear_map'" in lines[1]


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("lorenz63-forecast", "rmse_0"),
        ("lorenz63-forecast", "rmsee"),
        ("nowcast-rain", "csi_abc"),
        ("nowcast-rain", "fss_0.5_0"),
        ("nowcast-rain", "power_left_0"),
    ],
)
def test_a_metric_that_is_none_is_told_where_metrics_stand(tmp_path, name, metric):
    [line] = told(tmp_path, name, f"scoring: {{metrics: [{metric}]}}")
    assert line.startswith(f"{name}: scoring.metrics: unknown metric '{metric}'")


def _with_small_frames(folder: Path) -> Path:
    """Write our catalog with a mistake in the options of a simulation; return the file."""
    catalog = yaml.safe_load((CONFIG / "catalog.yaml").read_text())
    catalog["sources"]["storm-cells"]["metadata"]["gyre"]["fetch"]["options"]["side"] = 16
    file = folder / "catalog.yaml"
    file.write_text(yaml.safe_dump(catalog))
    return file


def _plan_with(catalog: Path, experiment: str):
    places = {"catalog": str(catalog), "experiments_dir": str(CONFIG / "experiments")}
    return load_plan({**places, "experiments": [experiment]})


def test_a_mistake_in_a_simulation_s_options_names_file_and_entry_and_stops_its_experiments_alone(tmp_path):
    catalog = _with_small_frames(tmp_path)
    assert _plan_with(catalog, "lorenz63-forecast").runs("lorenz63-forecast")
    with pytest.raises(ConfigError) as refused:
        _plan_with(catalog, "nowcast-growth")
    place = f"{catalog}: sources.storm-cells.metadata.gyre.fetch.options: "
    assert refused.value.lines == [f"{place}cells of radius 7.5 meet themselves in a periodic frame of 16 pixels"]
