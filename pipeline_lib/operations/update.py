"""One update: ask the sources, bring what changed, let the workflow make what is new, and nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from pipeline_lib.catalog import WHOLE
from pipeline_lib.errors import BusyError, ConfigError, GyreError, RunError, StoreError
from pipeline_lib.io.manifest import exclusive
from pipeline_lib.operations.engine import ALLOWED, Engine
from pipeline_lib.operations.generations import generations, in_charge, is_generation, operations_of
from pipeline_lib.operations.inventory import is_finished
from pipeline_lib.operations.journal import Entry, write_entry
from pipeline_lib.operations.retraining import next_generation, periods_before_the_next_model
from pipeline_lib.operations.sources import Found, SourceDesk
from pipeline_lib.plan import Plan

logger = logging.getLogger(__name__)

STATE = ".update"
"""Folder below the results that holds the lock, the journal and the marker of a running engine."""


@dataclass(frozen=True)
class Request:
    """What an update is asked for.

    Attributes
    ----------
    today
        The day that counts as today: periods that end later are not looked for.
    since
        Periods that end on this day or later are asked for again; ``None`` leaves it to the experiment.
    everything
        Ask the workflow for finished periods too: what code or options made stale is made again.
    """

    today: date
    since: date | None = None
    everything: bool = False


def operational(plan: Plan, names: Sequence[str]) -> list[str]:
    """Return the experiments to update: those named, or all of the configuration that have operations.

    Raises
    ------
    ConfigError
        If there is none, or one has no operations or is a later generation of another.
    """
    for name in names:
        operations_of(plan.experiment(name))
        if is_generation(name):
            raise ConfigError("is a later generation", where=name, fix="name the experiment that it was made from")
    chosen = list(names) or [n for n, loaded in plan.experiments.items() if loaded.spec.operations is not None]
    if not chosen:
        raise ConfigError("no experiment has operations", where="experiments", fix="add an operations block to one")
    return chosen


def update(plan: Plan, experiments: Sequence[str], engine: Engine, request: Request) -> list[Entry]:
    """Update experiments one after the other; a problem with one does not keep the next from its turn.

    Raises
    ------
    BusyError
        If another update is running.
    """
    state = plan.config.results_dir / STATE
    try:
        with exclusive(state) as lock:
            holding = replace(engine, state=state, lock=lock)
            return [_timed(plan, name, holding, request) for name in experiments]
    except StoreError as error:
        if isinstance(error.__cause__, BlockingIOError):
            raise BusyError("another update is running", where=str(state), fix="wait for it to end") from error
        raise


def preview(plan: Plan, experiment: str, engine: Engine, request: Request) -> tuple[Entry, dict[str, int]]:
    """Return what an update would do, and how many jobs of each rule; nothing is brought or written."""
    entry = Entry(experiment)
    desk = SourceDesk(plan, plan.experiment(experiment).spec.source)
    found = _ask(desk, plan, experiment, request, entry)
    changed = found.which("changed")
    entry.reissued = changed
    if desk.whole and (changed or found.which("new")):
        entry.notes.append("which periods are in the file is known when it is here")
    known = generations(plan, experiment)
    periods = desk.periods(known[0].start, request.today)
    coming = [p for p in periods if desk.source.part_of(p) in found.which("new", "changed")]
    on_hand = desk.on_hand(periods)
    wanted = [] if desk.whole else coming
    wanted = sorted({*wanted, *_unfinished(plan, desk, experiment, on_hand, everything=request.everything)})
    targets = [t for p in wanted for t in plan.period_targets(in_charge(known, p), p)]
    force = [] if desk.whole else [str(desk.raw(part)) for part in changed]
    entry.made = wanted
    models = [name for name in dict.fromkeys(in_charge(known, p) for p in wanted) if not _is_trained(plan, name)]
    jobs: dict[str, int] = {}
    if models:  # the first time: the models are part of the plan
        targets += [plan.path("leaderboard_csv", experiment=name) for name in models]
        entry.models = models
    if targets:
        jobs = engine.jobs(targets, rules=() if models else ALLOWED, force=force)
    return entry, jobs


def _timed(plan: Plan, experiment: str, engine: Engine, request: Request) -> Entry:
    """Update one experiment and write the journal."""
    entry = Entry(experiment, started=datetime.now(UTC).isoformat(timespec="seconds"))
    begun = time.monotonic()
    try:
        desk = SourceDesk(plan, plan.experiment(experiment).spec.source)
        _Night(plan, desk, experiment, engine, request, entry).work()
    except GyreError as error:
        _note(entry, error)
    entry.seconds = round(time.monotonic() - begun, 1)
    write_entry(engine.state, entry)
    return entry


@dataclass
class _Night:
    """The work on one experiment."""

    plan: Plan
    desk: SourceDesk
    experiment: str
    engine: Engine
    request: Request
    entry: Entry

    def work(self) -> None:
        """Ask, bring what changed, make what is not finished."""
        entry, desk = self.entry, self.desk
        found = _ask(desk, self.plan, self.experiment, self.request, entry)
        brought = desk.bring(found.which("changed"))
        entry.reissued, entry.final = brought.reissued, brought.final
        for part in brought.reissued:
            logger.warning(
                "%s %s: re-issued by the provider; what was made of it is made again", desk.source.name, part
            )
        if brought.error is not None:
            _note(entry, brought.error)
        new = found.which("new")
        if desk.whole and new:
            self.engine.run([str(desk.raw(WHOLE))], rules=ALLOWED)
        self.make_all(new)
        desk.remember(new)

    def make_all(self, coming: Sequence[str]) -> None:
        """Make what is not finished and train new models where the policy says so, until nothing is left."""
        start = operations_of(self.plan.experiment(self.experiment)).start
        periods = self.desk.periods(start, self.request.today)
        on_hand = sorted({*self.desk.on_hand(periods), *(p for p in periods if p in coming)})
        everything = self.request.everything
        while True:
            todo = _unfinished(self.plan, self.desk, self.experiment, on_hand, everything=everything)
            everything = False
            self.make(periods_before_the_next_model(self.plan, self.desk, self.experiment, on_hand, todo))
            if self.entry.failed:
                return
            new, note = next_generation(self.plan, self.desk, self.experiment, on_hand)
            if new is None:
                break
            self.entry.models.append(new.name)
        if note:
            self.entry.notes.append(note)
        self.make(_unfinished(self.plan, self.desk, self.experiment, on_hand))

    def make(self, periods: Sequence[str]) -> None:
        """Let the workflow make periods; models that are not there yet first, with everything they need."""
        known = generations(self.plan, self.experiment)
        try:
            for name in dict.fromkeys(in_charge(known, p) for p in periods):
                if not _is_trained(self.plan, name):
                    logger.info("%s: its models are trained and tested first", name)
                    self.engine.run([self.plan.path("leaderboard_csv", experiment=name)])
            targets = [t for p in periods for t in self.plan.period_targets(in_charge(known, p), p)]
            self.engine.run(targets, rules=ALLOWED)
        except RunError as error:
            _note(self.entry, error)
        left = _unfinished(self.plan, self.desk, self.experiment, periods)
        self.entry.made += [p for p in periods if p not in left and p not in self.entry.made]
        self.entry.failed += left


def _ask(desk: SourceDesk, plan: Plan, experiment: str, request: Request, entry: Entry) -> Found:
    """Ask the source and write down what is new and what is missing."""
    operations = operations_of(plan.experiment(experiment))
    periods = desk.periods(operations.start, request.today)
    found = desk.ask(periods, request.since or operations.since(request.today), request.today)
    entry.new = found.which("new")
    there = [p for p in periods if found.parts[desk.source.part_of(p)] != "absent"]
    if not desk.whole and there:
        entry.missing = [p for p in found.which("absent") if p < there[-1]]
    if found.preliminary:
        entry.notes.append(f"preliminary: {', '.join(found.preliminary)}")
    if found.error is not None:
        _note(entry, found.error)
    return found


def _is_trained(plan: Plan, experiment: str) -> bool:
    models = [plan.path("model", experiment=experiment, model=m, seed=s) for m, s in plan.runs_in_use(experiment)]
    return all(Path(path).exists() for path in [*models, plan.path("leaderboard_csv", experiment=experiment)])


def _unfinished(
    plan: Plan, desk: SourceDesk, experiment: str, periods: Iterable[str], *, everything: bool = False
) -> list[str]:
    known = generations(plan, experiment)
    return [p for p in periods if everything or not is_finished(plan, desk, in_charge(known, p), p)]


def _note(entry: Entry, error: GyreError) -> None:
    entry.problems += error.lines
    entry.code = entry.code or error.exit_code
    for line in error.lines:
        logger.error(line)
