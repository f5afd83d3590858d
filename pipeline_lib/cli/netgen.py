"""The command that turns equations into the source of a network: netgen."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline_lib.cli.arguments import Commands, at_least_one
from pipeline_lib.errors import ConfigError

SECOND = 2


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    netgen = commands.add_parser(
        "netgen",
        parents=[common],
        help="turn a system of partial differential equations into a PyTorch module",
        description="Write the source of a PyTorch module that computes the time derivatives of a system of partial "
        "differential equations by finite differences. Unknown numbers in the equations become parameters, unknown "
        "functions are networks that it is given. The source needs torch and nothing else.",
        epilog="A file holds name, coordinates (with the lengths of the domain), grid and equations, and as needed "
        "constants, trainable, exogenous, closures and walls. Examples that come along, by name: burgers, "
        "burgers_uncertainty, burgers_uncertainty_network, diffusion, shallow_water. Exit code 2: a term cannot be "
        "translated; it is named.",
    )
    netgen.add_argument("system", metavar="SYSTEM", help="file (YAML) or name of an example")
    netgen.add_argument("--output", type=Path, metavar="FILE", help="Python file to write (default: show the source)")
    netgen.add_argument(
        "--order",
        type=at_least_one,
        default=SECOND,
        metavar="ORDER",
        help="order of accuracy of the differences: 2, 4, ... (default: 2)",
    )
    netgen.add_argument(
        "--grid",
        type=at_least_one,
        nargs="+",
        metavar="POINTS",
        help="points along each coordinate (default: those of the file)",
    )
    netgen.set_defaults(run=_netgen)


def _netgen(args: argparse.Namespace) -> None:
    from pipeline_lib.io.atomic import write_text
    from pipeline_lib.netgen.description import find_system
    from pipeline_lib.netgen.source import generate
    from pipeline_lib.netgen.system_file import read_system

    file = find_system(args.system)
    if args.output is not None and args.output.resolve() == file.resolve():
        raise ConfigError("is the system itself", where=f"--output {args.output}", fix="name another file")
    system, grid = read_system(file)
    source = generate(system, args.grid or grid, order=args.order)
    if args.output is None:
        sys.stdout.write(source)
    else:
        write_text(args.output, source)
