"""After the Snakemake driver died: end the Slurm jobs that it left behind, and give the folder free again.

Slurm jobs outlive the driver that submitted them, and the next driver does not know them: it would submit the same
work a second time beside them. All jobs of one driver carry the same name, its run id, which stands in its log.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.errors import ClusterError

logger = logging.getLogger(__name__)

LOGS = Path(".snakemake/log")
LOCKS = Path(".snakemake/locks")
POLL_SECONDS = 2.0
COMMAND_SECONDS = 60
SETTLED = 2
"""Times in a row that the queue must be empty: an sbatch that outlived the driver may still be on its way."""
REMIND_SECONDS = 60.0
_RUN_ID = re.compile(r"^SLURM run ID: (\S+)$", re.MULTILINE)
_HEADER = r"^\s*{}: (.+)$"


@dataclass(frozen=True)
class Job:
    """A Slurm job that waits or runs.

    Attributes
    ----------
    id
        Slurm's number of it.
    state
        Such as ``RUNNING``.
    run
        Run id of the driver that submitted it.
    what
        Rule and wildcards.
    """

    id: str
    state: str
    run: str
    what: str


@dataclass(frozen=True)
class Driver:
    """A run of Snakemake that submitted to Slurm, from its log.

    Attributes
    ----------
    run
        Its run id.
    log
        Its log.
    host, command, snakefile
        Where and how it was started; empty where the log does not say.
    """

    run: str
    log: Path
    host: str
    command: str
    snakefile: str


def recover(folder: Path, *, wait: bool, dry_run: bool, gone: bool, timeout: float) -> None:
    """End what a dead driver left in the queue and unlock the folder.

    Parameters
    ----------
    folder
        The folder in which Snakemake ran.
    wait
        Let the jobs end by themselves instead of cancelling them.
    dry_run
        Say what would be done.
    gone
        The user knows that a driver on another machine is gone; from here that cannot be seen.
    timeout
        Seconds after which waiting for the queue is given up.

    Raises
    ------
    ClusterError
        If a driver still lives, or may still live on another machine; if Slurm does not answer or jobs do not end.
    """
    drivers = find_drivers(folder)
    if not drivers:
        logger.info("no run on Slurm is noted in %s: nothing to do", folder / LOGS)
        return
    _refuse_living(folder)
    left = orphans(drivers)
    if not left and not _locked(folder):
        logger.info("no job is left in the queue and %s is not locked: nothing to do", folder)
        return
    if not gone:
        _refuse_elsewhere([drivers[job.run] for job in left] or list(drivers.values())[-1:])
    for job in left:
        logger.info("%s job %s: %s", job.state.lower(), job.id, job.what)
    if dry_run:
        logger.info("would %s %d jobs and unlock %s", "wait for" if wait else "cancel", len(left), folder)
        return
    if left and not wait:
        _slurm("scancel", "--quiet", *[job.id for job in left])
    _until_gone(drivers, cancel=not wait, timeout=timeout)
    last = list(drivers.values())[-1]
    _unlock(folder, last.snakefile)
    logger.info("%d jobs left the queue, %s is unlocked; now start again: %s", len(left), folder, last.command)


def find_drivers(folder: Path) -> dict[str, Driver]:
    """Return the runs that submitted to Slurm, by run id, from the logs of Snakemake in ``folder``."""
    found = {}
    for log in sorted((folder / LOGS).glob("*.snakemake.log")):
        text = log.read_text(encoding="utf-8", errors="replace")
        for run in _RUN_ID.findall(text):
            found[run] = Driver(run, log, *(_header(text, name) for name in ("Host", "Command", "Snakefile")))
    return found


def _header(log: str, name: str) -> str:
    line = re.search(_HEADER.format(name), log, re.MULTILINE)
    return line[1].strip() if line else ""


def orphans(drivers: Mapping[str, Driver]) -> list[Job]:
    """Return the jobs of ``drivers`` that wait, run or are about to end."""
    lines = _slurm("squeue", "--noheader", f"--user={os.getuid()}", "--format=%i|%T|%j|%k").splitlines()
    jobs = [Job(*line.split("|", 3)) for line in lines]
    return [job for job in jobs if job.run in drivers]


def living(folder: Path) -> list[int]:
    """Return the processes on this machine that write to a log of Snakemake in ``folder``: drivers that live."""
    logs = f"{(folder / LOGS).resolve()}{os.sep}"
    return sorted({pid for pid, name in _written_files() if name.startswith(logs)})


def _written_files() -> Iterable[tuple[int, str]]:
    """Files that are open for writing, with the process; those of other users are not seen."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for descriptor in (process / "fd").iterdir():
                file = descriptor.readlink()
                if file.name.endswith(".snakemake.log") and descriptor.lstat().st_mode & stat.S_IWUSR:
                    yield int(process.name), str(file)
        except OSError:  # it ended, or is another user's
            continue


def _refuse_living(folder: Path) -> None:
    pids = living(folder)
    if pids:
        raise ClusterError(
            f"Snakemake still runs here (process {', '.join(map(str, pids))})",
            where=str(folder),
            fix="it looks after its jobs itself; end it with kill -INT, which cancels them, or let it go on",
        )


def _refuse_elsewhere(drivers: Iterable[Driver]) -> None:
    """Refuse when a driver that may still live ran on another machine, where its process cannot be looked for."""
    here = os.uname().nodename
    for driver in drivers:
        if driver.host != here:
            raise ClusterError(
                f"this run was started on {driver.host or 'another machine'}, and this is {here}",
                where=str(driver.log),
                fix="run this command there; or with --driver-is-gone, if you know that Snakemake ended",
            )


def _locked(folder: Path) -> bool:
    return any((folder / LOCKS).glob("*.lock"))


def _until_gone(drivers: Mapping[str, Driver], *, cancel: bool, timeout: float) -> None:
    end = time.monotonic() + timeout
    remind = time.monotonic() + REMIND_SECONDS
    settled = 0
    while True:
        left = orphans(drivers)
        settled = 0 if left else settled + 1
        if settled >= SETTLED:
            return
        if time.monotonic() > end:
            raise ClusterError(
                f"job {left[0].id} is still {left[0].state.lower()}" if left else "the queue is not settled",
                fix="run the command again later; nothing was unlocked",
            )
        if left and time.monotonic() > remind:
            logger.info("%d jobs are still in the queue", len(left))
            remind += REMIND_SECONDS
        late = [job.id for job in left if job.state != "COMPLETING"]
        if cancel and late:
            _slurm("scancel", "--quiet", *late)
        time.sleep(POLL_SECONDS)


def _unlock(folder: Path, snakefile: str) -> None:
    more = ["--snakefile", snakefile] if snakefile else []
    command = [sys.executable, "-m", "snakemake", "--directory", ".", "--unlock", *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise ClusterError(
            f"Snakemake cannot unlock: {last[-1]}", where=str(folder), fix="correct that, then snakemake --unlock"
        )


def _slurm(*command: str) -> str:
    """Run a command of Slurm and return what it prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)  # noqa: S603
    except FileNotFoundError as error:
        raise ClusterError("is not on the path", where=command[0], fix="run this where you submit jobs") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"gave no answer in {COMMAND_SECONDS} s", where=command[0], fix="try again later") from error
    if done.returncode:
        told = done.stderr.strip().partition("\n")[0]
        raise ClusterError(f"failed: {told}", where=command[0], fix="nothing was unlocked; try again later")
    return done.stdout
