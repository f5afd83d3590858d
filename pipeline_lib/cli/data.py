"""Commands that make data: fetch, preprocess, statistics, label."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline_lib.cli.arguments import (
    Commands,
    add_catalog,
    add_experiment,
    add_manifests,
    add_output,
    at_least_one,
    json_options,
)


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    fetch = commands.add_parser("fetch", parents=[common], help="bring the files of a source here, checked")
    fetch.add_argument("source", help="name of a catalog entry")
    fetch.add_argument(
        "--part",
        default="all",
        help="'all', or a period of a source fetched by period",
    )
    fetch.add_argument("--mirror", type=Path, help="folder that is searched, by name and checksum, before the network")
    add_catalog(fetch)
    add_output(fetch)
    fetch.set_defaults(run=_fetch)

    prepare = commands.add_parser("preprocess", parents=[common], help="make the analysis-ready Zarr of one period")
    prepare.add_argument("source", help="name of a catalog entry")
    prepare.add_argument("--period", required=True, metavar="PERIOD", help="YYYY-MM, or YYYY-MM-DD of days")
    prepare.add_argument("--raw", type=Path, required=True, metavar="FILE", help="manifest of the fetched part")
    prepare.add_argument("--threads", type=at_least_one, default=1, help="Dask threads; the result is the same")
    prepare.add_argument("--dask", default="{}", metavar="JSON", help="workers in their place: key dask of config.yaml")
    add_catalog(prepare)
    add_output(prepare)
    prepare.set_defaults(run=_preprocess)

    statistics = commands.add_parser("statistics", parents=[common], help="mean and spread of the training days")
    add_experiment(statistics)
    add_manifests(statistics, "datasets")
    add_output(statistics)
    statistics.set_defaults(run=_statistics)

    label = commands.add_parser("label", parents=[common], help="label one period: class map and table of objects")
    label.add_argument("--labeller", required=True, help="name of a registered labeller")
    label.add_argument("--options", default="{}", metavar="JSON", help="options of the labeller")
    label.add_argument("--dataset", type=Path, required=True, metavar="FILE", help="manifest of the dataset's period")
    add_output(label)
    label.set_defaults(run=_label)


def _fetch(args: argparse.Namespace) -> None:
    from pipeline_lib.catalog import Catalog
    from pipeline_lib.fetch.stage import fetch_source
    from pipeline_lib.plan import stage_code

    source = Catalog.load(args.catalog, wanted=[args.source]).source(args.source)
    code = stage_code("fetch", *source.fetch_modules())
    fetch_source(source, part=args.part, output=args.output, mirror=args.mirror, code=code)


def _preprocess(args: argparse.Namespace) -> None:
    from pipeline_lib.catalog import Catalog
    from pipeline_lib.config.validation import validate
    from pipeline_lib.parallel import DaskOptions
    from pipeline_lib.plan import stage_code
    from pipeline_lib.preprocess.stage import Delivery, preprocess_period

    source = Catalog.load(args.catalog, wanted=[args.source]).source(args.source)
    workers = validate(DaskOptions, json_options(args.dask, where="--dask"), where="--dask").for_source(args.source)
    preprocess_period(
        raw=args.raw,
        output=args.output,
        period=args.period,
        delivery=Delivery(
            variables=source.variables,
            coverage=(source.time.start, source.time.end),
            step_hours=source.time.step_hours,
            form=source.block.form,
            reader=source.reader,
        ),
        preparation=source.preparation.name,
        preparation_options=source.preparation_options,
        code=stage_code("preprocess", *source.dataset_modules()),
        threads=args.threads,
        workers=workers,
    )


def _statistics(args: argparse.Namespace) -> None:
    from pipeline_lib.config.loader import load_experiment
    from pipeline_lib.plan import stage_code
    from pipeline_lib.preprocess.statistics import training_statistics

    spec = load_experiment(args.experiment).spec
    train = spec.split.train
    training_statistics(
        datasets=args.datasets,
        inputs=spec.inputs,
        train=(train.first, train.last),
        output=args.output,
        code=stage_code("statistics"),
    )


def _label(args: argparse.Namespace) -> None:
    from pipeline_lib.config.validation import validate
    from pipeline_lib.label.registry import LABELLERS
    from pipeline_lib.label.stage import label_period
    from pipeline_lib.plan import stage_code

    options = validate(LABELLERS.get(args.labeller).Options, json_options(args.options), where="--options")
    label_period(
        dataset=args.dataset,
        output=args.output,
        labeller=args.labeller,
        options=options,
        code=stage_code("label", LABELLERS.module(args.labeller)),
    )
