"""Experiments against the sources that they name, before anything is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.plan import load_plan

CONFIG = Path(__file__).parents[2] / "config"
SHIPPED = sorted(file.stem for file in (CONFIG / "experiments").glob("*.yaml"))


def plan_of(name: str, folder: Path = CONFIG / "experiments"):
    return load_plan({"catalog": str(CONFIG / "catalog.yaml"), "experiments_dir": str(folder), "experiments": [name]})


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_experiments_go_together_with_their_sources(name):
    assert plan_of(name).runs(name)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "lorenz96",
            "training: {step: 0.01}",
            r"^lorenz96: models.\w+.training.step: is 0.01 days, the states of lorenz96 are 0.05 apart; "
            r"set training.step: 0.05$",
        ),
        (
            "assimilation-partial",
            "training: {step: 0.1}",
            r"^assimilation-partial: models.interpolation.training.step: is 0.1 days, .*set training.step: 0.01$",
        ),
        (
            "lorenz63-forecast",
            "inputs: [stat]",
            r"^lorenz63-forecast: inputs: source lorenz63 makes no variable 'stat'",
        ),
        (
            "persiann",
            "training: {retrieval: {target: rain}}",
            r"^persiann: models.last_frame.training.retrieval.target: source cold-clouds-rain makes no variable "
            r"'rain'; did you mean 'rain_rate'",
        ),
        (
            "persiann",
            "training: {retrieval: {surface: land}}",
            r"^persiann: models.last_frame.training.retrieval.surface: source \S+ makes no variable 'land'",
        ),
        (
            "ode-schemes",
            "training: {target: digit}",
            r"^ode-schemes: models.\w+.training.target: source digits makes no variable 'digit'",
        ),
        (
            "lorenz63-forecast",
            "training: {target: subgrid}",
            r"^lorenz63-forecast: models.\w+.training.target: source lorenz63 makes no variable 'subgrid'",
        ),
        (
            "lorenz63-forecast",
            "scoring: {metrics: [rmse_1, subgrid_nrmse]}",
            r"^lorenz63-forecast: scoring.metrics: source lorenz63 makes no variable 'subgrid'",
        ),
        (
            "wind-vector",
            "training: {nwp: [nwp_u, nwp_w]}",
            r"^wind-vector: models.\w+.training.nwp: source [\w-]+ makes no variable 'nwp_w'; did you mean 'nwp_[uv]'",
        ),
        (
            "lorenz63-forecast",
            "split: {test: [2001-01-01, 2001-02-01]}",
            r"^lorenz63-forecast: split.test: 2001-01-01 .* is not within the source's 2000-01-01 to 2000-07-18",
        ),
    ],
)
def test_what_the_source_cannot_give_is_told(tmp_path, name, changes, message):
    text = (CONFIG / "experiments" / f"{name}.yaml").read_text()
    (tmp_path / "base.yaml").write_text(text)
    (tmp_path / f"{name}.yaml").write_text(f"extends: base\n{changes}\n")
    with pytest.raises(ConfigError, match=message):
        plan_of(name, tmp_path)
