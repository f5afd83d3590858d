"""Leaderboards that are kept are those of the experiments as they are shipped, and the page shows them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.errors import StoreError
from pipeline_lib.io.manifest import Artefact
from pipeline_lib.metrics import METRICS, badness
from pipeline_lib.score.tables import read_leaderboard, read_ranking

ROOT = Path(__file__).parents[1]
NAME = "pde-netgen"
KEPT = sorted((ROOT / "docs/results").glob("*.csv"))


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("keep_results", ROOT / "tools/keep_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_of_the_tables():
    assert (ROOT / "docs/results/README.md").read_text() == tool().page()


@pytest.mark.parametrize("file", sorted((ROOT / "docs/results/rankings").glob("*.csv")), ids=lambda file: file.stem)
def test_a_ranking_is_that_of_the_leaderboard_beside_it(file: Path):
    table = read_leaderboard(ROOT / f"docs/results/{file.name}")
    ranking = read_ranking(file).set_index(["metric", "model"])
    for metric in ranking.index.unique("metric"):
        values = table[(table["metric"] == metric) & (table["status"] == "ok")].set_index("model")["value"]
        bad = badness(values, METRICS.get(str(metric)).direction)
        expected = (bad - bad.min()).to_numpy()
        np.testing.assert_allclose(ranking.loc[metric].loc[values.index, "behind"], expected, rtol=1e-4, atol=2e-6)
    unranked = set(table["metric"]) - set(ranking.index.unique("metric"))
    assert {METRICS.get(metric).direction for metric in unranked} <= {"none"}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool with a folder of its own to keep in, and results beside it to keep from."""
    module = tool()
    monkeypatch.setattr(module, "KEPT", tmp_path / "kept")
    results = tmp_path / NAME
    results.mkdir()
    (results / "leaderboard.csv").write_bytes((ROOT / f"docs/results/{NAME}.csv").read_bytes())
    (results / "ranking.csv").write_bytes((ROOT / f"docs/results/rankings/{NAME}.csv").read_bytes())
    return module


def test_a_ranking_without_differences_to_the_first_is_not_kept_and_the_page_says_so(kept, tmp_path: Path, caplog):
    kept.keep(tmp_path, NAME)
    assert "| behind the first by |" in kept.page()
    (tmp_path / NAME / "ranking.csv").write_text("metric,rank,model,leader,worse_by,ci_low,ci_high\n")
    kept.keep(tmp_path, NAME)
    assert "run the leaderboard stage again" in caplog.text
    assert "How far each is behind the first was not stored" in kept.page()
    assert "| behind the first by |" not in kept.page()


def test_published_numbers_say_whether_they_compare_and_where_they_are_from(kept):
    name = "binn-assimilation"
    kept.KEPT.joinpath("rankings").mkdir(parents=True)
    kept.KEPT.joinpath(f"rankings/{name}.csv").write_bytes((ROOT / f"docs/results/rankings/{name}.csv").read_bytes())
    table = (ROOT / f"docs/results/{name}.csv").read_text()
    kept.KEPT.joinpath(f"{name}.csv").write_text(table)
    assert kept.page().count("(not comparable)") == 1
    assert "| RMSE of all values | published (not comparable) | behind the first by |" in kept.page()
    assert "| 1= | True equations | 3 |" in kept.page()
    assert "| 0.65 | 0.022 [" in kept.page()
    assert "EUSIPCO; as printed on course slides (from the slides of a talk)." in kept.page()
    kept.KEPT.joinpath(f"{name}.csv").write_text(table.replace(",no\n", ",yes\n", 1))
    assert "| RMSE of all values | published | behind the first by |" in kept.page()
    assert "| 0.5 | – |" in kept.page()
    assert "| 0.65 (not comparable) | 0.022 [" in kept.page()


def store_model(folder: Path, model: str, seed: int, learned: dict, **training: object) -> None:
    """Store the manifest of a model that was trained as the experiment says, but for some options."""
    plan = load_experiment(ROOT / f"config/experiments/{NAME}.yaml")
    options = {"model_options": plan.model_options(model), "training": plan.training(model).model_copy(update=training)}
    with Artefact(
        folder / f"{NAME}/{model}/seed{seed}/model.json",
        kind="model",
        code="0",
        options={name: value.model_dump(mode="json") for name, value in options.items()},
    ) as out:
        out.content = {"learned": learned}


def test_results_of_other_options_are_not_kept(kept, tmp_path: Path):
    store_model(tmp_path, "numbers", 0, {}, windows=17)
    with pytest.raises(StoreError, match=rf"numbers.*: was made with other options \(training\) than .* {NAME}.yaml"):
        kept.keep(tmp_path, NAME)


def test_what_models_learned_is_kept_by_seed_and_told_over_seeds(kept, tmp_path: Path):
    for seed, a in enumerate((0.92, 0.93, 0.97)):
        store_model(tmp_path, "numbers", seed, {"a": a, "pair": [2.0, 1 + seed], "many": [1.0] * 5})
    store_model(tmp_path, "network", 0, {})
    kept.keep(tmp_path, NAME)
    assert "| Three numbers | a | 0.94 (0.92 to 0.97) |" in kept.page()
    assert "| Three numbers | pair | 2; 2 (1 to 3) |" in kept.page()
    assert "many" not in kept.page()
    file = kept.KEPT / f"learned/{NAME}.csv"
    assert {"numbers,1,a,0,0.93", "numbers,2,many,4,1"} <= set(file.read_text().splitlines())
    for path in tmp_path.glob(f"{NAME}/*/*/model.json"):
        path.unlink()
    kept.keep(tmp_path, NAME)
    assert not file.exists()


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_a_table_has_the_competitors_seeds_and_metrics_of_its_experiment(file: Path):
    experiment = load_experiment(ROOT / f"config/experiments/{file.stem}.yaml")
    table = read_leaderboard(file)
    assert set(table["model"]) == set(experiment.spec.names)
    assert list(dict.fromkeys(table["metric"])) == experiment.scoring.metrics
    for model, rows in table.groupby("model"):
        wanted = experiment.spec.entry(str(model)).seeds or experiment.spec.seeds
        assert set(rows["seed_count"]) == {0 if (rows["status"] == "invalid").all() else len(wanted)}
