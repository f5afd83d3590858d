"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

from pipeline_lib.errors import ConfigError

Commands = Any
"""What ``ArgumentParser.add_subparsers`` returns; its class is private to argparse."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_output(parser: argparse.ArgumentParser, what: str = "manifest to write", *, ends: str = ".json") -> None:
    """Add ``--output``, of a file whose name ends so."""

    def file(text: str) -> Path:
        if not text.endswith(ends):
            raise argparse.ArgumentTypeError(
                f"{text!r} is no manifest: its name ends in {ends}, its files lie beside it"
            )
        return Path(text)

    parser.add_argument("--output", type=file, required=True, metavar="FILE", help=what)


def add_catalog(parser: argparse.ArgumentParser) -> None:
    """Add ``--catalog``."""
    parser.add_argument(
        "--catalog", type=Path, default=Path("config/catalog.yaml"), metavar="FILE", help="data catalog"
    )


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Add the experiment file as a positional argument."""
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT", help="experiment file (YAML)")


def add_manifests(parser: argparse.ArgumentParser, *names: str, required: bool = True) -> None:
    """Add options that take one or more manifests each, such as ``--datasets a.json b.json``."""
    for name in names:
        parser.add_argument(
            f"--{name}", type=Path, nargs="+" if required else "*", required=required, default=[], metavar="FILE",
            help=f"manifests of {name}",
        )  # fmt: skip


def at_least_one(text: str) -> int:
    """Parse a whole number that is not below 1; argparse tells what is wrong with any other."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def seed_number(text: str) -> int:
    """Parse a seed, a whole number that is not below 0; argparse tells what is wrong with any other."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed: write a whole number of at least 0")
    return int(text)


def day(text: str) -> date:
    """Parse a day; argparse tells what is wrong with anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day, write YYYY-MM-DD") from error


def duration(text: str) -> float:
    """Parse a duration such as ``90m`` and return seconds; argparse tells what is wrong with any other."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write a number and one of s, m, h, d, such as 4h")
    return float(match[1]) * _SECONDS[match[2]]


def json_options(text: str, *, where: str = "--options") -> dict[str, Any]:
    """Parse a JSON object given on the command line; raise :class:`ConfigError` if it is none."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"is not JSON: {error}", where=where) from error
    if not isinstance(value, dict):
        raise ConfigError("is not a JSON object", where=where, fix='write {"key": value}')
    return value
