"""States that are not those of a model's training, runs that are not those of a product: one line each, no nonsense."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from pipeline_lib.io.manifest import Artefact, read_manifest
from pipeline_lib.io.zarr_store import write_zarr
from tests.faults.project import Outcome, command
from tests.workflow.project import edit_yaml

CODE, PERIOD, STEP = "0" * 20, "2000-01", np.timedelta64(864, "s")
EXPERIMENT = {
    "title": "Circles",
    "task": "dynamics",
    "source": "circles",
    "inputs": ["state"],
    "split": {
        "train": ["2000-01-01", "2000-01-01"],
        "validation": ["2000-01-03", "2000-01-03"],
        "test": ["2000-01-05", "2000-01-05"],
        "gap_days": 0,
    },
    "training": {
        "step": 0.01,
        "forecast_steps": 2,
        "free_run": 0.5,
        "horizon": 1,
        "optimizer": "levenberg_marquardt",
        "windows": 20,
        "max_epochs": 3,
    },
    "scoring": {"metrics": ["rmse_1"]},
    "models": [
        {"name": "line", "model": "linear_map"},
        {"name": "far", "model": "linear_map", "training": {"horizon": 2}},
        {"name": "once", "model": "linear_map", "training": {"horizon": 3}, "seeds": [0]},
    ],
    "seeds": [0, 7],
}
CPU = ("--device", "cpu", "--threads", 1)


def circles(steps: int = 500, components: int = 3) -> xr.Dataset:
    """States that turn around means of their own."""
    phase = 2 * np.pi * (np.arange(steps)[:, None] / 60 + np.arange(components) / components)
    states = np.arange(1, components + 1) * (np.sin(phase) + 5 * np.arange(components))
    times = np.datetime64("2000-01-01", "ns") + np.arange(steps) * STEP
    coords = {"time": times, "component": list("xyzuvw")[:components]}
    return xr.Dataset({"state": (("time", "component"), states, {"units": "1"})}, coords)


def stored(folder: Path, ds: xr.Dataset) -> tuple[Path, Path]:
    """Dataset and statistics of one variable, as the stages before leave them."""
    dataset, statistics = folder / f"{PERIOD}.json", folder / "statistics.json"
    (name,) = map(str, ds.data_vars)
    with Artefact(dataset, kind="dataset", code=CODE) as out:
        write_zarr(ds, out.payload(f"{PERIOD}.zarr"))
        out.options = {"preparation": "as_is", "variables": [name], "dtype": "float64"}
        out.content = {"period": PERIOD, "form": "states", "variables": {name: {"units": "1"}}, "grid_step": None}
    values = ds[name].sel(time="2000-01-01")
    with Artefact(statistics, kind="statistics", code=CODE) as out:
        found = {name: {"mean": float(values.mean()), "std": float(values.std()), "units": "1"}}
        out.payload("statistics.values.json").write_text(json.dumps(found))
    return dataset, statistics


def train(folder: Path, model: str, seed: int, data: tuple[Path, Path]) -> Outcome:
    which = ("--model", model, "--seed", seed, "--datasets", data[0], "--statistics", data[1])
    return command("train", folder / "circles.yaml", *which, *CPU, "--output", run(folder, model, seed) / "model.json")


def run(folder: Path, model: str, seed: int) -> Path:
    return folder / model / f"seed{seed}"


def score(folder: Path, model: str, seed: int, product: Path) -> Outcome:
    which = ("--model", model, "--seed", seed, "--products", product, "--datasets", folder / f"{PERIOD}.json")
    return command("score", folder / "circles.yaml", *which, "--output", run(folder, model, seed) / "score.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Folder of the experiment with a model and its product."""
    folder = tmp_path_factory.mktemp("circles")
    (folder / "circles.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    done = train(folder, "line", 0, stored(folder, circles()))
    assert done.code == 0, done.problems
    where = ("--dataset", folder / f"{PERIOD}.json", "--output", run(folder, "line", 0) / f"{PERIOD}.json")
    done = command("predict", "--model", run(folder, "line", 0) / "model.json", *where, *CPU)
    assert done.code == 0, done.problems
    return folder


def one_line(done: Outcome, code: int, pattern: str) -> None:
    assert done.code == code, done.problems
    assert len(done.problems) == 1, done.problems
    assert re.search(pattern, done.problems[0]), done.problems[0]


# ---- states ----------------------------------------------------------------------------------------------------------

WRONG = {
    "step": (
        lambda ds: ds.isel(time=slice(None, None, 10)),
        r"time: states are 0\.1 days apart, the model was trained on 0\.01; give states of that step",
    ),
    "gap": (
        lambda ds: ds.drop_isel(time=40),
        r"time: 2000-01-01T09:21:36 is not followed by a state after 0\.01 days; of states nothing may be missing",
    ),
    "order": (
        lambda ds: ds.isel(component=[2, 1, 0]),
        "state: component holds 'z' at place 0, in training 'x'; bring the states into the order",
    ),
    "size": (lambda _: circles(components=5), r"state: states are \(5,\), the model was trained on \(3,\)"),
}


def outside(made: Path, folder: Path, ds: xr.Dataset) -> Outcome:
    ds.to_netcdf(folder / "own.nc", engine="h5netcdf")
    which = ("--model", run(made, "line", 0) / "model.json", "--input", folder / "own.nc")
    return command("predict", *which, "--output", folder / "out.zarr", *CPU)


@pytest.mark.parametrize("name", WRONG)
def test_states_unlike_those_of_the_training_are_refused_at_both_doors(made, tmp_path, name):
    change, line = WRONG[name]
    one_line(outside(made, tmp_path, change(circles())), 4, line)
    assert not (tmp_path / "out.zarr").exists()
    dataset, _ = stored(tmp_path, change(circles()))
    which = ("--model", run(made, "line", 0) / "model.json", "--dataset", dataset)
    one_line(command("predict", *which, "--output", tmp_path / "product.json", *CPU), 4, line)


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.isel(time=slice(50, 80)),
        lambda ds: ds.drop_vars("component"),  # nothing tells what they are
        lambda ds: ds.assign_coords(time=ds.time.astype("datetime64[s]") + np.timedelta64(1, "D")),
    ],
    ids=["part", "without labels", "other days"],
)
def test_states_like_those_of_the_training_are_taken(made, tmp_path, change):
    assert outside(made, tmp_path, change(circles())).code == 0


def test_a_gap_between_trajectories_is_none(made, tmp_path):
    """Where ages begin anew no state is missing."""
    data = circles().drop_isel(time=40)
    ages = np.concatenate([np.arange(40), np.arange(len(data.time) - 40)]).astype(float)
    for name, values, code in (("gap", ages, 0), ("none", np.arange(len(ages), dtype=float), 4)):
        (tmp_path / name).mkdir()
        dataset, _ = stored(tmp_path / name, data)
        with Artefact(dataset, kind="dataset", code=CODE) as out:
            write_zarr(data.assign(age=("time", values)), out.payload(f"{PERIOD}.zarr"))
            out.content = read_manifest(dataset).content
        which = ("--model", run(made, "line", 0) / "model.json", "--dataset", dataset)
        assert command("predict", *which, "--output", tmp_path / f"{name}.json", *CPU).code == code


def test_a_training_on_states_with_a_gap_is_refused(made, tmp_path):
    data = stored(tmp_path, circles().drop_isel(time=40))
    shutil.copy(made / "circles.yaml", tmp_path)
    one_line(train(tmp_path, "line", 0, data), 4, r"time: 2000-01-01T09:21:36 is not followed by a state after 0\.01")


def test_a_training_on_data_of_another_experiment_is_refused(made, tmp_path):
    shutil.copy(made / "circles.yaml", tmp_path)
    ours = made / f"{PERIOD}.json", made / "statistics.json"
    dataset, statistics = stored(tmp_path, circles().rename(state="height"))
    line = "does not hold 'state', but height; give what was made for this experiment"
    one_line(train(tmp_path, "line", 0, (ours[0], statistics)), 4, f"statistics.json: {line}")
    one_line(train(tmp_path, "line", 0, (dataset, ours[1])), 4, f"{PERIOD}.json: {line}")


def test_a_fit_in_one_go_that_finds_no_memory_is_one_line(made, tmp_path, monkeypatch):
    def fit(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 153 bytes")

    monkeypatch.setattr("pipeline_lib.tasks.dynamics.least_squares.fit_least_squares", fit)
    shutil.copy(made / "circles.yaml", tmp_path)
    done = train(tmp_path, "line", 0, (made / f"{PERIOD}.json", made / "statistics.json"))
    one_line(done, 6, "linear_map: not enough memory; choose smaller options of the model")


# ---- runs ------------------------------------------------------------------------------------------------------------


def test_a_product_is_scored_as_the_run_that_it_is_of_and_as_no_other(made):
    product = run(made, "line", 0) / f"{PERIOD}.json"
    one_line(score(made, "line", 7, product), 7, r"is of a model with seed = 0, and line \(seed 7\) has 7; give the")
    one_line(score(made, "far", 0, product), 7, r"is of a model with training\.horizon = 1, and far \(seed 0\) has 2")
    one_line(score(made, "nope", 5, product), 2, "no model is called 'nope'")
    one_line(score(made, "once", 7, product), 2, "--seed: circles does not run once with seed 7; it has 0")
    assert not list(made.rglob("score.json"))
    done = score(made, "line", 0, product)
    assert done.code == 0, done.problems


def test_a_product_of_an_experiment_that_was_changed_since_is_told(made, tmp_path):
    shutil.copytree(made, tmp_path / "own")
    edit_yaml(tmp_path / "own/circles.yaml", training={**EXPERIMENT["training"], "noise": 0.1})
    product = run(tmp_path / "own", "line", 0) / f"{PERIOD}.json"
    line = r"is of a model with training\.noise = 0\.0, and line \(seed 0\) has 0\.1"
    one_line(score(tmp_path / "own", "line", 0, product), 7, line)


def test_a_product_whose_model_is_gone_or_another_is_not_believed(made, tmp_path):
    own = Path(shutil.copytree(made, tmp_path / "own"))
    product, model = (run(own, "line", 0) / name for name in (f"{PERIOD}.json", "model.json"))
    said = json.loads(product.read_text())
    said["inputs"]["model"]["identity"] = "0" * 64
    product.write_text(json.dumps(said))
    one_line(score(own, "line", 0, product), 7, "was made by a model that has changed since: .*; make the product")
    model.unlink()
    one_line(score(own, "line", 0, product), 7, "its model is not there, so that nothing tells whether it is of line")
    del said["inputs"]["model"]
    product.write_text(json.dumps(said))
    one_line(score(own, "line", 0, product), 7, "does not say which model made it; give the products of this run")


# ---- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--input", "i.nc", "--before", "x.json"), "--before: goes with --dataset, not with --input; leave it out"),
        (("--dataset", "d.json", "--variable", "state=sta"), "--variable: goes with --input, not with --dataset"),
        (("--dataset", "d.json", "--reader", "netcdf"), "--reader: goes with --input, not with --dataset"),
    ],
)
def test_words_of_the_other_mode_are_refused(made, words, line):
    one_line(command("predict", "--model", run(made, "line", 0) / "model.json", *words, "--output", "q.json"), 2, line)
