"""Commands that run every night: update, status, publish."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_lib.cli.arguments import Commands, at_least_one, day, seed_number

if TYPE_CHECKING:
    from pipeline_lib.operations.engine import Engine
    from pipeline_lib.operations.journal import Entry
    from pipeline_lib.operations.status import Health
    from pipeline_lib.plan import Plan

DETAILS = "What it does and how to schedule it: docs/how-to/operations.md."


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    update = commands.add_parser(
        "update",
        parents=[common],
        help="ask the sources what is new and make that: fetch, preprocess, label, predict, score",
        description=f"Ask the sources what is new and let the workflow make that, and only that. {DETAILS}",
    )
    _add_experiments(update)
    update.add_argument("--dry-run", "-n", action="store_true", help="show what would be done and do nothing")
    update.add_argument("--today", type=day, default=None, metavar="DAY", help="take this day for today (UTC)")
    update.add_argument("--since", type=day, default=None, metavar="DAY", help="ask again for periods from this day on")
    update.add_argument("--all", action="store_true", help="make again what code or options made stale, too")
    update.add_argument("--profile", help="profile for Snakemake, for example slurm")
    update.add_argument("--cores", type=at_least_one, help="cores for Snakemake (default: all, without a profile)")
    update.add_argument("--snakefile", type=Path, help="the workflow (default: the Snakefile beside this package)")
    update.set_defaults(run=_update)

    status = commands.add_parser(
        "status",
        parents=[common],
        help="is the product up to date and good? one line per experiment, exit code for monitoring",
        description="One line per experiment. Exit code: 0 well, 1 warning, 2 critical, 3 no update has run yet.",
    )
    _add_experiments(status)
    status.add_argument("--today", type=day, default=None, metavar="DAY", help="take this day for today (UTC)")
    status.add_argument("--html", action="store_true", help="write results/status.html as well, as every update does")
    status.set_defaults(run=_status)

    publish = commands.add_parser(
        "publish",
        parents=[common],
        help="put the products of all periods into one Zarr store, with an intake catalog entry",
        description=f"Put the products of all finished periods into one consolidated, CF-checked Zarr store. {DETAILS}",
    )
    publish.add_argument("experiment", metavar="EXPERIMENT", help="name of an experiment with operations")
    publish.add_argument("--model", help="a model in use (default: the first)")
    publish.add_argument("--seed", type=seed_number, help="its seed (default: the first)")
    publish.add_argument(
        "--from", dest="first", type=day, default=date.min, metavar="DAY", help="leave out days before"
    )
    publish.add_argument("--to", dest="last", type=day, default=None, metavar="DAY", help="leave out days after")
    publish.add_argument("--output", type=Path, metavar="FOLDER", help="folder (default: published/ in the results)")
    _add_configfile(publish)
    publish.set_defaults(run=_publish)


def _add_experiments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="names (default: all with operations)")
    _add_configfile(parser)


def _add_configfile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--configfile", type=Path, default=Path("config/config.yaml"), metavar="FILE", help="configuration to use"
    )


def _plan(args: argparse.Namespace) -> Plan:
    from pipeline_lib.io.yaml import load_yaml
    from pipeline_lib.plan import load_plan

    return load_plan(load_yaml(args.configfile), where=str(args.configfile))


def _today(args: argparse.Namespace) -> date:
    return args.today or datetime.now(UTC).date()


def _engine(args: argparse.Namespace, plan: Plan) -> Engine:
    from pipeline_lib.operations.engine import Engine
    from pipeline_lib.operations.update import STATE

    snakefile = args.snakefile or Path(__file__).parents[2] / "Snakefile"
    return Engine(snakefile, args.configfile, plan.config.results_dir / STATE, args.profile, args.cores)


def _update(args: argparse.Namespace) -> int:
    from pipeline_lib.operations.update import Request, operational, preview, update

    plan = _plan(args)
    names = operational(plan, args.experiments)
    engine, request = _engine(args, plan), Request(_today(args), args.since, args.all)
    if args.dry_run:
        code = 0
        for name in names:
            entry, jobs = preview(plan, name, engine, request)
            sys.stdout.write(_line(entry, planned=True) + "\n")
            sys.stdout.write(f"  jobs: {', '.join(f'{n} {rule}' for rule, n in jobs.items()) or 'none'}\n")
            code = code or entry.code
        return code
    entries = update(plan, names, engine, request)
    for entry in entries:
        sys.stdout.write(_line(entry) + "\n")
    _write_page(plan, names, request.today)
    return next((entry.code for entry in entries if entry.code), 0)


def _write_page(plan: Plan, names: list[str], today: date) -> list[Health]:
    from pipeline_lib.operations.page import write_page
    from pipeline_lib.operations.status import health

    states = [health(plan, name, today) for name in names]
    write_page(plan, states, today, datetime.now(UTC))
    return states


def _status(args: argparse.Namespace) -> int:
    from pipeline_lib.operations.status import health, line, worst
    from pipeline_lib.operations.update import operational

    plan = _plan(args)
    names = operational(plan, args.experiments)
    today = _today(args)
    states = _write_page(plan, names, today) if args.html else [health(plan, name, today) for name in names]
    for state in states:
        sys.stdout.write(line(state, plan.experiment(state.experiment).watched[1]) + "\n")
    return worst(states)


def _publish(args: argparse.Namespace) -> None:
    from pipeline_lib.fingerprint import fingerprint
    from pipeline_lib.operations.publish import publish
    from pipeline_lib.operations.update import operational

    plan = _plan(args)
    (name,) = operational(plan, [args.experiment])
    done = publish(
        plan,
        name,
        model=args.model,
        seed=args.seed,
        days=(args.first, args.last or date.max),
        output=args.output,
        code=fingerprint("pipeline_lib.operations.publish"),
    )
    what = "published" if done.is_new else "already published"
    sys.stdout.write(f"{what}: {done.periods[0]} to {done.periods[-1]}, {done.store}\n")
    sys.stdout.write(f'  intake.open_catalog("{done.catalog}")["{done.entry}"].to_dask()\n')


def _line(entry: Entry, *, planned: bool = False) -> str:
    """One line that says what an update did, or would do."""
    parts = [
        f"{len(periods)} {what} ({_shortened(periods)})"
        for what, periods in (
            ("new", entry.new),
            ("changed at the provider" if planned else "re-issued", entry.reissued),
            ("final", entry.final),
            ("missing", entry.missing),
            ("to make" if planned else "made", entry.made),
            ("failed", entry.failed),
            ("model to train" if planned else "new model", entry.models),
        )
        if periods
    ]
    return f"{entry.experiment}: {', '.join(parts) or 'nothing new'}{''.join(f'; {note}' for note in entry.notes)}"


def _shortened(names: list[str], shown: int = 3) -> str:
    return ", ".join(names) if len(names) <= shown else f"{names[0]} to {names[-1]}"
