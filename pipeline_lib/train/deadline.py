"""When this job will be ended from outside, so that a training can stop before."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time

from pipeline_lib.errors import ConfigError

logger = logging.getLogger(__name__)

END_TIME = "GYRE_END_TIME"
"""Variable for schedulers that are not asked here: Unix time in seconds at which the job will be ended."""

_TIME_LEFT = re.compile(r"(?:(?:(?P<days>\d+)-)?(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)")
_ASK_SECONDS = 30
"""How long squeue may take to answer; a busy controller must not hold a training up."""


def end_of_job(limit: float | None, *, begin: float) -> float | None:
    """Return the Unix time at which this job will be ended, ``None`` if nobody says.

    The first of these that is given counts: ``limit``, the variable ``GYRE_END_TIME``, ``SLURM_JOB_END_TIME``
    (not every version of Slurm sets it), the time that ``squeue`` says is left.

    Parameters
    ----------
    limit
        Seconds that the job may take.
    begin
        Unix time at which it began.

    Raises
    ------
    ConfigError
        If ``GYRE_END_TIME`` is not a number.
    """
    if limit is not None:
        return begin + limit
    ours = os.environ.get(END_TIME)
    if ours:
        try:
            return float(ours)
        except ValueError as error:
            raise ConfigError(
                f"{ours!r} is no Unix time", where=END_TIME, fix="give seconds, as `date +%s` prints them"
            ) from error
    slurm = os.environ.get("SLURM_JOB_END_TIME", "")
    if slurm.isdecimal() and int(slurm) > 0:
        return float(slurm)
    job = os.environ.get("SLURM_JOB_ID")
    return _ask_slurm(job) if job else None


def time_left(text: str) -> float | None:
    """Return the seconds that squeue's ``[days-][hours:]minutes:seconds`` means, ``None`` for words like UNLIMITED."""
    match = _TIME_LEFT.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _ask_slurm(job: str) -> float | None:
    command = ["squeue", "--noheader", "--jobs", job, "--format", "%L"]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the job's number comes from Slurm
            command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("Slurm does not say when job %s ends (%s): give --time-limit to stop in time", job, error)
        return None
    left = time_left(done.stdout)
    return None if left is None else time.time() + left
