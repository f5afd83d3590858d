"""The errors a user can meet: each says what is wrong, where, and what to do, on one line.

The command line turns a :class:`GyreError` into that line and the class's exit code; any other exception is
a defect of the program and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class GyreError(Exception):
    """Base of all errors that are addressed to the user.

    Parameters
    ----------
    what
        What is wrong, as a statement.
    where
        File, key path, variable or cell where it was found.
    fix
        What the user can do about it, in the imperative.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(self.line)

    @property
    def line(self) -> str:
        """The message on one line."""
        parts = [f"{self.where}: " if self.where else "", self.what, f"; {self.fix}" if self.fix else ""]
        return " ".join("".join(parts).split())

    @property
    def lines(self) -> list[str]:
        """The messages, one line each; a plain error has one."""
        return [self.line]


class ConfigError(GyreError):
    """The configuration, the catalog or an experiment is not valid; nothing was started."""

    exit_code = 2


class ConfigErrors(ConfigError):
    """Several problems of one configuration, told together."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        self.problems = list(problems)
        super().__init__(" | ".join(p.line for p in self.problems))

    @property
    def lines(self) -> list[str]:
        """One line per problem."""
        return [p.line for p in self.problems]


class FetchError(GyreError):
    """A source could not be brought here, or what came is not what was asked for."""

    exit_code = 3


class DataError(GyreError):
    """Data do not keep their contract: coordinates, units, ranges, completeness."""

    exit_code = 4


class StoreError(GyreError):
    """A stored artefact does not match its manifest, or cannot be written."""

    exit_code = 5


class TrainingError(GyreError):
    """Training cannot go on: non-finite loss, unusable checkpoint, missing device."""

    exit_code = 6


class ScoreError(GyreError):
    """The competitors cannot be compared fairly."""

    exit_code = 7


class ClusterError(GyreError):
    """The batch system does not answer, or what runs on it must not be touched."""

    exit_code = 8


class Interrupted(GyreError):
    """Stopped before the end, by a signal or ahead of a time limit, with everything saved: run again to go on."""

    exit_code = 75
    """What ``sysexits.h`` calls a temporary failure: the same command, submitted again, gets further."""


class WorkerError(GyreError):
    """Workers of a Dask cluster did not come, or were lost."""

    exit_code = 10


class RunError(GyreError):
    """Jobs of a run that was started for the user failed; what they say is in its log."""

    exit_code = 9


class BusyError(GyreError):
    """Another process does this already; nothing was done."""

    exit_code = 75


def closest(name: str, known: Iterable[str]) -> str:
    """Return advice that names the closest of ``known``, or lists them all when none is close."""
    names = sorted(known)
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if match:
        return f"did you mean {match[0]!r}?"
    return f"known: {', '.join(names)}" if names else "none is known"
