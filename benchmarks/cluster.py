"""What Slurm costs: the configured experiments as Slurm jobs against the same run on this machine alone.

    PYTHONPATH=. python benchmarks/cluster.py --config mirror=/data/mirror

Both runs start in fresh clones and share this machine's processors; the cluster is the one that the tests start (needs
root and ``make system-slurm``). Networks are trained with one thread each. All manifests of the two runs must be equal.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster import cluster
from tests.workflow.project import identities

ROOT = Path(__file__).parents[1]


def timed(folder: Path, settings: list[str], *arguments: str) -> float:
    """Run Snakemake in a folder and return the seconds it took."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--set-threads", "train=1", "--quiet", "all"]
    begin = time.perf_counter()
    with (folder / "driver.log").open("ab") as log:
        subprocess.run([*command, "--config", *settings], cwd=folder, stdout=log, stderr=log, check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="*", default=[], help="settings, as for snakemake")
    settings = parser.parse_args().config
    reason = cluster.why_not()
    if reason:
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory(prefix="gyre-benchmark-") as name:
        here, there = Path(name) / "here", Path(name) / "there"
        for folder in (here, there):
            subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        alone = timed(here, settings, "--cores", "2")
        print(f"this machine alone: {alone:.0f} s", flush=True)
        with cluster.cluster() as slurm:
            os.environ.update(slurm.environment)
            submitted = timed(there, settings, "--profile", "slurm")
            jobs = len(slurm.jobs())
            again = timed(there, settings, "--profile", "slurm")
        same = identities(here) == identities(there)
    print(f"as {jobs} Slurm jobs: {submitted:.0f} s, ratio {submitted / alone:.2f}; nothing to do: {again:.1f} s")
    print(f"all manifests equal: {'yes' if same else 'NO'}")


if __name__ == "__main__":
    main()
