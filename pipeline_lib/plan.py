"""The plan: which files each stage reads and writes, and what makes them stale. Pure: it computes and touches nothing.

All paths of the workflow come from here; the rules only name wildcards. Paths::

    <data>/<source>/raw/<part>.json                       fetched files of one part
    <data>/<source>/dataset/<period>.json                 analysis-ready Zarr of one period
    <data>/<source>/labels/<label_set>/<period>.json      labels of one period
    <results>/<experiment>/statistics.json                normalisation, from training days
    <results>/<experiment>/<model>/seed<seed>/model.json
    <results>/<experiment>/<model>/seed<seed>/products/<period>.json
    <results>/<experiment>/<model>/seed<seed>/score.json
    <results>/<experiment>/<model>/seed<seed>/operations/<period>.json     score of one operational period
    <results>/<experiment>/leaderboard.csv, report.html, figures/, ro-crate-metadata.json
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pipeline_lib.catalog import WHOLE, Catalog
from pipeline_lib.config.experiment import DateRange
from pipeline_lib.config.loader import LoadedExperiment, load_experiment, parse_workflow
from pipeline_lib.config.source_check import check_source
from pipeline_lib.config.workflow import WorkflowConfig
from pipeline_lib.data.periods import PERIOD
from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.io.hashing import canonical_json, sha256_json
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.label.registry import LABELLERS
from pipeline_lib.models.base import NetworkModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.registry import TASKS

logger = logging.getLogger(__name__)

ENVIRONMENTS = Path(__file__).parents[1] / "envs"
"""The repository's folder of environment files."""


@dataclass(frozen=True)
class Plan:
    """Paths, targets and staleness keys of a validated configuration."""

    config: WorkflowConfig
    catalog: Catalog
    experiments: Mapping[str, LoadedExperiment]
    _on_demand: dict[str, LoadedExperiment] = field(default_factory=dict, compare=False)
    """Experiments that the configuration does not name but a target does."""

    @property
    def dask(self) -> str:
        """Workers for preprocessing as JSON; empty for threads."""
        chosen = self.config.dask
        return "" if chosen.cluster == "threads" else canonical_json(chosen.model_dump(mode="json"))

    # ---- paths -------------------------------------------------------------------------------------------

    @cached_property
    def patterns(self) -> dict[str, str]:
        """Output patterns of the rules, with wildcards in braces."""
        data, results = self.config.data_dir, self.config.results_dir
        run = results / "{experiment}" / "{model}" / "seed{seed}"
        return {
            "raw": str(data / "{source}" / "raw" / "{part}.json"),
            "dataset": str(data / "{source}" / "dataset" / "{period}.json"),
            "labels": str(data / "{source}" / "labels" / "{label_set}" / "{period}.json"),
            "statistics": str(results / "{experiment}" / "statistics.json"),
            "model": str(run / "model.json"),
            "product": str(run / "products" / "{period}.json"),
            "score": str(run / "score.json"),
            "period_score": str(run / "operations" / "{period}.json"),
            "leaderboard": str(results / "{experiment}" / "leaderboard.json"),
            "leaderboard_csv": str(results / "{experiment}" / "leaderboard.csv"),
            "report": str(results / "{experiment}" / "report.json"),
            "report_html": str(results / "{experiment}" / "report.html"),
            "crate": str(results / "{experiment}" / "ro-crate-metadata.json"),
        }

    def path(self, pattern: str, **wildcards: object) -> str:
        """Return a path: a pattern of :attr:`patterns` with its wildcards filled in."""
        return self.patterns[pattern].format(**{k: str(v) for k, v in wildcards.items()})

    @cached_property
    def wildcard_constraints(self) -> dict[str, str]:
        """Regular expressions that keep wildcards apart."""
        return {
            "source": r"[a-z][a-z0-9-]*",
            "experiment": r"[a-z][a-z0-9-]*",
            "model": r"[a-z][a-z0-9_]*",
            "label_set": r"[a-z0-9_]+-[0-9a-f]{10}",
            "seed": r"\d+",
            "period": PERIOD,
            "part": f"{WHOLE}|{PERIOD}",
        }

    def experiment(self, name: str) -> LoadedExperiment:
        """Return an experiment of the configuration, or load it from its file when it is asked for by path."""
        if name in self.experiments:
            return self.experiments[name]
        if name not in self._on_demand:
            loaded = load_experiment(self.experiment_file(name))
            check_source(self.catalog.source(loaded.spec.source), loaded)
            self._on_demand[name] = loaded
        return self._on_demand[name]

    def experiment_file(self, name: str) -> Path:
        """Return the YAML file of an experiment."""
        folder = self.config.experiments_dir
        file = folder / f"{name}.yaml"
        if not file.is_file():
            known = [f.stem for f in folder.glob("*.yaml")]
            raise ConfigError(f"no experiment is called {name!r}", where=str(folder), fix=closest(name, known))
        return file

    # ---- inputs of each rule -----------------------------------------------------------------------------

    def raw_for(self, source: str, period: str) -> str:
        """Path of the fetched part that holds ``period``."""
        return self.path("raw", source=source, part=self.catalog.source(source).part_of(period))

    def periods(self, experiment: str, *splits: str) -> list[str]:
        """Periods that hold days of the named splits (``train``, ``validation``, ``test``), in order."""
        spec = self.experiment(experiment).spec
        source = self.catalog.source(spec.source)
        found: set[str] = set()
        for split in splits:
            days: DateRange = getattr(spec.split, split)
            found.update(source.periods(days.start, days.end))
        return sorted(found)

    def datasets(self, experiment: str, *splits: str) -> list[str]:
        """Dataset manifests of the named splits."""
        source = self.experiment(experiment).spec.source
        return [self.path("dataset", source=source, period=p) for p in self.periods(experiment, *splits)]

    def labels(self, experiment: str, *splits: str) -> list[str]:
        """Label manifests of the named splits; none for tasks without labels."""
        return [path for p in self.periods(experiment, *splits) for path in self.labels_of(experiment, p)]

    def labels_of(self, experiment: str, period: str) -> list[str]:
        """Label manifest of one period of an experiment's source; none for tasks without labels."""
        loaded = self.experiment(experiment)
        if loaded.label_set is None:
            return []
        return [self.path("labels", source=loaded.spec.source, label_set=loaded.label_set, period=period)]

    def runs(self, experiment: str) -> list[tuple[str, int]]:
        """All (model, seed) pairs of an experiment; a model without randomness runs once."""
        spec = self.experiment(experiment).spec
        pairs = []
        for name in spec.names:
            seeds = spec.seeds_of(name)
            pairs += [(name, seed) for seed in (seeds if self.is_network(experiment, name) else seeds[:1])]
        return pairs

    def is_network(self, experiment: str, model: str) -> bool:
        """Whether a competitor of an experiment is trained; baselines are not."""
        return issubclass(MODELS.get(self.experiment(experiment).spec.entry(model).model), NetworkModel)

    def threads(self, experiment: str, model: str) -> int:
        """Return the CPU threads that a competitor's training can make use of."""
        return MODELS.get(self.experiment(experiment).spec.entry(model).model).threads

    def run_paths(self, pattern: str, experiment: str) -> list[str]:
        """Paths of one pattern (``model`` or ``score``) for all runs of an experiment."""
        return [self.path(pattern, experiment=experiment, model=m, seed=s) for m, s in self.runs(experiment)]

    def products(self, experiment: str, model: str, seed: int) -> list[str]:
        """Product manifests of one run: the periods that are scored."""
        return [
            self.path("product", experiment=experiment, model=model, seed=seed, period=p)
            for p in self.periods(experiment, "test")
        ]

    def dataset_of(self, experiment: str, period: str) -> str:
        """Dataset manifest of one period of an experiment's source."""
        return self.path("dataset", source=self.experiment(experiment).spec.source, period=period)

    def datasets_before(self, experiment: str, period: str) -> list[str]:
        """Dataset manifest of the test's period before another, if there is one and the task looks back to it."""
        loaded = self.experiment(experiment)
        tested = self.periods(experiment, "test")
        place = tested.index(period) if loaded.task.looks_back and period in tested else 0
        return [self.dataset_of(experiment, before) for before in tested[max(0, place - 1) : place]]

    def is_tested(self, experiment: str, period: str) -> bool:
        """Whether a period holds days of the test; what else is predicted is operational."""
        return period in self.periods(experiment, "test")

    def all_products(self, experiment: str) -> list[str]:
        """Product manifests of all runs of an experiment."""
        return [path for model, seed in self.runs(experiment) for path in self.products(experiment, model, seed)]

    # ---- operations --------------------------------------------------------------------------------------

    def runs_in_use(self, experiment: str) -> list[tuple[str, int]]:
        """All (model, seed) pairs that predict operational periods, in the order of the ``operations`` block."""
        models = self.experiment(experiment).spec.in_use
        return [run for name in models for run in self.runs(experiment) if run[0] == name]

    def period_targets(self, experiment: str, period: str) -> list[str]:
        """Return what is made of an operational period: its scores, or its products for tasks without labels."""
        pattern = "period_score" if self.experiment(experiment).label_set is not None else "product"
        return [
            self.path(pattern, experiment=experiment, model=model, seed=seed, period=period)
            for model, seed in self.runs_in_use(experiment)
        ]

    def days(self, experiment: str, period: str) -> tuple[str, str]:
        """First and last day of a period that the experiment's source covers, in ISO format."""
        first, last = self.catalog.source(self.experiment(experiment).spec.source).days(period)
        return first.isoformat(), last.isoformat()

    # ---- what labels are made of ---------------------------------------------------------------------------

    def labeller(self, label_set: str) -> str:
        """Name of the labeller that makes a label set."""
        return label_set.rsplit("-", 1)[0]

    def labeller_options(self, label_set: str) -> str:
        """Options of a label set as JSON; found in the experiment that uses it."""
        others = (f.stem for f in sorted(self.config.experiments_dir.glob("*.yaml")) if f.stem not in self.experiments)
        for name in (*self.experiments, *others):
            loaded = self.experiment(name)
            if loaded.label_set == label_set and loaded.label_options is not None:
                return canonical_json(loaded.label_options.model_dump(mode="json"))
        raise ConfigError(f"no experiment uses the labels {label_set!r}", where=str(self.config.experiments_dir))

    # ---- targets -----------------------------------------------------------------------------------------

    def targets(self, name: str, experiments: list[str] | None = None) -> list[str]:
        """Files of a target (``scores``, ``figures`` or ``all``) for the given or all configured experiments."""
        wanted: list[str] = []
        for experiment in experiments or list(self.experiments):
            if name in {"scores", "all"}:
                wanted.append(self.path("leaderboard_csv", experiment=experiment))
            if name in {"figures", "all"}:
                wanted.append(self.path("report_html", experiment=experiment))
            if name == "all":
                wanted.append(self.path("crate", experiment=experiment))
        return wanted

    # ---- staleness keys ----------------------------------------------------------------------------------

    def key(self, stage: str, **wildcards: str) -> str:
        """Return a hash that changes exactly when options or code of a stage's job change.

        Raises
        ------
        ConfigError
            If a wildcard names something that the configuration does not know.
        """
        options, modules = getattr(self, f"_{stage}_key")(**wildcards)
        name = self.catalog.source(wildcards["source"]).environment if stage == "fetch" else _package_of(stage)
        return sha256_json([options, stage_code(stage, *modules), pins_of(name)])[:20]

    def _fetch_key(self, source: str, part: str) -> tuple[Any, list[str]]:
        entry = self.catalog.source(source)
        return [entry.fetch_options(part), part], entry.fetch_modules()

    def _preprocess_key(self, source: str, period: str) -> tuple[Any, list[str]]:
        entry = self.catalog.source(source)
        return [entry.dataset_options(period), period], entry.dataset_modules()

    def _label_key(self, source: str, label_set: str, period: str) -> tuple[Any, list[str]]:
        return [source, label_set, period], [LABELLERS.module(self.labeller(label_set))]

    def _statistics_key(self, experiment: str) -> tuple[Any, list[str]]:
        spec = self.experiment(experiment).spec
        return [spec.inputs, spec.split.train.model_dump(mode="json")], []

    def _train_key(self, experiment: str, model: str, seed: str) -> tuple[Any, list[str]]:
        loaded = self.experiment(experiment)
        split = loaded.spec.split.model_dump(mode="json", include={"train", "validation"})
        entry = loaded.spec.entry(model)
        options: list[Any] = [entry.model, loaded.model_options(model).model_dump(mode="json")]
        if self.is_network(experiment, model):
            options += [loaded.training(model).model_dump(mode="json"), loaded.spec.inputs, split, int(seed)]
            options += [self.config.device, self.config.devices]
        return options, [f"{TASKS.module(loaded.spec.task)}.train", MODELS.module(loaded.spec.entry(model).model)]

    def _predict_key(self, experiment: str, model: str, **_: str) -> tuple[Any, list[str]]:
        spec = self.experiment(experiment).spec
        return [self.config.device], [f"{TASKS.module(spec.task)}.predict", MODELS.module(spec.entry(model).model)]

    def _score_key(self, experiment: str, **_: str) -> tuple[Any, list[str]]:
        loaded = self.experiment(experiment)
        test = loaded.spec.split.test.model_dump(mode="json")
        counted = loaded.task.counted(loaded.scoring)
        return [counted, test], [f"{TASKS.module(loaded.spec.task)}.score"]

    def _period_score_key(self, experiment: str, period: str, **_: str) -> tuple[Any, list[str]]:
        loaded = self.experiment(experiment)
        options = loaded.scoring.model_dump(mode="json")
        return [options, self.days(experiment, period)], [f"{TASKS.module(loaded.spec.task)}.score"]

    def _leaderboard_key(self, experiment: str) -> tuple[Any, list[str]]:
        loaded = self.experiment(experiment)
        _, modules = self._score_key(experiment)
        options = loaded.scoring.model_dump(mode="json")
        shown = {name: loaded.settings(name) for name in loaded.spec.names}
        return [options, loaded.spec.published, loaded.spec.source, shown], [*modules, "pipeline_lib.published"]

    def _report_key(self, experiment: str) -> tuple[Any, list[str]]:
        loaded = self.experiment(experiment)
        shown = [loaded.spec.model_dump(mode="json", exclude={"operations"}), *loaded.notes]
        return shown, [f"{TASKS.module(loaded.spec.task)}.report"]

    def _crate_key(self, experiment: str) -> tuple[Any, list[str]]:
        return experiment, []


_STAGE_PACKAGE = {
    "fetch": "fetch.stage",
    "preprocess": "preprocess.stage",
    "statistics": "preprocess.statistics",
    "label": "label.stage",
    "train": "train.stage",
    "predict": "predict.stage",
    "score": "score.stage",
    "period_score": "score.stage",
    "leaderboard": "score.stage",
    "report": "report.stage",
    "crate": "provenance.crate",
}


def stage_code(stage: str, *modules: str) -> str:
    """Return the fingerprint of the code of a stage together with the modules it loads by name."""
    return fingerprint(f"pipeline_lib.{_STAGE_PACKAGE[stage]}", *modules)


def _package_of(stage: str) -> str:
    return _STAGE_PACKAGE[stage].split(".")[0]


@cache
def pins_of(environment: str) -> list[str]:
    """Return what an environment file pins; empty where the library is installed without the repository.

    Snakemake itself looks at these files only when it makes the environments, that is with ``--sdm conda``. The pins
    equal those of ``requirements.txt``, so an edit speaks of every kind of installation.
    """
    file = ENVIRONMENTS / f"{environment}.yaml"
    return sorted(map(str, load_yaml(file)["dependencies"])) if file.is_file() else []


def load_plan(raw: Mapping[str, Any], *, where: str = "config/config.yaml") -> Plan:
    """Validate a raw configuration and return its plan.

    Raises
    ------
    ConfigError
        If the configuration, the catalog or an experiment is not valid, with one line per problem.
    """
    config = parse_workflow(raw, where=where)
    catalog = Catalog.load(config.catalog, wanted=config.dask.sources)
    for name in config.dask.sources:
        catalog.source(name)
    plan = Plan(config=config, catalog=catalog, experiments={})
    loaded = {name: load_experiment(plan.experiment_file(name)) for name in config.experiments}
    for experiment in loaded.values():
        check_source(catalog.source(experiment.spec.source), experiment)
        for note in experiment.notes:
            logger.warning("%s: %s", experiment.name, note)
    return Plan(config=config, catalog=catalog, experiments=loaded)
