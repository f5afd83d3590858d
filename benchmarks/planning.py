"""Planning a large archive: how long Snakemake takes to say what is to be done, and that nothing is.

    PYTHONPATH=. python benchmarks/planning.py --years 40 --seeds 19

A source of monthly files, labels, and one network with many seeds whose products cover the whole archive give some
10,000 jobs. Nothing is computed: for the second figure every declared output is an empty file that Snakemake was told
to take for done (``--touch``).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
IMPATIENT = """
from snakemake.executors.touch import Executor
Executor.SLEEPING_TIME = 0  # else a tenth of a second for each of thousands of jobs
from snakemake.cli import main
main()
"""


def write_project(folder: Path, years: int, seeds: int) -> None:
    """Write a catalog with one monthly source and an experiment that tests on all but its first two years."""
    catalog = {
        "metadata": {
            "version": 1,
            "parameters": {"data_dir": {"description": "data", "type": "str", "default": "data"}},
        },
        "sources": {
            "archive": {
                "description": "Monthly files",
                "driver": "netcdf",
                "args": {
                    "urlpath": "{{ data_dir }}/archive/raw/*.nc",
                    "chunks": {},
                    "path_as_pattern": False,
                    "xarray_kwargs": {"engine": "h5netcdf"},
                },
                "metadata": {
                    "gyre": {
                        "citation": "Generated",
                        "licence": "CC0-1.0",
                        "homepage": "https://example.org",
                        "variables": {"adt": {"name": "adt", "units": "m"}},
                        "time": {"start": "1980-01-01", "end": f"{1979 + years}-12-31", "step_hours": 24},
                        "parts": "monthly",
                        "fetch": {"driver": "file", "path": str(folder / "{year}{month}.nc")},
                        "preparation": {"name": "gridded_ssh"},
                    }
                },
            }
        },
    }
    experiment = {
        "title": "Archive",
        "task": "segmentation",
        "source": "archive",
        "labels": {"labeller": "pet14"},
        "inputs": ["adt_high_pass"],
        "split": {
            "train": ["1980-01-01", "1980-12-31"],
            "validation": ["1981-02-01", "1981-12-01"],
            "test": ["1982-01-01", f"{1979 + years}-12-31"],
        },
        "models": ["eddynet"],
        "seeds": list(range(seeds)),
    }
    (folder / "config/experiments").mkdir(parents=True)
    (folder / "config/config.yaml").write_text(yaml.safe_dump({"experiments": ["archive"]}))
    (folder / "config/catalog.yaml").write_text(yaml.safe_dump(catalog))
    (folder / "config/experiments/archive.yaml").write_text(yaml.safe_dump(experiment))


def snakemake(folder: Path, *arguments: str, start: tuple[str, str] = ("-m", "snakemake")) -> tuple[float, str]:
    """Run Snakemake; return seconds and what it printed."""
    command = [sys.executable, *start, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    begin = time.perf_counter()
    done = subprocess.run([*command, "--cores", "1", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return time.perf_counter() - begin, done.stdout + done.stderr


def touch_outputs(folder: Path) -> None:
    """Make every declared output an empty file, inputs before what is made of them."""
    _, table = snakemake(folder, "--summary")
    for line in table.splitlines()[1:]:
        name = line.split("\t", 1)[0]
        if "/" in name:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    snakemake(folder, "--touch", "--quiet", "all", start=("-c", IMPATIENT))


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=19)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gyre-benchmark-") as name:
        folder = Path(name)
        write_project(folder, args.years, args.seeds)
        seconds, printed = snakemake(folder, "--dry-run", "--quiet", "rules")
        jobs = re.search(r"^total +(\d+)", printed, flags=re.MULTILINE)
        print(f"{jobs[1] if jobs else '?'} jobs; plan of an empty folder: {seconds:.1f} s")
        touch_outputs(folder)
        seconds, printed = snakemake(folder, "--dry-run")
        nothing = "Nothing to be done" in printed
        print(f"plan when all is done: {seconds:.1f} s ({'nothing to be done' if nothing else 'SOMETHING TO BE DONE'})")


if __name__ == "__main__":
    main()
