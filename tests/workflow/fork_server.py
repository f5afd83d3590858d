"""Runs commands of the package and Snakemake, each in a fork of a process that has imported what most of them need."""

from __future__ import annotations

import gc
import json
import os
import sys
from importlib import import_module
from pathlib import Path

LIBRARIES = (
    "torch", "pytorch_lightning", "scipy.signal", "scipy.optimize", "scipy.ndimage",
    "xarray", "zarr", "dask.array", "h5netcdf", "pyarrow.parquet", "intake",
    "matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf", "cmocean",
    "pydantic", "jinja2", "sympy", "snakemake.cli", "snakemake_executor_plugin_slurm",
)  # fmt: skip
"""What takes long to import. That each stage imports what it needs is shown by the projects that Snakemake makes."""
OWN = ("pipeline_lib.config.loader", "pipeline_lib.plan")
"""What every stage begins with."""


def main() -> None:
    """Answer each line, ``[folder, log, environment, words]`` as JSON, with the exit code of the command."""
    for module in (*LIBRARIES, *OWN):
        import_module(module)
    read_sources()
    for line in sys.stdin:
        folder, log, environment, words = json.loads(line)
        child = os.fork()
        if not child:
            os.environ.clear()
            os.environ.update(environment)
            run(folder, log, words)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def read_sources() -> None:
    """Read every module of the package for the fingerprints, which a fork then need not do again."""
    own = import_module("pipeline_lib.fingerprint")
    root = Path(own.__file__).parent
    parts = (file.relative_to(root.parent).with_suffix("").parts for file in root.rglob("*.py"))
    own.fingerprint(*(".".join(names).removesuffix(".__init__") for names in parts))


def run(folder: str, log: str, words: list[str]) -> None:
    """Run one command in a folder and exit with its code; what it prints goes to the log."""
    os.chdir(folder)
    with open(log, "a", encoding="utf-8") as stream:  # noqa: PTH123 - its number is what counts
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the pipe of requests is not for commands
    sys.argv = words
    if words[0] == "snakemake":
        from snakemake.cli import main as program
    else:
        from pipeline_lib.cli.app import main as program
    try:
        code = program(words[1:])
    finally:
        gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()
