"""What checking costs: the share of a run's time in comparing inputs with their manifests and in recording outputs.

    PYTHONPATH=. python benchmarks/verification.py --config mirror=/data/mirror

Snakemake runs the configured experiments in an empty folder. Python loads :data:`CLOCKS` at the start of each job,
which puts clocks around the two places where artefacts are checked and recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLOCKS = """
import atexit, json, os, sys, time
words = sys.orig_argv[1:]
if words[:2] == ["-m", "pipeline_lib"]:
    begin, clock = time.perf_counter(), {"checking": 0.0, "recording": 0.0}
    import pipeline_lib.io.manifest as manifest

    def clocked(function, name):
        def run(*args, **options):
            start = time.perf_counter()
            result = function(*args, **options)
            if name == "recording":  # a generator
                result = list(result)
            clock[name] += time.perf_counter() - start
            return result
        return run

    manifest.check_files = clocked(manifest.check_files, "checking")
    manifest.Artefact._records = clocked(manifest.Artefact._records, "recording")

    def tell():
        with open(os.environ["GYRE_CLOCKS"], "a") as file:
            file.write(json.dumps({"stage": words[2], "whole": time.perf_counter() - begin, **clock}) + "\\n")

    atexit.register(tell)
"""


def run(folder: Path, settings: list[str]) -> float:
    """Run the configured experiments; return the seconds that Snakemake took."""
    shutil.copytree(ROOT / "config", folder / "config")
    (folder / "clocks").mkdir()
    (folder / "clocks/sitecustomize.py").write_text(CLOCKS)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder / "clocks"), str(ROOT)]),
        "GYRE_CLOCKS": str(folder / "clocks.jsonl"),
    }
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    begin = time.perf_counter()
    subprocess.run([*command, "--cores", "2", "--quiet", "all", "--config", *settings], env=environment, check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="*", default=[], help="settings, as for snakemake")
    settings = parser.parse_args().config
    with tempfile.TemporaryDirectory(prefix="gyre-benchmark-") as name:
        folder = Path(name)
        seconds = run(folder, settings)
        jobs = [json.loads(line) for line in (folder / "clocks.jsonl").read_text().splitlines()]
    print(f"{'stage':12} {'jobs':>5} {'checking inputs':>16} {'recording outputs':>18}   of the time of its processes")
    for stage in [*dict.fromkeys(job["stage"] for job in jobs), ""]:
        chosen = [job for job in jobs if stage in {"", job["stage"]}]
        whole, *parts = (sum(job[name] for job in chosen) for name in ("whole", "checking", "recording"))
        print(f"{stage or 'all':12} {len(chosen):5}" + "".join(f"{100 * part / whole:14.2f} %" for part in parts))
    verified = sum(job["checking"] + job["recording"] for job in jobs)
    print(f"both together, of the {seconds:.0f} s that Snakemake took: {100 * verified / seconds:.2f} %")


if __name__ == "__main__":
    main()
