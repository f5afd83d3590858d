"""Commands around models: train, predict."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pipeline_lib.cli.arguments import (
    Commands,
    add_experiment,
    add_manifests,
    add_output,
    at_least_one,
    duration,
    seed_number,
)

DEVICES = ("auto", "cpu", "cuda")


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    _add_train(commands, common)
    _add_predict(commands, common)


def _add_train(commands: Commands, common: argparse.ArgumentParser) -> None:
    train = commands.add_parser("train", parents=[common], help="train one model with one seed")
    add_experiment(train)
    train.add_argument("--model", required=True, help="name of a model in the experiment")
    train.add_argument(
        "--seed", type=seed_number, required=True, help="number that all of its random numbers follow from"
    )
    add_manifests(train, "datasets")
    add_manifests(train, "labels", required=False)
    train.add_argument("--statistics", type=Path, required=True, metavar="FILE", help="manifest of the statistics")
    _add_compute(train)
    train.add_argument(
        "--devices",
        type=at_least_one,
        default=1,
        metavar="N",
        help="processes that train together, each with a part of every batch: one per GPU, or on a CPU sharing threads",
    )
    train.add_argument(
        "--time-limit",
        type=duration,
        metavar="TIME",
        help="time that this command may take, such as 90m, 4h or 2d: it saves and exits with 75 before, and goes on"
        " when it is run again (default: until the end of the job, as GYRE_END_TIME or Slurm tells)",
    )
    add_output(train)
    train.set_defaults(run=_train)


def _add_predict(commands: Commands, common: argparse.ArgumentParser) -> None:
    predict = commands.add_parser(
        "predict",
        parents=[common],
        help="apply a model to a period of a dataset, or to files of your own",
        description="Give --dataset for a period of the workflow, or --input for files or a Zarr store of your own.",
    )
    predict.add_argument("--model", type=Path, required=True, metavar="FILE", help="model.json of a trained model")
    source = predict.add_mutually_exclusive_group(required=True)
    source.add_argument("--dataset", type=Path, metavar="FILE", help="manifest of a dataset's period")
    source.add_argument(
        "--input",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="netCDF files or a Zarr store with the model's variables, or files for --reader",
    )
    predict.add_argument(
        "--before",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="with --dataset: manifest of the period before, whose last frames the first forecasts see",
    )
    predict.add_argument(
        "--every-start",
        action="store_true",
        help="with --dataset: do not thin forecasts out as the test's are (training.stride)",
    )
    predict.add_argument(
        "--reader",
        metavar="NAME",
        help="with --input: how the files are read, by the name that catalog entries use (default: netcdf)",
    )
    predict.add_argument(
        "--variable",
        action="append",
        default=[],
        metavar="NAME=NAME_IN_FILE",
        help="with --input: a variable whose name in the file differs, for example adt=ssh",
    )
    _add_compute(predict)
    add_output(predict, "manifest to write, or with --input the Zarr store to write", ends="")
    predict.set_defaults(run=_predict)


def _add_compute(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=DEVICES, default="auto", help="auto takes a GPU when there is one")
    parser.add_argument("--threads", type=at_least_one, default=None, help="CPU threads (default: all)")


def _train(args: argparse.Namespace) -> None:
    begin = time.time()
    from pipeline_lib.config.loader import load_experiment
    from pipeline_lib.models.registry import MODELS
    from pipeline_lib.plan import stage_code
    from pipeline_lib.tasks.registry import TASKS
    from pipeline_lib.train.deadline import end_of_job
    from pipeline_lib.train.stage import Compute, Definition, train_model

    loaded = load_experiment(args.experiment)
    entry = loaded.spec.entry(args.model)
    split = loaded.spec.split
    train_model(
        Definition(
            task=loaded.spec.task,
            model=entry.model,
            model_options=loaded.model_options(args.model),
            training=loaded.training(args.model),
            inputs=tuple(loaded.spec.inputs),
            train=(split.train.first, split.train.last),
            validation=(split.validation.first, split.validation.last),
            seed=args.seed,
        ),
        datasets=args.datasets,
        labels=args.labels,
        statistics=args.statistics,
        output=args.output,
        compute=Compute(args.device, args.devices, args.threads, end_of_job(args.time_limit, begin=begin)),
        code=stage_code("train", f"{TASKS.module(loaded.spec.task)}.train", MODELS.module(entry.model)),
    )


def _predict(args: argparse.Namespace) -> None:
    from pipeline_lib.predict.stage import predict_file, predict_period

    _refuse_other_mode(args)
    if args.dataset is not None:
        predict_period(
            model=args.model,
            dataset=args.dataset,
            before=args.before,
            every_start=args.every_start,
            output=args.output,
            device=args.device,
            threads=args.threads,
            code=_predict_code(args.model),
        )
    else:
        predict_file(
            model=args.model,
            sources=args.input,
            reader=args.reader or "netcdf",
            names=_names(args.variable),
            output=args.output,
            device=args.device,
            threads=args.threads,
        )


def _refuse_other_mode(args: argparse.Namespace) -> None:
    """Refuse options that belong to --input beside --dataset, and the other way round: they would do nothing."""
    from pipeline_lib.errors import ConfigError

    stored = args.dataset is not None
    mode, other = ("--dataset", "--input") if stored else ("--input", "--dataset")
    unused = ("reader", "variable") if stored else ("before", "every-start")
    for name in unused:
        if getattr(args, name.replace("-", "_")):
            raise ConfigError(f"goes with {other}, not with {mode}", where=f"--{name}", fix="leave it out")


def _predict_code(model: Path) -> str:
    from pipeline_lib.io.manifest import read_manifest
    from pipeline_lib.models.registry import MODELS
    from pipeline_lib.plan import stage_code
    from pipeline_lib.tasks.registry import TASKS

    content = read_manifest(model, kind="model", verify="none").content
    spec = content.get("algorithm") or content["spec"]
    return stage_code("predict", f"{TASKS.module(spec['task'])}.predict", MODELS.module(spec["model"]))


def _names(pairs: list[str]) -> dict[str, str]:
    from pipeline_lib.errors import ConfigError

    names = {}
    for pair in pairs:
        name, sign, in_file = pair.partition("=")
        if not (sign and name and in_file):
            raise ConfigError(f"{pair!r} is not NAME=NAME_IN_FILE", where="--variable", fix="write for example adt=ssh")
        names[name] = in_file
    return names
