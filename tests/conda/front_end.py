"""The part of conda's command line that Snakemake 9 calls, on py-rattler (the solver and installer of pixi).

NOT conda: for tests where conda cannot be had. A channel called NAME is the folder ``$GYRE_CONDA_CHANNELS/NAME``.
It knows ``--version``, ``info --json``, ``config --get channel_priority --json``, ``clean --tarballs`` and
``env create --file --prefix``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import yaml
from rattler import VirtualPackage, install, solve

VERSION = "24.7.1"
"""The oldest that Snakemake 9 takes."""
ROOT = Path(__file__).resolve().parent
SUBDIRS = ("linux-64", "noarch")
NO_CHANNEL = "nodefaults"
"""A word among the channels that means: nothing but the channels named."""


async def create(prefix: Path, environment: dict) -> None:
    """Solve and link an environment, with hard links where the cache lies on the same file system."""
    channels = Path(os.environ["GYRE_CONDA_CHANNELS"])
    urls = [(channels / name).as_uri() for name in environment["channels"] if name != NO_CHANNEL]
    specs = environment["dependencies"]
    if odd := [spec for spec in specs if not isinstance(spec, str)]:
        sys.exit(f"this is not conda: {odd} is not understood")
    records = await solve(urls, specs, platforms=SUBDIRS, virtual_packages=VirtualPackage.detect())
    await install(records, target_prefix=prefix, cache_dir=channels / "cache", show_progress=False)


def main(arguments: list[str]) -> None:
    """Do what Snakemake asks for, or end with a message."""
    parser = argparse.ArgumentParser(prog="conda (stand-in for tests)")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--prefix", type=Path)
    parser.add_argument("--get")
    for flag in ("--version", "--json", "--quiet", "--no-default-packages", "-y", "--tarballs"):
        parser.add_argument(flag, action="store_true")
    args = parser.parse_args(arguments)
    if args.version:
        answer: object = f"conda {VERSION}"
    elif args.words == ["info"]:
        answer = {"conda_prefix": str(ROOT), "platform": SUBDIRS[0], "conda_version": VERSION}
    elif args.words == ["config"] and args.get:
        answer = {"get": {args.get: "strict"}}
    elif args.words == ["env", "create"]:
        asyncio.run(create(args.prefix, yaml.safe_load(args.file.read_text())))
        answer = {"success": True}
    elif args.words == ["clean"]:
        answer = ""  # the cache goes with the channel
    else:
        sys.exit(f"this is not conda: {' '.join(arguments)} is not understood")
    sys.stdout.write((answer if isinstance(answer, str) else json.dumps(answer)) + "\n")


main(sys.argv[1:])
sys.stdout.flush()
os._exit(0)  # a thread of py-rattler that is still running aborts Python's end once in a while
