"""Keeps what a launcher says about ranks away from libraries that would act on it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

_NAMES = {
    "RANK",
    "LOCAL_RANK",
    "GROUP_RANK",
    "NODE_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
}
_SLURM = {"NTASKS", "NPROCS", "PROCID", "LOCALID", "NODEID", "GTIDS", "NTASKS_PER_NODE", "TASKS_PER_NODE"}
_SLURM |= {"STEP_NUM_TASKS", "STEP_TASKS_PER_NODE", "NTASKS_PER_GPU"}
_PREFIXES = ("PMI_", "PMIX_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_", "JSM_NAMESPACE_", "TORCHELASTIC_")

RANK_VARIABLES = frozenset(_NAMES | {f"SLURM_{name}" for name in _SLURM})
"""Variables by which torch, Lightning and MPI would take this process for one of several."""


def is_rank_variable(name: str) -> bool:
    """Return whether a variable says which of several processes this one is."""
    return name in RANK_VARIABLES or name.startswith(_PREFIXES)


@contextmanager
def one_task() -> Iterator[None]:
    """Hide the rank variables as long as the block runs; enter it before Lightning is imported.

    A training is one task, which starts further processes itself. Inside a job with several tasks Lightning would
    wait for the others, or take itself for one that leaves writing to another.
    """
    tasks = os.environ.get("SLURM_NTASKS", "1")
    if tasks != "1":
        logger.warning("the job has %s tasks, a training is one: for several GPUs set devices, not tasks", tasks)
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if is_rank_variable(name)}
    try:
        yield
    finally:
        os.environ.update(hidden)
