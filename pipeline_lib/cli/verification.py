"""The command that looks after what is stored: verify."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline_lib.cli.arguments import Commands, at_least_one

CONFIG = Path("config/config.yaml")
_MOST_THREADS = 8
"""More threads than that gain nothing: hashing is bound by the disk then."""
_GIGABYTE = 1e9
_EVERY_SECONDS = 30.0


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    verify = commands.add_parser(
        "verify",
        parents=[common],
        help="compare what is stored with its manifests",
        description="Compare every artefact with its manifest, and each manifest with those it was made from. One line "
        "for each that is not as it should be, with its first bad file and the remedy.",
        epilog="Exit code: 0 if all is well; 1 if all that is there is whole, but something is unfinished or an input "
        "is gone; 2 if there is nothing to verify; 5 if an artefact is damaged or out of date.",
    )
    verify.add_argument(
        "paths",
        type=Path,
        nargs="*",
        metavar="PATH",
        help="folders or manifests (default: the data and results folders of config/config.yaml)",
    )
    verify.add_argument("--quick", action="store_true", help="compare the set of files and their sizes, no SHA-256")
    verify.add_argument("--threads", type=at_least_one, default=None, help="threads that hash (default: up to 8)")
    verify.set_defaults(run=_verify)


def _verify(args: argparse.Namespace) -> None:
    import logging

    from pipeline_lib.errors import ConfigError, GyreError, StoreError
    from pipeline_lib.io.verification import verify_tree

    logger = logging.getLogger("pipeline_lib.verify")
    roots = args.paths or _configured()
    for root in roots:
        if not root.exists():
            raise ConfigError("no such file or folder", where=str(root), fix="name what is to be verified")
    threads = args.threads or min(_MOST_THREADS, os.cpu_count() or 1)
    start = time.monotonic()
    with _progress() as advance:
        outcome = verify_tree(roots, deep=not args.quick, threads=threads, advance=advance)
    levels = {"error": logging.ERROR, "warning": logging.WARNING, "busy": logging.INFO}
    for finding in outcome.findings:
        logger.log(levels[finding.severity], finding.line)
    bad, odd = len(outcome.of("error")), len(outcome.of("warning"))
    compared = "file sizes" if args.quick else "SHA-256"
    told = (
        f"{outcome.artefacts} artefacts, {outcome.files} files, {outcome.size / _GIGABYTE:.3g} GB, "
        f"{compared} compared in {time.monotonic() - start:.1f} s"
    )
    if bad:
        raise StoreError(f"{bad} damaged or out of date, {odd} warnings: {told}")
    if odd:
        raise GyreError(f"nothing is damaged, {odd} warnings: {told}")
    if not outcome.artefacts:
        raise ConfigError("no artefact lies there", where=", ".join(map(str, roots)), fix="name another folder")
    logger.info("all is well: %s", told)


def _configured() -> list[Path]:
    """Return the data and results folders of the configuration, as far as they are there."""
    from pipeline_lib.config.loader import parse_workflow
    from pipeline_lib.errors import ConfigError
    from pipeline_lib.io.yaml import load_yaml

    config = parse_workflow(load_yaml(CONFIG), where=str(CONFIG))
    folders = [config.data_dir, config.results_dir]
    found = [folder for folder in folders if folder.exists()]
    if not found:
        raise ConfigError("is not there yet", where=" and ".join(map(str, folders)), fix="run snakemake first")
    return found


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows how far it is: a line on a terminal, now and then a line in a log."""
    import logging

    logger = logging.getLogger("pipeline_lib.verify")
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("looking for manifests") as status:
            yield lambda count, size: status.update(f"{count} artefacts, {size / _GIGABYTE:.1f} GB compared")
        return
    last = time.monotonic()

    def advance(count: int, size: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_SECONDS:
            last = time.monotonic()
            logger.info("%d artefacts, %.1f GB compared", count, size / _GIGABYTE)

    yield advance
