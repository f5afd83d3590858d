"""Commands that judge and show: score, leaderboard, report."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline_lib.cli.arguments import Commands, add_experiment, add_manifests, add_output, day, seed_number


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    score = commands.add_parser("score", parents=[common], help="compare the products of one run with the labels")
    add_experiment(score)
    score.add_argument("--model", required=True, help="name of a model in the experiment")
    score.add_argument("--seed", type=seed_number, required=True, help="seed of the run")
    score.add_argument(
        "--days",
        nargs=2,
        type=day,
        metavar=("FIRST", "LAST"),
        help="score these days instead of the test, and put metrics with intervals into the manifest",
    )
    add_manifests(score, "products", "datasets")
    add_manifests(score, "labels", required=False)
    add_output(score)
    score.set_defaults(run=_score)

    leaderboard = commands.add_parser("leaderboard", parents=[common], help="scores of all runs, with intervals")
    add_experiment(leaderboard)
    add_manifests(leaderboard, "scores")
    add_output(leaderboard)
    leaderboard.set_defaults(run=_leaderboard)

    report = commands.add_parser("report", parents=[common], help="figures and one self-contained page")
    add_experiment(report)
    report.add_argument("--leaderboard", type=Path, required=True, metavar="FILE", help="manifest of the leaderboard")
    add_manifests(report, "models", "products", "datasets")
    add_manifests(report, "labels", required=False)
    add_output(report)
    report.set_defaults(run=_report)


def _score(args: argparse.Namespace) -> None:
    from pipeline_lib.config.loader import load_experiment
    from pipeline_lib.plan import stage_code
    from pipeline_lib.score.stage import score_run
    from pipeline_lib.tasks.registry import TASKS

    loaded = load_experiment(args.experiment)
    defined = loaded.defined(args.model, args.seed)
    test = loaded.spec.split.test
    first, last = args.days or (test.first, test.last)
    score_run(
        task=loaded.spec.task,
        model=args.model,
        seed=args.seed,
        products=args.products,
        labels=args.labels,
        datasets=args.datasets,
        test=(first, last),
        options=loaded.scoring,
        output=args.output,
        code=stage_code("score", f"{TASKS.module(loaded.spec.task)}.score"),
        summarise=args.days is not None,
        defined=defined,
    )


def _leaderboard(args: argparse.Namespace) -> None:
    from pipeline_lib.config.loader import load_experiment
    from pipeline_lib.plan import stage_code
    from pipeline_lib.score.stage import build_leaderboard
    from pipeline_lib.tasks.registry import TASKS

    loaded = load_experiment(args.experiment)
    build_leaderboard(
        task=loaded.spec.task,
        models=loaded.spec.names,
        scores=args.scores,
        published=loaded.spec.published,
        source=loaded.spec.source,
        settings={name: loaded.settings(name) for name in loaded.spec.names},
        options=loaded.scoring,
        output=args.output,
        code=stage_code("leaderboard", f"{TASKS.module(loaded.spec.task)}.score", "pipeline_lib.published"),
    )


def _report(args: argparse.Namespace) -> None:
    from pipeline_lib.config.loader import load_experiment
    from pipeline_lib.plan import stage_code
    from pipeline_lib.report.stage import build_report
    from pipeline_lib.tasks.registry import TASKS

    loaded = load_experiment(args.experiment)
    build_report(
        experiment=loaded,
        leaderboard=args.leaderboard,
        models=args.models,
        products=args.products,
        labels=args.labels,
        datasets=args.datasets,
        output=args.output,
        code=stage_code("report", f"{TASKS.module(loaded.spec.task)}.report"),
    )
