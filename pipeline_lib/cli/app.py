"""The parser and the one place where errors become lines and exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from pipeline_lib import __version__
from pipeline_lib.cli import (
    cluster,
    data,
    evaluation,
    learning,
    netgen,
    operations,
    provenance,
    reference,
    verification,
)
from pipeline_lib.errors import GyreError
from pipeline_lib.log import set_up

INTERRUPTED = 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with one sub-command per stage and tool."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline_lib",
        description="Gyre: reanalysis and satellite data to trained models, predictions, scores and a report.",
        epilog="The workflow runs these stages for you: snakemake --cores 2",
    )
    parser.add_argument("--version", action="version", version=f"gyre {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--log", metavar="FILE", help="write the log to this file as well")
    common.add_argument("--verbose", action="store_true", help="log details")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in (data, learning, evaluation, netgen, operations, provenance, verification, cluster, reference):
        group.add_commands(commands, common)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, the command's own, or the code of the error that ended it."""
    args = build_parser().parse_args(argv)
    try:
        from pathlib import Path

        set_up(log_file=Path(args.log) if args.log else None, verbose=args.verbose)
        code: int | None = args.run(args)
    except GyreError as error:
        for line in error.lines:
            logging.getLogger("pipeline_lib").error(line)
        return error.exit_code
    except KeyboardInterrupt:
        logging.getLogger("pipeline_lib").error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("pipeline_lib"):
            what = f"{error.name} is not installed in {sys.prefix}"
            logging.getLogger("pipeline_lib").error(f"{what}; run make install, or activate the environment of Gyre")
            return 1
        logging.getLogger("pipeline_lib").exception("a defect of the program; please report it with this log")
        return 70
    return code or 0
