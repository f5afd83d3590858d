"""From YAML files to validated configuration, with one clear line per mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

from pipeline_lib.config.experiment import Experiment, ModelEntry
from pipeline_lib.config.validation import validate
from pipeline_lib.config.workflow import WorkflowConfig
from pipeline_lib.errors import ConfigError, ConfigErrors
from pipeline_lib.io.hashing import sha256_json
from pipeline_lib.io.yaml import load_yaml, refuse_secrets
from pipeline_lib.label.registry import LABELLERS
from pipeline_lib.metrics import METRICS
from pipeline_lib.models.base import NetworkModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options
from pipeline_lib.published.tables import load_published
from pipeline_lib.tasks.registry import TASKS, AnyTask


def parse_workflow(raw: Mapping[str, Any], *, where: str) -> WorkflowConfig:
    """Validate the workflow's configuration, as read from a file or handed over by Snakemake."""
    refuse_secrets(raw, where)
    return validate(WorkflowConfig, raw, where=where)


@dataclass(frozen=True)
class LoadedExperiment:
    """A validated experiment with everything that its file leaves to registries resolved.

    Attributes
    ----------
    name
        The file's name without suffix; used in paths.
    spec
        The experiment itself; competitors that would do the same work are one.
    notes
        What was made of the file without being asked, for the reader of the results.
    """

    name: str
    spec: Experiment
    notes: tuple[str, ...] = ()

    @cached_property
    def task(self) -> AnyTask:
        """The task's registered class."""
        return TASKS.get(self.spec.task)

    @cached_property
    def scoring(self) -> Options:
        """Validated scoring options."""
        return validate(self.task.scoring_options, self.spec.scoring, where=f"{self.name}: scoring")

    @cached_property
    def label_options(self) -> Options | None:
        """Validated options of the labeller, ``None`` for tasks without labels."""
        labels = self.spec.labels
        if labels is None:
            return None
        labeller = LABELLERS.get(labels.labeller)
        return validate(labeller.Options, labels.options, where=f"{self.name}: labels.options")

    @property
    def label_set(self) -> str | None:
        """Folder name of the labels: labeller and a hash of its options, so that experiments share equal labels."""
        if self.spec.labels is None or self.label_options is None:
            return None
        digest = sha256_json(self.label_options.model_dump(mode="json"))
        return f"{self.spec.labels.labeller}-{digest[:10]}"

    def model_options(self, name: str) -> Options:
        """Validated options of a competitor's model."""
        entry = self.spec.entry(name)
        return validate(MODELS.get(entry.model).Options, entry.options, where=f"{self.name}: models.{name}.options")

    def training(self, name: str) -> Options:
        """Validated training options of a competitor: the model's recommendation, the experiment's, its own on top."""
        entry = self.spec.entry(name)
        recommended = getattr(MODELS.get(entry.model), "training", {})
        merged = _merge(_merge(recommended, self.spec.training), entry.training)
        return validate(self.task.training_options, merged, where=f"{self.name}: models.{name}.training")

    @property
    def watched(self) -> tuple[str, str]:
        """The model and the metric whose scores over time are watched.

        Raises
        ------
        ConfigError
            If the experiment has no operations.
        """
        operations = self.spec.operations
        if operations is None:
            raise ConfigError("has no operations", where=self.name, fix="add an operations block to the experiment")
        metrics: list[str] = getattr(self.scoring, "metrics", [])
        return self.spec.in_use[0], operations.alert.metric or metrics[0]

    def settings(self, name: str) -> dict[str, Any]:
        """Return what tells published rows of one system apart: registered model, its options, training options."""
        entry = self.spec.entry(name)
        options = self.model_options(name).model_dump(mode="json")
        return {**options, **self.training(name).model_dump(mode="json"), "model": entry.model}

    def definition(self, name: str) -> str:
        """Return a hash of all that decides what a competitor's runs do, besides the seed."""
        entry = self.spec.entry(name)
        learns = issubclass(MODELS.get(entry.model), NetworkModel)
        training = self.training(name).model_dump(mode="json") if learns else {}
        return sha256_json([entry.model, self.model_options(name).model_dump(mode="json"), training])

    def defined(self, name: str, seed: int) -> dict[str, Any]:
        """Return what a run is made with, as the options of its model's manifest say it.

        Raises
        ------
        ConfigError
            If the experiment has no such model, or does not run it with this seed.
        """
        entry, split = self.spec.entry(name), self.spec.split
        seeds = self.spec.seeds_of(name)
        if seed not in seeds:
            fix = f"it has {', '.join(map(str, seeds))}"
            raise ConfigError(f"{self.name} does not run {name} with seed {seed}", where="--seed", fix=fix)
        options = self.model_options(name).model_dump(mode="json")
        if not issubclass(MODELS.get(entry.model), NetworkModel):
            return {"task": self.spec.task, "model": entry.model, "options": options}
        return {
            "model": entry.model,
            "model_options": options,
            "training": self.training(name).model_dump(mode="json"),
            "inputs": list(self.spec.inputs),
            "train": [day.isoformat() for day in (split.train.first, split.train.last)],
            "validation": [day.isoformat() for day in (split.validation.first, split.validation.last)],
            "seed": seed,
        }

    def check(self) -> None:
        """Resolve everything once; raise :class:`ConfigErrors` with all problems found."""
        problems: list[ConfigError] = []

        def attempt(make: Any) -> None:  # noqa: ANN401 - any callable without arguments
            try:
                make()
            except ConfigErrors as error:
                problems.extend(error.problems)
            except ConfigError as error:
                problems.append(ConfigError(error.what, where=error.where or f"{self.name}", fix=error.fix))

        attempt(lambda: self.task)
        known = not problems
        if known:
            attempt(lambda: self.scoring)
            attempt(lambda: validate(self.task.training_options, self.spec.training, where=f"{self.name}: training"))
            if self.task.needs_labels and self.spec.labels is None:
                problems.append(ConfigError(f"task {self.spec.task} needs labels", where=f"{self.name}: labels"))
        attempt(lambda: self.label_options)
        for table in self.spec.published:
            attempt(lambda table=table: load_published(table))
        for metric in getattr(self.scoring, "metrics", []) if not problems else []:
            attempt(lambda metric=metric: self._check_metric(metric))
        if not problems and self.spec.operations is not None:
            attempt(self._check_alert)
        for entry in self.spec.models:
            attempt(lambda entry=entry: self._check_model(entry, known=known, trained=not problems))
        if not problems:
            attempt(self._check_common)
        if problems:
            raise ConfigErrors(problems)

    def _check_common(self) -> None:
        """Refuse training options that differ where a task compares competitors only if they have them in common."""
        first, *others = self.spec.names
        for path in self.task.common:
            wanted = attrgetter(path)(self.training(first))
            for name in others:
                value = attrgetter(path)(self.training(name))
                if value != wanted:
                    raise ConfigError(
                        f"is {_shown(value)}, that of {first} {_shown(wanted)}: scores could not be compared",
                        where=f"{self.name}: models.{name}.training.{path}",
                        fix="give all models the same",
                    )

    def _check_metric(self, metric: str) -> None:
        ours, where = TASKS.module(self.spec.task), f"{self.name}: scoring.metrics"
        try:
            fits = METRICS.module(metric).startswith(f"{ours}.")
            if fits:  # what a family makes of the rest of its name
                METRICS.get(metric)
        except ConfigError as error:
            raise ConfigError(error.what, where=where, fix=error.fix) from error
        if not fits:
            known = [name for name in METRICS.names() if METRICS.module(name).startswith(f"{ours}.")]
            raise ConfigError(
                f"{metric} is no metric of task {self.spec.task}",
                where=where,
                fix=f"choose from {', '.join(known)}",
            )

    def _check_alert(self) -> None:
        operations = self.spec.operations
        if operations is not None and not self.task.needs_labels:
            watched = "alert" if "alert" in operations.model_fields_set else ""
            if watched or operations.retrain.when == "skill":
                raise ConfigError(
                    f"periods of task {self.spec.task} are predicted, but not scored",
                    where=f"{self.name}: operations.{watched or 'retrain.when'}",
                    fix="leave it out; retrain with 'when: periods'",
                )
        _, metric = self.watched
        place = f"{self.name}: operations.alert.metric"
        try:
            direction = METRICS.get(metric).direction
        except ConfigError as error:
            raise ConfigError(error.what, where=place, fix=error.fix) from error
        if direction not in {"higher", "lower"}:
            raise ConfigError(f"{metric} does not say which values are better", where=place, fix="name another metric")
        if metric not in getattr(self.scoring, "metrics", []):
            raise ConfigError(f"{metric} is not among scoring.metrics", where=place, fix="add it there")

    def _check_model(self, entry: ModelEntry, *, known: bool, trained: bool) -> None:
        card = MODELS.get(entry.model).card
        if known and card.task not in self.task.model_tasks:  # that a task is unknown is told once
            raise ConfigError(
                f"model {entry.model!r} is for task {card.task}, not {self.spec.task}",
                where=f"{self.name}: models.{entry.name}",
            )
        self.model_options(entry.name)
        if trained:
            training = self.training(entry.name)
            try:
                self.spec.split.check_gaps(self.task.reach_days(training))
            except ValueError as error:
                raise ConfigError(str(error), where=f"{self.name}: models.{entry.name}: split") from error
            except OverflowError as error:
                fix = "set smaller ones"
                raise ConfigError("numbers are too large", where=f"{self.name}: training", fix=fix) from error
            try:
                if (check := getattr(MODELS.get(entry.model), "check_history", None)) is not None:
                    check(self.model_options(entry.name), getattr(training, "history", 1))
                self.task.check(training, self.scoring)
            except ConfigError as error:
                place = f"{self.name}: models.{entry.name}.{error.where}"
                raise ConfigError(error.what, where=place, fix=error.fix) from error
            patch, multiple = getattr(training, "patch", 0), getattr(MODELS.get(entry.model), "size_multiple", 1)
            if patch % multiple:
                raise ConfigError(
                    f"is {patch}, not a multiple of {multiple}, as {entry.model} needs",
                    where=f"{self.name}: models.{entry.name}.training.patch",
                )


def read_experiment(path: Path) -> dict[str, Any]:
    """Read an experiment file as plain values, merged with the one that it ``extends``; nothing else is checked.

    Raises
    ------
    ConfigError
        If a file is missing or not readable, or holds what looks like a secret.
    """
    raw = load_yaml(path)
    base = raw.pop("extends", None)
    if base is not None:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", str(base)):
            raise ConfigError(f"{base!r} is not the name of an experiment", where=f"{path}: extends")
        parent = load_yaml(path.with_name(f"{base}.yaml"))
        if "extends" in parent:
            raise ConfigError(f"{base!r} extends another experiment itself", where=f"{path}: extends", fix="one level")
        raw = _merge(parent, raw)
    refuse_secrets(raw, str(path))
    return raw


def load_experiment(path: Path) -> LoadedExperiment:
    """Read, merge (``extends``) and validate an experiment file, registries included.

    Raises
    ------
    ConfigError
        If the file is missing, not valid, or names something unknown.
    """
    loaded = LoadedExperiment(name=path.stem, spec=validate(Experiment, read_experiment(path), where=str(path)))
    loaded.check()
    return _once(loaded)


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)


def _once(loaded: LoadedExperiment) -> LoadedExperiment:
    """Put competitors together that are the same model with the same options: each run is done, and shown, once."""
    first: dict[str, ModelEntry] = {}
    notes = []
    for entry in loaded.spec.models:
        definition = loaded.definition(entry.name)
        if definition not in first:
            first[definition] = entry
            continue
        kept = first[definition]
        seeds = sorted({*loaded.spec.seeds_of(kept.name), *loaded.spec.seeds_of(entry.name)})
        first[definition] = kept.model_copy(update={"seeds": seeds})
        notes.append(
            f"{entry.name!r} is the same model with the same options as {kept.name!r}: run once, as {kept.name!r}"
        )
    if not notes:
        return loaded
    spec = loaded.spec.model_copy(update={"models": list(first.values())})
    return LoadedExperiment(name=loaded.name, spec=spec, notes=tuple(notes))


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings key by key; lists and plain values of ``over`` replace those of ``base``."""
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        merged[key] = _merge(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged
