"""The stages on real artefacts: manifests in, manifests and tables out, exact reruns, refusals."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import DataError, ScoreError, StoreError
from pipeline_lib.io.counts_table import read_counts
from pipeline_lib.io.manifest import Artefact, read_manifest
from pipeline_lib.io.zarr_store import write_zarr
from pipeline_lib.metrics import METRICS
from pipeline_lib.score.bootstrap import pool
from pipeline_lib.score.stage import build_leaderboard, score_run
from pipeline_lib.score.tables import read_leaderboard, read_ranking
from pipeline_lib.tasks.segmentation.scoring_options import PatchOptions, ScoringOptions
from tests.eddy_maps import label_maps, sea_of, spoilt

OPTIONS = ScoringOptions(patches=PatchOptions(sets=3, size=16))
LABELS = label_maps(40, start="2005-05-20")
SEA = sea_of(LABELS)
TEST = (date(2005, 5, 25), date(2005, 6, 24))
SETTINGS = {"eddynet": {"model": "eddynet", "loss": "dice"}, "unet": {"model": "unet", "loss": "dice"}}


def store(root: Path, kind: str, ds: xr.Dataset, datasets: Path | None = None) -> list[Path]:
    """Write a dataset month by month as artefacts, as the stages before do."""
    paths = []
    for period, part in ds.groupby(ds.time.dt.strftime("%Y-%m")):
        path = root / f"{period}.json"
        with Artefact(path, kind=kind, code="test") as out:
            write_zarr(part, out.payload(f"{period}.zarr"))
            out.content = {"period": str(period)}
            if datasets is not None:
                out.add_input("dataset", read_manifest(datasets / f"{period}.json"))
        paths.append(path)
    return paths


class Project:
    """Labels, dataset and products of a small experiment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        adt = LABELS.copy(data=np.where(SEA.values, 0.1, np.nan)).assign_attrs(units="m")
        self.datasets = store(root / "dataset", "dataset", adt.to_dataset(name="adt"))
        self.labels = store(root / "labels", "labels", LABELS.to_dataset(), root / "dataset")

    def score(self, model: str, seed: int, predicted: xr.DataArray, options: ScoringOptions = OPTIONS) -> Path:
        run = self.root / model / f"seed{seed}"
        attrs = {"_FillValue": np.int8(-1)}  # as products have it: land reads as NaN
        product = (
            predicted.where(SEA.sel(time=predicted.time), -1)
            .astype("int8")
            .assign_attrs(attrs)
            .to_dataset(name="eddy_class")
        )
        score_run(
            task="segmentation",
            model=model,
            seed=seed,
            products=store(run / "products", "product", product, self.root / "dataset"),
            labels=self.labels,
            datasets=self.datasets,
            test=TEST,
            options=options,
            output=run / "score.json",
            code="test",
        )
        return run / "score.json"

    def leaderboard(self, scores: list[Path], models: tuple[str, ...] = ("eddynet", "unet")) -> Path:
        output = self.root / "leaderboard.json"
        build_leaderboard(
            task="segmentation",
            models=models,
            scores=scores,
            published=["eddynet"],
            options=OPTIONS,
            output=output,
            code="test",
            source="med-adt-2005q2",
            settings=SETTINGS,
        )
        return output


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def scores(project: Project) -> list[Path]:
    return [
        project.score("eddynet", 0, spoilt(LABELS, 0.2, seed=1)),
        project.score("eddynet", 1, spoilt(LABELS, 0.2, seed=2)),
        project.score("unet", 0, spoilt(LABELS, 0.1, seed=3)),
    ]


def test_a_score_holds_the_counts_of_the_test_dates(project: Project, scores: list[Path]) -> None:
    manifest = read_manifest(scores[0], kind="score", verify="deep")
    sample = manifest.content["sample"]
    assert (sample["times"][0], sample["times"][-1], len(sample["times"])) == (
        "2005-05-25T00:00",
        "2005-06-24T00:00",
        31,
    )
    assert set(manifest.inputs) == {f"{role}-{i}" for role in ("product", "labels", "dataset") for i in (0, 1)}
    pooled = pool(read_counts(manifest.file("counts.parquet")))
    inside = slice("2005-05-25", "2005-06-24")
    right = (spoilt(LABELS, 0.2, seed=1) == LABELS).sel(time=inside).values[SEA.sel(time=inside).values]
    assert METRICS.get("accuracy").from_counts(pooled)[0] == right.mean()


def test_leaderboard_and_ranking(project: Project, scores: list[Path]) -> None:
    manifest = read_manifest(project.leaderboard(scores), kind="leaderboard", verify="deep")
    table = read_leaderboard(manifest.file("leaderboard.csv"))
    ranking = read_ranking(manifest.file("ranking.csv"))
    dice = table[table.metric == "mean_dice"].set_index("model")
    assert dice.seed_count.to_dict() == {"unet": 1, "eddynet": 2}
    assert dice.published.to_dict() == pytest.approx({"unet": np.nan, "eddynet": 0.772}, nan_ok=True)
    assert dice.loc["eddynet", "comparable"] == "no"
    per_seed = []
    for score in scores[:2]:
        counts = pool(read_counts(read_manifest(score).file("counts.parquet")))
        per_seed.append(METRICS.get("mean_dice").from_counts(counts)[0])
    assert dice.loc["eddynet", "value"] == pytest.approx(np.mean(per_seed), abs=5e-7)
    assert set(ranking[ranking.metric == "mean_dice"].model) == {"eddynet", "unet"}
    assert manifest.content["date_count"] == 31
    assert manifest.content["cell_count"] == 31 * 520
    assert manifest.content["comparability"]["eddynet"]["comparable"] is False
    assert set(manifest.inputs) == {"eddynet-seed0", "eddynet-seed1", "unet-seed0"}


def test_again_gives_the_same_bytes(project: Project, scores: list[Path]) -> None:
    board = project.leaderboard(scores)
    files = [*scores, board, board.with_name("leaderboard.csv"), board.with_name("ranking.csv")]
    files += [score.with_name("counts.parquet") for score in scores]
    before = [file.read_bytes() for file in files]
    project.score("eddynet", 0, spoilt(LABELS, 0.2, seed=1))
    project.leaderboard(scores[::-1])  # in another order
    for file, old in zip(files, before, strict=True):
        assert file.read_bytes() == old, file


def test_a_run_with_a_hole_is_invalid_and_so_is_its_model(project: Project, scores: list[Path]) -> None:
    hole = spoilt(LABELS, 0.2, seed=2)
    hole.values[20, 5, 9] = -1
    broken = project.score("eddynet", 1, hole)
    content = read_manifest(broken, kind="score", verify="deep").content
    assert content["status"] == "invalid"
    assert "2005-06-09" in content["reason"]
    board = project.leaderboard(scores)
    table = read_leaderboard(board.with_name("leaderboard.csv"))
    assert set(table[table.model == "eddynet"].status) == {"invalid"}
    assert set(table[table.model == "unet"].status) == {"ok"}
    assert "eddynet" in read_manifest(board).content["invalid"]


def test_a_hole_outside_the_test_dates_is_no_one_s_business(project: Project) -> None:
    hole = spoilt(LABELS, 0.2, seed=2)
    hole.values[0] = -1
    assert read_manifest(project.score("eddynet", 1, hole)).content["status"] == "ok"


def test_a_product_that_lacks_a_date_stops_the_score(project: Project) -> None:
    keep = LABELS.time.values != np.datetime64("2005-06-10")
    with pytest.raises(DataError, match=r"products/2005-05\.json.*holds no data for 2005-06-10"):
        project.score("unet", 0, LABELS.isel(time=keep))
    assert not (project.root / "unet/seed0/score.json").exists()


def test_labels_that_lack_a_date_do_not_shrink_the_sample(project: Project, tmp_path: Path) -> None:
    keep = LABELS.time.values != np.datetime64("2005-06-10")
    project.labels = store(tmp_path / "fewer", "labels", LABELS.isel(time=keep).to_dataset(), project.root / "dataset")
    with pytest.raises(DataError, match=r"fewer/2005-05\.json.*holds no data for 2005-06-10"):
        project.score("unet", 0, LABELS)


def test_a_product_on_another_grid_stops_the_score(project: Project) -> None:
    shifted = LABELS.copy()
    shifted["longitude"] = LABELS.longitude + 0.125
    run = project.root / "unet"
    moved = store(run / "products", "product", shifted.to_dataset(name="eddy_class"), project.root / "dataset")
    with pytest.raises(ScoreError, match=r"unet \(seed 0\): longitude number 0 is -5\.875"):
        score_run(
            task="segmentation",
            model="unet",
            seed=0,
            products=moved,
            labels=project.labels,
            datasets=project.datasets,
            test=TEST,
            options=OPTIONS,
            output=run / "score.json",
            code="test",
        )


def test_runs_scored_with_other_options_or_labels_are_not_compared(project: Project, scores: list[Path]) -> None:
    other = project.score(
        "unet", 0, spoilt(LABELS, 0.1, seed=3), OPTIONS.model_copy(update={"patches": PatchOptions(sets=4, size=16)})
    )
    with pytest.raises(ScoreError, match="other scoring options"):
        project.leaderboard([scores[0], other])
    relabelled = LABELS.copy(data=(LABELS.values + 1) % 3)
    project.labels = store(project.root / "labels2", "labels", relabelled.to_dataset(), project.root / "dataset")
    other = project.score("unet", 0, spoilt(LABELS, 0.1, seed=3))
    with pytest.raises(ScoreError, match=r"other labels.*2005-05-25"):
        project.leaderboard([scores[0], other])


def test_a_model_without_score_and_a_run_given_twice(project: Project, scores: list[Path]) -> None:
    with pytest.raises(ScoreError, match="okubo_weiss: has no score"):
        project.leaderboard(scores, models=("eddynet", "unet", "okubo_weiss"))
    with pytest.raises(ScoreError, match="unet: seed 0 is given twice"):
        project.leaderboard([*scores, scores[-1]])


def test_no_test_date_and_damaged_inputs(project: Project, scores: list[Path]) -> None:
    with pytest.raises(DataError, match="holds no data for 2012-01-01"):
        score_run(
            task="segmentation",
            model="unet",
            seed=0,
            products=store(project.root / "late", "product", LABELS.to_dataset(), project.root / "dataset"),
            labels=project.labels,
            datasets=project.datasets,
            test=(date(2012, 1, 1), date(2012, 1, 2)),
            options=OPTIONS,
            output=project.root / "x.json",
            code="test",
        )
    counts = scores[0].with_name("counts.parquet")
    counts.write_bytes(counts.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"counts\.parquet"):
        project.leaderboard(scores)


def test_labels_given_as_products_and_products_of_other_data_are_refused(project: Project) -> None:
    def score(products: list[Path]) -> None:
        score_run(
            task="segmentation",
            model="unet",
            seed=0,
            products=products,
            labels=project.labels,
            datasets=project.datasets,
            test=TEST,
            options=OPTIONS,
            output=project.root / "unet/score.json",
            code="test",
        )

    with pytest.raises(StoreError, match="is a labels manifest where a product one is needed"):
        score(project.labels)
    elsewhere = store(project.root / "elsewhere", "dataset", LABELS.to_dataset(name="adt"))
    foreign = store(project.root / "foreign", "product", LABELS.to_dataset(), elsewhere[0].parent)
    with pytest.raises(ScoreError, match="the product was made from another dataset"):
        score(foreign)
