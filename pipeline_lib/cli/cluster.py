"""Commands around a batch system: recover."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline_lib.cli.arguments import Commands, at_least_one


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    recover = commands.add_parser(
        "recover",
        parents=[common],
        help="after the Snakemake driver died: end the Slurm jobs it left behind, and unlock",
        description="Slurm jobs live on when the Snakemake that submitted them is killed, and the next one would "
        "submit them a second time. This command finds them by the run id in .snakemake/log, cancels them, waits "
        "until they are gone and unlocks the folder. Training goes on from its last checkpoint when Snakemake is "
        "started again. As long as a Snakemake runs in the folder, nothing is touched.",
    )
    recover.add_argument(
        "--directory", type=Path, default=Path(), metavar="FOLDER", help="folder in which Snakemake ran (default: here)"
    )
    recover.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    recover.add_argument(
        "--wait",
        action="store_true",
        help="let the jobs end instead of cancelling them; their results are made again all the same, because "
        "Snakemake has not seen them end",
    )
    recover.add_argument(
        "--timeout", type=at_least_one, default=None, metavar="MINUTES",
        help="give up when jobs are still there after so long (default: 10, with --wait 1440)",
    )  # fmt: skip
    recover.add_argument(
        "--driver-is-gone",
        action="store_true",
        help="the driver ran on another machine and is known to have ended; from here its process cannot be seen",
    )
    recover.set_defaults(run=_recover)


CANCEL_MINUTES, WAIT_MINUTES = 10, 1440


def _recover(args: argparse.Namespace) -> None:
    from pipeline_lib.cluster.recover import recover

    minutes = args.timeout or (WAIT_MINUTES if args.wait else CANCEL_MINUTES)
    recover(
        args.directory,
        wait=args.wait,
        dry_run=args.dry_run,
        gone=args.driver_is_gone,
        timeout=60.0 * minutes,
    )
