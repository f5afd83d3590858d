"""Runs commands of the package, each in a fork of a process that has imported libraries and none of this package."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

LIBRARIES = (
    "torch", "pytorch_lightning", "scipy.signal", "scipy.optimize", "scipy.ndimage",
    "xarray", "zarr", "dask.array", "h5netcdf", "pyarrow.parquet", "intake",
    "matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf", "cmocean",
    "pydantic", "jinja2", "sympy",
)  # fmt: skip
"""What takes long to import. That each stage imports what it needs is shown by the projects that Snakemake makes."""


def main() -> None:
    """Answer each line, ``[folder, log, words]`` as JSON, with the exit code of the command."""
    for library in LIBRARIES:
        import_module(library)
    for line in sys.stdin:
        folder, log, words = json.loads(line)
        child = os.fork()
        if not child:
            run(folder, log, words)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def run(folder: str, log: str, words: list[str]) -> None:
    """Run one command in a project folder and exit with its code; what it prints goes to the log."""
    os.chdir(folder)
    with open(log, "a", encoding="utf-8") as stream:  # noqa: PTH123 - its number is what counts
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
    from pipeline_lib.cli.app import main as command

    sys.exit(command(words))


if __name__ == "__main__":
    main()
