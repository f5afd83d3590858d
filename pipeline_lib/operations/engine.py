"""Calling the workflow engine: Snakemake, with the user's profile, on given files."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline_lib.errors import RunError

logger = logging.getLogger(__name__)

ALLOWED = ("fetch", "preprocess", "label", "predict", "period_score")
"""Rules that may run for a period: without training, a model that is here is used as it is."""

_JOBS = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)
_SLICE = 2000
"""Files asked for in one call: keeps the command line and the engine's graph within bounds."""
_LOG_DIR = Path("logs") / "update"
_LAST_LINES = 40


@dataclass(frozen=True)
class Engine:
    """How to call Snakemake.

    Attributes
    ----------
    snakefile, configfile
        The workflow and its configuration.
    profile, cores
        Handed on; without both, all cores of this machine are used.
    state
        Folder in which a marker says that Snakemake is running.
    lock
        Descriptor that Snakemake inherits, so that a lock lives as long as it does.
    """

    snakefile: Path
    configfile: Path
    state: Path
    profile: str | None = None
    cores: int | None = None
    lock: int | None = None

    def jobs(self, targets: Sequence[str], *, rules: Sequence[str] = (), force: Sequence[str] = ()) -> dict[str, int]:
        """Return how many jobs of each rule a run would do; ``force`` names files that are to be made again."""
        found: dict[str, int] = {}
        for part in _slices(targets):
            forced = ["--forcerun", *force] if force else []
            done = subprocess.run(  # noqa: S603 - no shell
                [*self._command(rules), "--dry-run", *forced, "--", *part],
                env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                raise RunError(f"the plan fails: {_reason(done.stdout + done.stderr)}", fix="see snakemake --dry-run")
            table = done.stdout.partition("Job stats:")[2]
            for name, count in _JOBS.findall(table.partition("\n\n")[0] or table):
                if name != "total":
                    found[name] = found.get(name, 0) + int(count)
        return found

    def run(self, targets: Sequence[str], *, rules: Sequence[str] = ()) -> None:
        """Make files; independent jobs go on when one fails.

        Raises
        ------
        RunError
            If a job failed; what else could be made is made.
        """
        if not targets:
            return
        self._unlock_after_a_crash()
        failed: list[str] = []
        for part in _slices(targets):
            log = _LOG_DIR / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            logger.info("snakemake makes %d file(s); its log: %s", len(part), log)
            if self._call([*self._command(rules), "--keep-going", "--", *part], log) != 0:
                failed.append(f"{_reason(log.read_text(encoding='utf-8', errors='replace'))} (log: {log})")
        if failed:
            raise RunError("; ".join(failed), fix="repair what it names and update again: what was made stays")

    def _call(self, command: list[str], log: Path) -> int:
        marker = self.state / "running"
        marker.touch()
        keep = () if self.lock is None else (self.lock,)
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603 - no shell
                command, env=_environment(), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                pass_fds=keep,
            )  # fmt: skip
            try:
                code = process.wait()
            except BaseException:  # interrupted: Snakemake got the signal too, and ends its jobs in good order
                process.terminate()
                process.wait()
                raise
        marker.unlink()
        return code

    def _unlock_after_a_crash(self) -> None:
        """Remove the lock of a Snakemake that was killed; it is known dead, because it held our lock while it lived."""
        if (self.state / "running").exists():
            logger.warning("the last update was killed; it goes on from what is finished")
            subprocess.run([*self._command(()), "--unlock"], env=_environment(), check=False, capture_output=True)  # noqa: S603 - no shell
            (self.state / "running").unlink()

    def _command(self, rules: Sequence[str]) -> list[str]:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile), "--rerun-incomplete"]
        command += ["--configfile", str(self.configfile), "--nocolor"]
        if self.profile is not None:
            command += ["--profile", self.profile]
        if self.cores is not None or self.profile is None:
            command += ["--cores", str(self.cores or "all")]
        return [*command, "--allowed-rules", *rules] if rules else command


def _environment() -> dict[str, str]:
    """Environment in which jobs find this Python also when cron started us with next to nothing."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    library = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join([library, known] if known else [library])}


def _slices(targets: Sequence[str]) -> list[Sequence[str]]:
    return [targets[i : i + _SLICE] for i in range(0, len(targets), _SLICE)]


def _reason(text: str) -> str:
    """Return the lines in which our own stages, or else Snakemake, say why it failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ours = [line.partition(" ERROR pipeline_lib: ")[2] for line in lines if " ERROR pipeline_lib: " in line]
    if ours:
        return " | ".join(dict.fromkeys(ours))
    theirs = [line for line in lines[-_LAST_LINES:] if "Error" in line or "Exception" in line]
    return theirs[0] if theirs else (lines[-1] if lines else "it says nothing")
