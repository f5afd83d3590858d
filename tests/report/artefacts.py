"""A small experiment written to disk as the stages write it: real Zarr stores, manifests, scores and leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from pipeline_lib.config.experiment import Experiment
from pipeline_lib.config.loader import LoadedExperiment
from pipeline_lib.io.atomic import write_json, write_text
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.io.zarr_store import write_zarr
from pipeline_lib.report.stage import build_report
from pipeline_lib.score.stage import build_leaderboard, score_run
from pipeline_lib.score.tables import RANKING_COLUMNS
from pipeline_lib.tasks.segmentation.scoring_options import ScoringOptions

PERIOD = "2005-06"
FIRST = date(2005, 6, 1)
CODE = "0" * 20
METRICS = [
    "mean_dice",
    "dice_anticyclonic",
    "dice_cyclonic",
    "accuracy",
    "accuracy_all_background",
    "object_f1",
    "centre_error_km",
    "mean_dice_patches",
]


@dataclass
class Competitor:
    """One model: its entry in the experiment and the share of cells that it gets wrong."""

    name: str
    wrong: float
    entry: dict[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] = (0,)
    trained: bool = True
    hole: bool = False


TWO = (
    Competitor("eddynet", 0.05, {"training": {"loss": "dice"}}),
    Competitor("baseline", 0.2, {"model": "eddynet_s"}, trained=False),
)


@dataclass
class Built:
    """Where the artefacts lie, as arguments of the report stage."""

    experiment: LoadedExperiment
    leaderboard: Path
    models: list[Path]
    products: list[Path]
    labels: list[Path]
    datasets: list[Path]
    output: Path

    def report(self, **changes: Any) -> Manifest:
        """Build the report and return its manifest."""
        build_report(**{**vars(self), **changes}, code=CODE)
        return read_manifest(changes.get("output", self.output), kind="report", verify="deep")

    def page(self, **changes: Any) -> str:
        """Build the report and return its page."""
        return self.report(**changes).file("report.html").read_text(encoding="utf-8")


def maps(days: int, rows: int, columns: int) -> tuple[xr.Dataset, xr.DataArray]:
    """Drifting eddies south of Italy: heights with a strip of land, and their classes."""
    latitude, longitude = 33.0 + np.arange(rows) / 4, 15.0 + np.arange(columns) / 4
    x, y = np.meshgrid(longitude, latitude)
    height = np.zeros((days, rows, columns))
    for day in range(days):
        for x0, y0, sign in ((16.5, 35.0, 1), (18.5, 36.0, -1), (19.5, 34.5, 1)):
            height[day] += sign * 0.1 * np.exp(-((x - x0 - 0.05 * day) ** 2 + (y - y0) ** 2) / 0.5)
    classes = np.where(height > 0.03, 1, np.where(height < -0.03, 2, 0)).astype("int8")
    height[:, -2:, :], classes[:, -2:, :] = np.nan, 0
    coords = {
        "time": np.datetime64(FIRST, "ns") + np.arange(days) * np.timedelta64(1, "D"),
        "latitude": latitude,
        "longitude": longitude,
    }
    dims = ("time", "latitude", "longitude")
    fields = {name: (dims, height.astype("float32"), {"units": "m"}) for name in ("adt", "adt_high_pass")}
    return xr.Dataset(fields, coords), xr.DataArray(classes, coords, dims, name="eddy_class")


def spoiled(truth: xr.DataArray, *, wrong: float, seed: int) -> xr.DataArray:
    """Classes of which a share is replaced by chance, the same for the same seed."""
    rng = np.random.default_rng([seed, round(1e6 * wrong)])
    share = wrong * (0.5 + np.arange(truth.sizes["time"])[:, None, None] / truth.sizes["time"])
    other = rng.integers(0, 3, truth.shape).astype("int8")
    return truth.copy(data=np.where(rng.random(truth.shape) < share, other, truth.values))


def build(
    root: Path,
    competitors: Sequence[Competitor] = TWO,
    *,
    days: int = 6,
    shape: tuple[int, int] = (16, 24),
    predict: Callable[[xr.DataArray, Competitor, int], xr.DataArray] | None = None,
    fields: tuple[xr.Dataset, xr.DataArray] | None = None,
    scoring: dict[str, Any] | None = None,
    **spec: Any,
) -> Built:
    """Write all artefacts of an experiment below ``root`` and return the arguments of the report stage."""
    ds, truth = fields or maps(days, *shape)
    days = truth.sizes["time"]
    dataset, labels = _data(root, ds, truth)
    results = root / "results" / "tiny"
    options = ScoringOptions.model_validate(
        {"metrics": METRICS, "patches": {"sets": 4, "size": 8}, "intervals": {"block_days": 2, "resamples": 200}}
        | (scoring or {})
    )
    loaded = LoadedExperiment(name="tiny", spec=_spec(competitors, days, spec))
    first, last = loaded.spec.split.test.start, loaded.spec.split.test.end
    models, products, scores = [], [], []
    for competitor in competitors:
        for seed in competitor.seeds:
            folder = results / competitor.name / f"seed{seed}"
            models.append(_model(folder, competitor, seed, dataset, labels))
            classes = (predict or _predict)(truth, competitor, seed)
            products.append(_product(folder, classes, models[-1], dataset))
            score_run(
                task="segmentation", model=competitor.name, seed=seed, products=[products[-1]], labels=[labels],
                datasets=[dataset], test=(first, last), options=options, output=folder / "score.json", code=CODE,
            )  # fmt: skip
            scores.append(folder / "score.json")
    board = results / "leaderboard.json"
    if scores:
        build_leaderboard(
            task="segmentation", models=loaded.spec.names, scores=scores, published=loaded.spec.published,
            options=options, output=board, code=CODE, source=loaded.spec.source,
            settings={e.name: {"model": e.model, **e.training} for e in loaded.spec.models},
        )  # fmt: skip
    else:
        _empty_leaderboard(board)
    return Built(loaded, board, models, products, [labels], [dataset], results / "report.json")


def _predict(truth: xr.DataArray, competitor: Competitor, seed: int) -> xr.DataArray:
    classes = spoiled(truth, wrong=competitor.wrong, seed=seed)
    if competitor.hole:
        classes[0, 5, 5] = -1
    return classes


def _spec(competitors: Sequence[Competitor], days: int, changes: dict[str, Any]) -> Experiment:
    entries = [{"name": c.name, "model": "eddynet", **c.entry} for c in competitors]
    return Experiment.model_validate(
        {
            "title": "Tiny eddies",
            "task": "segmentation",
            "source": "med-adt-2005q2",
            "labels": {"labeller": "pet14"},
            "inputs": ["adt_high_pass"],
            "split": {
                "train": ["2005-01-01", "2005-01-31"],
                "validation": ["2005-03-01", "2005-03-10"],
                "test": [FIRST, FIRST + timedelta(days=days - 1)],
            },
            "models": entries or [{"name": "nobody", "model": "eddynet"}],
            **changes,
        }
    )


def _data(root: Path, ds: xr.Dataset, truth: xr.DataArray) -> tuple[Path, Path]:
    folder = root / "data" / "med-adt-2005q2"
    raw, dataset, labels = (folder / kind / f"{PERIOD}.json" for kind in ("raw", "dataset", "labels"))
    with Artefact(raw, kind="raw", code=CODE) as out:
        out.payload("maps.nc").write_bytes(b"raw bytes")
        out.content = {
            "source": "med-adt-2005q2",
            "part": "all",
            "citation": "Generated, see https://example.org/data",
            "licence": "CC0-1.0",
        }
    with Artefact(dataset, kind="dataset", code=CODE) as out:
        write_zarr(ds, out.payload(f"{PERIOD}.zarr"))
        out.add_input("raw", read_manifest(raw))
        out.options = {"preparation": "gridded_ssh", "wavelength_km": 500.0}
        out.content = {"period": PERIOD}
    with Artefact(labels, kind="labels", code=CODE) as out:
        write_zarr(truth.to_dataset(), out.payload(f"{PERIOD}.zarr"))
        out.add_input("dataset", read_manifest(dataset))
        out.options = {"labeller": "pet14"}
        out.content = {"period": PERIOD}
    return dataset, labels


def _model(folder: Path, competitor: Competitor, seed: int, dataset: Path, labels: Path) -> Path:
    path = folder / "model.json"
    with Artefact(path, kind="model", code=CODE) as out:
        if competitor.trained:
            out.payload("best.pt").write_bytes(b"weights")
            write_text(out.payload("history.csv"), _history(seed).to_csv(index=False))
            out.add_input("dataset", read_manifest(dataset))
            out.add_input("labels", read_manifest(labels))
            out.options = {"model": "eddynet", "training": {"loss": "dice", "learning_rate": 0.001}, "seed": seed}
            out.content = {"spec": {"options": {"filters": 32}, "parameters": 177_315}, "best_epoch": 6}
        else:
            write_json(out.payload("algorithm.json"), {"model": competitor.name})
            out.content = {"algorithm": {"task": "segmentation", "model": competitor.name}}
    return path


def _history(seed: int) -> pd.DataFrame:
    epoch = np.arange(1, 9)
    noise = np.random.default_rng(seed).normal(0, 0.01, (2, epoch.size))
    return pd.DataFrame(
        {
            "epoch": epoch,
            "step": 20 * epoch,
            "train_loss": 0.2 + 0.5 * np.exp(-epoch / 3) + noise[0],
            "val_loss": 0.25 + 0.45 * np.exp(-epoch / 3) + 0.01 * np.maximum(0, epoch - 6) + noise[1],
        }
    )


def _product(folder: Path, classes: xr.DataArray, model: Path, dataset: Path) -> Path:
    path = folder / "products" / f"{PERIOD}.json"
    with Artefact(path, kind="product", code=CODE) as out:
        write_zarr(classes.to_dataset(name="eddy_class"), out.payload(f"{PERIOD}.zarr"))
        out.add_input("model", read_manifest(model))
        out.add_input("dataset", read_manifest(dataset))
        out.content = {"period": PERIOD}
    return path


def _empty_leaderboard(path: Path) -> None:
    with Artefact(path, kind="leaderboard", code=CODE) as out:
        write_text(
            out.payload("leaderboard.csv"), "model,seed_count,metric,value,ci_low,ci_high,n,published,comparable\n"
        )
        write_text(out.payload("ranking.csv"), ",".join(RANKING_COLUMNS) + "\n")
