"""Where Dask computes: threads of this process, or workers of a cluster for a job that is larger than one machine.

The result does not depend on it. A worker that is lost fails the job: its artefact is then not declared, and what was
there before stays.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from pipeline_lib.errors import ConfigError, WorkerError
from pipeline_lib.options import Options

if TYPE_CHECKING:
    from distributed.deploy.cluster import Cluster

logger = logging.getLogger(__name__)

INSTALL = "pip install -r requirements-dask-slurm.txt -c constraints.txt"
"""What Dask on Slurm needs besides the requirements."""
WORKER_LOGS = Path("logs/dask")
"""Where Slurm writes what the workers say."""

_STARVED_S = 120
"""How long work may wait for a worker once the first has come; then all are taken for lost."""

SlurmWord = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:=/@+\[\]-]+$")]
"""A value that becomes part of a job script: nothing in it means anything to a shell."""


class DaskOptions(Options):
    """Workers for preprocessing; without any, Dask uses threads of the job itself."""

    cluster: Literal["threads", "local", "slurm"] = "threads"
    """``threads`` of the job, ``local`` processes on its machine, or jobs of their own on ``slurm``."""
    sources: list[str] = Field(default_factory=list)
    """Sources to preprocess with it; none named means all."""
    workers: int = Field(default=2, ge=1)
    """How many workers: processes, or Slurm jobs."""
    cores: int = Field(default=4, ge=1)
    """Threads of each worker."""
    memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")] = "8 GB"
    """Memory of each worker."""
    runtime: int = Field(default=60, ge=1)
    """Minutes after which Slurm stops a worker."""
    wait: int = Field(default=30, ge=1)
    """Minutes to wait for the first worker before the job gives up."""
    partition: SlurmWord | None = None
    """Slurm partition of the workers; the cluster's default if not given."""
    account: SlurmWord | None = None
    """Slurm account."""
    interface: SlurmWord | None = None
    """Network interface that all nodes share, such as ``ib0``."""
    scratch: Path | None = None
    """Fast local folder of the nodes, for what does not fit into a worker's memory."""
    directives: list[SlurmWord] = Field(default_factory=list)
    """Further options of ``sbatch``, such as ``--constraint=skylake``."""

    def for_source(self, source: str) -> DaskOptions:
        """Return these options for a source that is to have them, and threads for any other."""
        return self if not self.sources or source in self.sources else THREADS


THREADS = DaskOptions()
"""No workers: threads of the job."""


@contextmanager
def dask_workers(options: DaskOptions, *, threads: int) -> Iterator[None]:
    """Let Dask compute with the chosen workers inside the block.

    Parameters
    ----------
    options
        Which workers.
    threads
        Threads of this process, where there are no others.

    Raises
    ------
    ConfigError
        If the cluster cannot be used: a package or ``sbatch`` is missing, or Slurm refuses such jobs.
    WorkerError
        If no worker comes in time, or one is lost while it computes.
    """
    import dask

    if options.cluster == "threads":
        with dask.config.set(scheduler="threads", num_workers=threads):
            yield
        return
    from distributed import Client
    from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

    # A task whose worker dies is not given to the next one: what killed the first may kill them all, one by one.
    strict = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.no-workers-timeout": f"{_STARVED_S} s",
        "distributed.comm.retry.count": 3,
    }
    with dask.config.set(strict), _quiet(), _cluster(options) as cluster, Client(cluster) as client:  # type: ignore[no-untyped-call]
        try:
            client.wait_for_workers(1, timeout=options.wait * 60)
        except TimeoutError as error:
            raise WorkerError(
                f"no Dask worker started within {options.wait} minutes",
                where=f"dask.cluster: {options.cluster}",
                fix=f"look at squeue and at {WORKER_LOGS}, or raise dask.wait",
            ) from error
        try:
            yield
        except (KilledWorker, NoValidWorkerError, NoWorkerError) as error:
            raise WorkerError(
                "a Dask worker was lost while it computed: killed, out of memory, or its time was up",
                where=f"dask.cluster: {options.cluster}",
                fix=f"look at {WORKER_LOGS}, raise dask.memory or dask.runtime, run again",
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own remarks about workers that come and go out of the log: what matters becomes an error."""
    loud = logging.getLogger("distributed")
    before = loud.level
    loud.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        loud.setLevel(before)


def _cluster(options: DaskOptions) -> AbstractContextManager[Cluster]:
    return _slurm(options) if options.cluster == "slurm" else _local(options)


@contextmanager
def _local(options: DaskOptions) -> Iterator[Cluster]:
    from distributed import LocalCluster

    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=options.workers,
        threads_per_worker=options.cores,
        memory_limit=options.memory,
        processes=True,
        dashboard_address="127.0.0.1:0",
        local_directory=_scratch(options),
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


@contextmanager
def _slurm(options: DaskOptions) -> Iterator[Cluster]:
    where = "dask.cluster: slurm"
    missing = [name for name in ("dask_jobqueue", "cryptography") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"needs the package {missing[0].replace('_', '-')}", where=where, fix=INSTALL)
    if shutil.which("sbatch") is None:
        raise ConfigError("finds no sbatch", where=where, fix="run on a machine of the cluster, or set cluster: local")
    from dask_jobqueue.slurm import SLURMCluster

    logs = WORKER_LOGS.absolute()
    logs.mkdir(parents=True, exist_ok=True)
    with SLURMCluster(
        cores=options.cores,
        processes=1,
        memory=options.memory,
        walltime=f"{options.runtime // 60:02}:{options.runtime % 60:02}:00",
        queue=options.partition,
        account=options.account,
        interface=options.interface,
        local_directory=shlex.quote(_scratch(options)),
        log_directory=str(WORKER_LOGS),
        python=shlex.quote(sys.executable),
        # The working folder and what can be imported are those of this process, whatever the site's defaults are.
        job_script_prologue=[f"cd {shlex.quote(str(Path.cwd()))}", f"export PYTHONPATH={shlex.quote(_python_path())}"],
        job_extra_directives=["--no-requeue", *options.directives],
        nanny=False,  # a worker that dies stays dead, and is noticed
        security=True,  # others on the network may reach the scheduler, which runs any code it is given
        shared_temp_directory=str(logs),  # for the keys of this one cluster, which only this user may read
        scheduler_options={"dashboard_address": ":0", "dashboard": False},
    ) as cluster:
        _check_accepted(cluster.job_script())
        cluster.scale(jobs=options.workers)
        yield cluster


def _python_path() -> str:
    """Where workers find this library and the plug-ins that this process sees."""
    library = str(Path(__file__).absolute().parents[1])
    return os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH", "")]))


def _scratch(options: DaskOptions) -> str:
    return str(options.scratch or tempfile.gettempdir())


def _check_accepted(script: str) -> None:
    """Ask Slurm whether it would take such a job; Dask would only log the refusal, and wait."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        asked = subprocess.run(  # noqa: S603 - our own script
            ["sbatch", "--test-only", file.name],  # noqa: S607 - found on PATH, as all of Slurm
            capture_output=True,
            text=True,
            check=False,
        )
    if asked.returncode != 0:
        reason: Any = asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"]
        raise ConfigError(
            f"Slurm refuses the workers: {reason[-1]}",
            where="dask.cluster: slurm",
            fix="correct partition, account, memory or runtime",
        )
