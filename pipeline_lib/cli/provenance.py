"""Commands about where results come from: the chain behind a file, and its description as an RO-Crate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline_lib.cli.arguments import Commands, add_output


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    chain = commands.add_parser(
        "provenance",
        parents=[common],
        help="trace a figure, table, store or model back to the raw files and their citations",
        description="Exit code 5 if the file is unknown, or an ancestor is missing or was changed.",
    )
    chain.add_argument("target", type=Path, metavar="FILE", help="figure, page, table, Zarr store, weights or manifest")
    chain.add_argument("--json", action="store_true", help="all of it, for programs")
    chain.add_argument("--deep", action="store_true", help="hash every file of every ancestor, not only its size")
    chain.add_argument(
        "--below",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="where the manifest of a copied file is searched for (default: the working folder)",
    )
    chain.set_defaults(run=_provenance)

    crate = commands.add_parser(
        "crate",
        parents=[common],
        help="describe the run behind a report as a Workflow Run RO-Crate",
        description="The folder of the output becomes the crate. Its times are the only ones that any result holds;"
        " ro-crate-preview.html beside it shows them.",
    )
    crate.add_argument("report", type=Path, metavar="REPORT", help="manifest of the report")
    crate.add_argument(
        "--workflow", type=Path, default=Path(), metavar="FOLDER", help="folder of the Snakefile (default: this one)"
    )
    crate.add_argument("--snakemake", default="", metavar="VERSION", help="version of Snakemake that ran it")
    crate.add_argument("--benchmarks", type=Path, metavar="FOLDER", help="folder of Snakemake's run-time tables")
    add_output(crate, "ro-crate-metadata.json beside the report")
    crate.set_defaults(run=_crate)


def _crate(args: argparse.Namespace) -> None:
    from pipeline_lib.provenance.crate import write_crate

    write_crate(
        args.report,
        workflow=args.workflow,
        snakemake=args.snakemake,
        benchmarks=args.benchmarks,
        output=args.output,
    )


def _provenance(args: argparse.Namespace) -> None:
    import json

    from pipeline_lib.provenance.tell import as_lines, as_plain, require_whole, trace

    found, nodes = trace(args.target, below=args.below, deep=args.deep)
    if args.json:
        text = json.dumps(as_plain(args.target, found, nodes), indent=2, ensure_ascii=False)
    else:
        text = "\n".join(as_lines(args.target, found, nodes))
    sys.stdout.write(text + "\n")
    require_whole(args.target, found, nodes)
