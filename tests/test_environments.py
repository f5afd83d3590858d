"""Conda environments: one per stage, every pin equal to pip's, and complete for the stage's imports."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from pipeline_lib.fingerprint import reachable
from pipeline_lib.readers.registry import READERS
from tests.conda.names import PIP_NAME

ROOT = Path(__file__).parents[1]
STAGES = ("fetch", "simulate", "preprocess", "label", "train", "predict", "score", "report")


def task(stage: str) -> list[str]:
    """The module of each task that does a stage."""
    return [f"tasks.{name}.{stage}" for name in ("segmentation", "dynamics", "assimilation", "classification")]


def readers() -> list[str]:
    """The modules of all readers; files are looked into where they are fetched and read where they are prepared."""
    return sorted({READERS.module(name).removeprefix("pipeline_lib.") for name in READERS.names()})


ROOTS = {
    "fetch": ["fetch.stage", "fetch.drivers.pypi", "fetch.drivers.http", "fetch.drivers.file", *readers(), "cli.app"],
    "simulate": [
        "fetch.stage",
        "fetch.drivers.simulate",
        "simulations.lorenz63",
        "simulations.digits",
        "simulations.burgers_uncertainty",
        "cli.app",
    ],
    "preprocess": ["preprocess.stage", "preprocess.statistics", "preparations.gridded_ssh", *readers(), "cli.app"],
    "label": ["label.stage", "label.labellers.pet14", "label.labellers.okubo_weiss", "cli.app"],
    "train": [
        "train.stage",
        *task("train"),
        "models.eddynet",
        "models.unet",
        "models.scheme_resnet",
        "models.generated_pde",
        "cli.app",
    ],
    "predict": [
        "predict.stage",
        *task("predict"),
        "models.eddynet",
        "models.okubo_weiss",
        "models.generated_pde",
        "cli.app",
    ],
    "score": ["score.stage", *task("score"), "cli.app"],
    "report": ["report.stage", *task("report"), "cli.app"],
}
SITE = Path(f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages")
LAZY = {"cli.app"}
"""What loads the modules of all stages, but only those of the one that runs."""


def conda_pins(stage: str) -> dict[str, str]:
    raw = yaml.safe_load((ROOT / f"envs/{stage}.yaml").read_text())
    pins = dict(line.split("=", 1) for line in raw["dependencies"] if "=" in line)
    return {PIP_NAME.get(name, name): version for name, version in pins.items()}


def pip_pins() -> dict[str, str]:
    pins = {}
    for name in ("constraints.txt", "requirements.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if match := re.match(r"([\w.-]+)(?:\[.*\])?==([^ ;]+)", line):
                pins[match[1].lower()] = match[2]
    return pins


@pytest.mark.parametrize("stage", STAGES)
def test_pins_equal_those_of_pip(stage):
    pins, pip = conda_pins(stage), pip_pins()
    assert pins.pop("python") == "3.11"
    assert pins == {name: pip[name] for name in pins}


@pytest.mark.parametrize(("one", "other"), [("train", "predict"), ("label", "score")])
def test_stages_of_the_same_packages_share_one_environment(one, other):
    assert (ROOT / f"envs/{one}.yaml").read_bytes() == (ROOT / f"envs/{other}.yaml").read_bytes()


def top_level_imports(module: str) -> set[str]:
    """Third-party packages that a module imports at its top level, which cannot be done without."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"pipeline_lib"}


def closure(names: set[str]) -> set[str]:
    """Distributions and all that they require, by installed metadata."""
    waiting, found = {n.lower().replace("_", "-") for n in names}, set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            if "extra ==" in line:
                continue
            required = re.match(r"[\w.-]+", line)[0].lower().replace("_", "-")
            if any(required == d.name.lower().replace("_", "-") for d in metadata.distributions()):
                waiting.add(required)
    return found


@pytest.fixture(scope="module")
def imported_by_planning() -> set[str]:
    """Packages that any command loads, since each asks the plan for the fingerprint of its code."""
    code = "import sys, pipeline_lib.cli.app, pipeline_lib.plan; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    providers = metadata.packages_distributions()
    loaded = set(done.stdout.split())
    return {providers[name][0].lower().replace("_", "-") for name in loaded & set(providers)} - {"gyre"}


@pytest.mark.parametrize("stage", STAGES)
def test_environment_holds_what_every_command_loads(stage, imported_by_planning):
    pinned = {name for other in STAGES for name in conda_pins(other)} & imported_by_planning - {"pyarrow"}
    # (pandas loads that one if it happens to be there)
    lacks = pinned - set(conda_pins(stage)) - closure(set(conda_pins(stage)) - {"python"})
    assert not lacks, f"every command loads {sorted(lacks)}"


def modules_of(stage: str) -> set[str]:
    """The stage's own modules and all that they import."""
    return {m for root in ROOTS[stage] if root not in LAZY for m in reachable(f"pipeline_lib.{root}")}


@pytest.mark.parametrize("stage", STAGES)
def test_environment_holds_what_the_stage_imports(stage):
    imported = {name for module in modules_of(stage) for name in top_level_imports(module)}
    providers = metadata.packages_distributions()
    needed = {providers[name][0].lower().replace("_", "-") for name in imported}
    held = closure(set(conda_pins(stage)) - {"python"})
    assert needed <= held, f"envs/{stage}.yaml lacks {sorted(needed - held)}"


@pytest.fixture(scope="module")
def only(tmp_path_factory):
    """``only(stage)``: the Python of a virtual environment that holds what envs/<stage>.yaml names, and no more.

    An environment that holds all of another one and more sees that one's packages and has the others itself, so that
    most are installed once.
    """
    made: dict[frozenset[str], Path] = {}

    def python_for(stage: str) -> Path:
        pins = conda_pins(stage)
        pins.pop("python")
        wanted = frozenset(f"{name}=={version}" for name, version in pins.items())
        if wanted in made:
            return made[wanted]
        below = max((held for held in made if held < wanted), key=len, default=frozenset())
        folder = tmp_path_factory.mktemp(stage)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        if below:
            lower = made[below].parents[1] / SITE
            (folder / SITE / "below.pth").write_text("\n".join([str(lower), *_pth_lines(lower)]))
        made[wanted] = folder / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--python", made[wanted], "install", "--quiet"]
        subprocess.run([*pip, "-c", ROOT / "constraints.txt", *sorted(wanted - below)], check=True)
        return made[wanted]

    return python_for


def _pth_lines(site: Path) -> list[str]:
    file = site / "below.pth"
    return file.read_text().split("\n") if file.exists() else []


IMPORT_ALL = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["fetch", "simulate", "preprocess", "label", "score", "train", "predict", "report"])
def test_stage_imports_with_only_the_packages_of_its_environment(stage, only):
    # Each command asks the plan for the fingerprint of its code.
    modules = [*sorted(modules_of(stage)), *(f"pipeline_lib.{name}" for name in sorted(LAZY)), "pipeline_lib.plan"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [only(stage), "-c", IMPORT_ALL, *modules],
        env={**clean, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"envs/{stage}.yaml: {done.stderr}"
