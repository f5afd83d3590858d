"""One command of every stage on a tiny project, in processes that start with everything imported and may be killed."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import yaml

from pipeline_lib.io.hashing import sha256_file
from pipeline_lib.plan import Plan, load_plan
from tests.fetch.helpers import Page, Site
from tests.workflow.project import eddy_maps, write_project

STAGES = ("fetch", "preprocess", "statistics", "label", "train", "predict", "score", "leaderboard", "report")
SOURCE, EXPERIMENT, MONTH = "tiny-adt", "tiny", "2005-05"
MODELS = ("eddynet", "okubo_weiss")

FORKS = multiprocessing.get_context("forkserver")
_PRELOADED = (
    "fetch.drivers.http", "preprocess.stage", "preprocess.statistics", "label.labellers.okubo_weiss",
    "tasks.segmentation.train", "tasks.segmentation.predict", "tasks.segmentation.score", "tasks.segmentation.report",
    "models.eddynet", "models.okubo_weiss", "preparations.gridded_ssh", "train.stage", "train.loop", "predict.stage",
    "score.stage", "report.stage", "published", "plan", "cli.app",
)  # fmt: skip
_LIBRARIES = (
    "dask.array",
    "h5netcdf",
    "zarr",
    "requests",
    "pyarrow.parquet",
    "matplotlib.backends.backend_pdf",
)
FORKS.set_forkserver_preload(["tests.faults.stages", *(f"pipeline_lib.{n}" for n in _PRELOADED), *_LIBRARIES])


@dataclass(frozen=True)
class Job:
    """One command of the workflow.

    Attributes
    ----------
    stage
        Name of the stage.
    arguments
        What follows ``python -m pipeline_lib``, relative to the project's folder.
    output
        The manifest that it writes.
    """

    stage: str
    arguments: tuple[str, ...]
    output: Path


def prepare(folder: Path, site: Site) -> Path:
    """Write a tiny project whose source comes over HTTP from ``site``, all models in seconds."""
    write_project(folder, maps=eddy_maps(rows=40, columns=48))
    maps = folder / "incoming" / "maps.nc"
    site.pages["/maps.nc"] = Page(maps.read_bytes())
    catalog = folder / "config/catalog.yaml"
    raw = yaml.safe_load(catalog.read_text())
    block = raw["sources"][SOURCE]["metadata"]["gyre"]
    block["fetch"] = {"driver": "http", "url": f"{site.url}/maps.nc", "sha256": sha256_file(maps), "wait_s": 0}
    catalog.write_text(yaml.safe_dump(raw))
    experiment = folder / "config/experiments/tiny.yaml"
    described = yaml.safe_load(experiment.read_text())
    described["labels"] = {"labeller": "okubo_weiss"}
    described["training"]["max_epochs"] = 6
    experiment.write_text(yaml.safe_dump(described))
    return folder


def plan_of(folder: Path) -> Plan:
    """The plan of a project; its paths are relative to the project's folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        return load_plan(yaml.safe_load(Path("config/config.yaml").read_text()))
    finally:
        os.chdir(before)


def jobs(plan: Plan, name: str = EXPERIMENT) -> list[Job]:
    """All jobs of an experiment, in an order in which they can run, as the rules write them."""
    file = f"config/experiments/{name}.yaml"
    catalog = ("--catalog", "config/catalog.yaml")
    loaded = plan.experiment(name)
    source, label_set = loaded.spec.source, loaded.label_set
    raw = plan.path("raw", source=source, part="all")
    found: list[tuple[str, list[str], str]] = [("fetch", [source, *catalog], raw)]
    periods = plan.periods(name, "train", "validation", "test")
    for period in periods:
        dataset = plan.path("dataset", source=source, period=period)
        found.append(("preprocess", [source, "--period", period, "--raw", raw, *catalog], dataset))
        if label_set is not None:
            labels = plan.path("labels", source=source, label_set=label_set, period=period)
            found.append(("label", ["--labeller", plan.labeller(label_set), "--dataset", dataset], labels))
    statistics = plan.path("statistics", experiment=name)
    found.append(("statistics", [file, "--datasets", *plan.datasets(name, "train")], statistics))
    learnt = ["--datasets", *plan.datasets(name, "train", "validation"),
              "--labels", *plan.labels(name, "train", "validation")]  # fmt: skip
    scored = ["--labels", *plan.labels(name, "test"), "--datasets", *plan.datasets(name, "test")]
    for model, seed in plan.runs(name):
        run = {"experiment": name, "model": model, "seed": seed}
        which = ["--model", model, "--seed", str(seed)]
        trained = plan.path("model", **run)
        cpu = ["--device", "cpu", "--threads", "1"]
        found.append(("train", [file, *which, *learnt, "--statistics", statistics, *cpu], trained))
        for period in plan.periods(name, "test"):
            data = ["--dataset", plan.dataset_of(name, period), "--before", *plan.datasets_before(name, period)]
            product = plan.path("product", **run, period=period)
            found.append(("predict", ["--model", trained, *data, *cpu], product))
        products = plan.products(name, model, seed)
        found.append(("score", [file, *which, "--products", *products, *scored], plan.path("score", **run)))
    board = plan.path("leaderboard", experiment=name)
    found.append(("leaderboard", [file, "--scores", *plan.run_paths("score", name)], board))
    shown = ["--models", *plan.run_paths("model", name), "--products", *plan.all_products(name), *scored]
    found.append(("report", [file, "--leaderboard", board, *shown], plan.path("report", experiment=name)))
    order = sorted(found, key=lambda job: STAGES.index(job[0]))
    return [Job(stage, (stage, *words, "--output", output), Path(output)) for stage, words, output in order]


def job_of(stage: str, plan: Plan) -> Job:
    """The job of a stage that has most to do: the network's where there are several models, else the middle month's."""
    found = [job for job in jobs(plan) if job.stage == stage]
    wanted = [job for job in found if MONTH in job.output.name or MODELS[0] in job.output.parts]
    return (wanted or found)[0]


def start(job: Job, folder: Path) -> BaseProcess:
    """Start a job in a process of its own, in the project's folder; what it logs goes nowhere."""
    process = FORKS.Process(target=_run, args=(job.arguments, str(folder)))
    process.start()
    return process


def finish(job: Job, folder: Path) -> float:
    """Run a job to its end and return the seconds it took; it must succeed."""
    begin = time.monotonic()
    process = start(job, folder)
    process.join()
    assert process.exitcode == 0, f"{job.stage} ended with {process.exitcode}: {(folder / 'job.log').read_text()}"
    return time.monotonic() - begin


def _run(arguments: tuple[str, ...], folder: str) -> None:
    from pipeline_lib.cli.app import main

    os.chdir(folder)
    log = os.open("job.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    raise SystemExit(main(list(arguments)))
