"""The small file that says what to run and where things lie: ``config/config.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline_lib.config.experiment import Slug
from pipeline_lib.options import Options
from pipeline_lib.parallel import THREADS, DaskOptions


def _without_braces(folder: Path) -> Path:
    if set("{}") & set(str(folder)):
        raise ValueError("braces are not allowed: the workflow engine would read them as a wildcard")
    return folder


Folder = Annotated[Path, AfterValidator(_without_braces)]
"""A folder whose path becomes part of the rules' patterns."""


class WorkflowConfig(Options):
    """What to run, and where things lie."""

    experiments: list[Slug] = Field(min_length=1)
    """Experiments that plain ``snakemake`` runs; each is a file in ``experiments_dir``."""
    experiments_dir: Path = Path("config/experiments")
    """Folder of the experiment files."""
    catalog: Path = Path("config/catalog.yaml")
    """The catalog of data sources."""
    data_dir: Folder = Path("data")
    """Where raw files, datasets and labels go; shared by all experiments."""
    results_dir: Folder = Path("results")
    """Where models, products, scores and reports go."""
    mirror: Path | None = None
    """Folder that is searched, by file name and checksum, before the network."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks are trained and applied."""
    devices: int = Field(default=1, gt=0)
    """Processes that train one network together, each with a part of every batch: one per GPU, or sharing the CPU."""
    dask: DaskOptions = THREADS
    """Workers for preprocessing what is larger than one machine."""
