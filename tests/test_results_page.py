"""Leaderboards that are kept are those of the experiments as they are shipped, and the page shows them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.score.tables import read_leaderboard

ROOT = Path(__file__).parents[1]
KEPT = sorted((ROOT / "docs/results").glob("*.csv"))


def test_the_page_is_made_of_the_tables():
    spec = importlib.util.spec_from_file_location("keep_results", ROOT / "tools/keep_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs/results/README.md").read_text() == module.page()


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_a_table_has_the_competitors_seeds_and_metrics_of_its_experiment(file: Path):
    experiment = load_experiment(ROOT / f"config/experiments/{file.stem}.yaml")
    table = read_leaderboard(file)
    assert set(table["model"]) == set(experiment.spec.names)
    assert list(dict.fromkeys(table["metric"])) == experiment.scoring.metrics
    for model, count in table.groupby("model")["seed_count"].max().items():
        wanted = experiment.spec.entry(str(model)).seeds or experiment.spec.seeds
        assert count in {1, len(wanted)}
