"""Commands about the project itself: generated pages, and what the registries hold."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline_lib.cli.arguments import Commands


def add_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    reference = commands.add_parser("reference", parents=[common], help="write or check schemas and generated pages")
    reference.add_argument("--root", type=Path, default=Path(), metavar="FOLDER", help="root of the repository")
    reference.add_argument("--check", action="store_true", help="change nothing; fail if a file is not up to date")
    reference.set_defaults(run=_reference)

    show = commands.add_parser("list", parents=[common], help="list tasks, models, labellers, metrics, drivers, …")
    show.add_argument("kind", nargs="?", help="one kind only")
    show.set_defaults(run=_list)


def _reference(args: argparse.Namespace) -> None:
    from pipeline_lib.cli.app import build_parser
    from pipeline_lib.errors import ConfigError
    from pipeline_lib.io.atomic import write_text
    from pipeline_lib.reference.pages import generated_files

    files = generated_files(build_parser())
    stale = [path for path, text in files.items() if not _holds(args.root / path, text)]
    if args.check and stale:
        raise ConfigError(f"not up to date: {', '.join(map(str, stale))}", fix="run make reference")
    for path in stale:
        write_text(args.root / path, files[path])


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _list(args: argparse.Namespace) -> None:
    from pipeline_lib.errors import ConfigError, closest
    from pipeline_lib.fetch.registry import DRIVERS
    from pipeline_lib.label.registry import LABELLERS
    from pipeline_lib.metrics import METRICS
    from pipeline_lib.models.registry import MODELS
    from pipeline_lib.preparations.registry import PREPARATIONS
    from pipeline_lib.readers.registry import READERS
    from pipeline_lib.simulations.registry import SIMULATIONS
    from pipeline_lib.tasks.registry import TASKS

    registries = (TASKS, MODELS, LABELLERS, METRICS, DRIVERS, READERS, SIMULATIONS, PREPARATIONS)
    kinds = {registry.kind: registry for registry in registries}
    wanted = args.kind if args.kind in kinds else str(args.kind).removesuffix("s")
    if args.kind is not None and wanted not in kinds:
        raise ConfigError(f"no kind is called {args.kind!r}", fix=closest(args.kind, kinds))
    for kind, registry in kinds.items():
        if args.kind is None or kind == wanted:
            sys.stdout.write(f"{kind}: {', '.join(registry.names())}\n")
