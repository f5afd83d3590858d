"""A tiny project folder with generated maps, on which the whole workflow runs in seconds."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import xarray as xr
import yaml

from pipeline_lib.io.hashing import sha256_file
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.plan import load_plan

ROOT = Path(__file__).parents[2]
DAYS = 91
_DAY = len("2000-01-01")


def eddy_maps(*, days: int = DAYS, rows: int = 40, columns: int = 56, seed: int = 0) -> xr.Dataset:
    """Daily sea-level maps of slowly drifting Gaussian eddies of both signs, with a strip of land."""
    rng = np.random.default_rng(seed)
    latitude = 34.0 + np.arange(rows) / 8
    longitude = 2.0 + np.arange(columns) / 8
    x, y = np.meshgrid(longitude, latitude)
    centres = rng.uniform([longitude[4], latitude[4]], [longitude[-5], latitude[-5]], (7, 2))
    drift = rng.normal(0, 0.012, (7, 2))
    height = rng.choice([-1.0, 1.0], 7) * rng.uniform(0.08, 0.15, 7)
    width = rng.uniform(0.3, 0.5, 7)
    maps = np.zeros((days, rows, columns))
    for day in range(days):
        for (x0, y0), (dx, dy), amplitude, size in zip(centres, drift, height, width, strict=True):
            squared = ((x - x0 - dx * day) * np.cos(np.radians(36))) ** 2 + (y - y0 - dy * day) ** 2
            maps[day] += amplitude * np.exp(-squared / (2 * size**2))
    maps[:, :3, :] = np.nan
    return xr.Dataset(
        {"adt": (("time", "latitude", "longitude"), maps, {"units": "m", "long_name": "absolute dynamic topography"})},
        coords={
            "time": np.datetime64("2005-04-01", "ns") + np.arange(days) * np.timedelta64(1, "D"),
            "latitude": ("latitude", latitude, {"units": "degrees_north"}),
            "longitude": ("longitude", longitude, {"units": "degrees_east"}),
        },
    )


def write_files(folder: Path, name: str, experiment: dict, catalog: dict, **settings: object) -> Path:
    """Write catalog, configuration and the one experiment of a project, called ``name``, into ``folder``."""
    config = folder / "config"
    (config / "experiments").mkdir(parents=True, exist_ok=True)
    _write(config / "config.yaml", {"experiments": [name], **settings})
    _write(config / "catalog.yaml", catalog)
    _write(config / f"experiments/{name}.yaml", experiment)
    return folder


def write_project(folder: Path, *, maps: xr.Dataset | None = None) -> Path:
    """Write data, catalog, experiment and configuration of a tiny project into ``folder``."""
    file = folder / "incoming" / "maps.nc"
    file.parent.mkdir(parents=True, exist_ok=True)
    (eddy_maps() if maps is None else maps).to_netcdf(file, engine="h5netcdf")
    return write_files(folder, "tiny", experiment(), catalog(file))


def write_simulated_project(folder: Path, name: str, experiment: dict, **simulation: object) -> Path:
    """Write a project of one experiment on states that ``simulated`` describes."""
    return write_files(folder, name, experiment, simulated(experiment, **simulation), device="cpu")


def catalog(file: Path) -> dict:
    """The catalog of the tiny project: one file, read by the file driver."""
    return _catalog(
        "tiny-adt",
        "maps.nc",
        variables={"adt": {"name": "adt", "units": "m"}},
        time={"start": "2005-04-01", "end": "2005-06-30", "step_hours": 24},
        parts="whole",
        fetch={"driver": "file", "path": str(file), "sha256": sha256_file(file)},
        preparation={"name": "gridded_ssh", "options": {"wavelength_km": 300, "order": 1}},
    )


def simulated(
    experiment: dict,
    *,
    simulation: str,
    step_hours: float,
    options: dict,
    preparation: dict | None = None,
    variables: Sequence[str] = ("state",),
) -> dict:
    """A catalog whose source is a simulation over the days of the experiment; variables are stored as they are."""
    split = experiment["split"]
    return _catalog(
        experiment["source"],
        f"{simulation}.nc",
        variables={name: {"name": name, "units": "1"} for name in variables},
        form="states",
        time={"start": split["train"][0][:_DAY], "end": split["test"][1][:_DAY], "step_hours": step_hours},
        fetch={"driver": "simulate", "simulation": simulation, "options": options},
        preparation=preparation or {"name": "as_is", "options": {"variables": list(variables), "dtype": "float64"}},
    )


def _catalog(source: str, file: str, **block: object) -> dict:
    """A catalog of one source, whose raw data is one file."""
    entry = {
        "description": "Made for the tests",
        "driver": "netcdf",
        "args": {
            "urlpath": f"{{{{ data_dir }}}}/{source}/raw/{file}",
            "chunks": {},
            "path_as_pattern": False,
            "xarray_kwargs": {"engine": "h5netcdf"},
        },
        "metadata": {
            "gyre": {"citation": "Generated", "licence": "CC0-1.0", "homepage": "https://example.org", **block}
        },
    }
    parameters = {"data_dir": {"description": "data", "type": "str", "default": "data"}}
    return {"metadata": {"version": 1, "parameters": parameters}, "sources": {source: entry}}


def experiment() -> dict:
    """The experiment of the tiny project."""
    return {
        "title": "Tiny eddies",
        "task": "segmentation",
        "source": "tiny-adt",
        "labels": {"labeller": "pet14"},
        "inputs": ["adt_high_pass"],
        "split": {
            "train": ["2005-04-01", "2005-04-20"],
            "validation": ["2005-05-01", "2005-05-04"],
            "test": ["2005-05-20", "2005-06-05"],
            "gap_days": 10,
        },
        "training": {"patch": 32, "batch_size": 4, "steps_per_epoch": 2, "max_epochs": 2},
        "scoring": {"patches": {"sets": 3, "size": 32}},
        "models": ["eddynet", "okubo_weiss"],
        "seeds": [0],
        "published": ["eddynet"],
    }


def edit_yaml(path: Path, **changes: object) -> None:
    """Replace top-level keys of a YAML file."""
    _write(path, {**yaml.safe_load(path.read_text()), **changes})


def _write(path: Path, value: dict) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False))


def copy_of(folder: Path, target: Path) -> Path:
    """Copy a project with the times of its files, which decide what is stale."""
    return Path(shutil.copytree(folder, target, symlinks=True))


def environment() -> dict[str, str]:
    """Environment in which ``python`` and ``snakemake`` are those of the tests."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # Threads that wait do not spin: several jobs of a test share two processors.
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **threads}


def snakemake(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on a project folder; stderr is folded into stdout."""
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "1"]
    words = [*command, *arguments]
    if "--snakefile" in arguments:  # another repository brings a package of its own, which a fork has not imported
        done = subprocess.run(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    else:
        with tempfile.NamedTemporaryFile("r", suffix=".log") as log:
            code = _in_fork(Path.cwd(), Path(log.name), words)
            done = subprocess.CompletedProcess(words, code, stdout=log.read())
    assert not check or done.returncode == 0, done.stdout
    return done


def commands(folder: Path, *targets: str, rules: Sequence[str] = ()) -> list[list[str]]:
    """Return what follows ``python -m pipeline_lib`` in each command that Snakemake would run for files, in order."""
    allowed = ["--allowed-rules", *rules] if rules else []
    plan = snakemake(folder, "--dry-run", "--printshellcmds", "--quiet", "host", *allowed, "--", *targets).stdout
    found = re.findall(r"^Shell command: (python -m pipeline_lib .*)$", plan, re.MULTILINE)
    script = "\n".join(["python() { printf '%s\\x1f' \"${@:3}\"; echo; }", *found])
    with contextlib.chdir(folder):
        config = load_plan(load_yaml(Path("config/config.yaml")))
    around = {  # what rules/common.smk exports
        "GYRE_CATALOG": str(config.config.catalog),
        "GYRE_EXPERIMENTS": str(config.config.experiments_dir),
        "GYRE_DEVICE": config.config.device,
        "GYRE_DEVICES": str(config.config.devices),
        "GYRE_DASK": config.dask,
        "GYRE_WORKFLOW": str(ROOT),
        "GYRE_SNAKEMAKE": metadata.version("snakemake"),
    }
    words = subprocess.run(["bash", "-c", script], env=around, capture_output=True, text=True, check=True).stdout
    return [line.split("\x1f")[:-1] for line in words.splitlines()]


def make_in_forks(folder: Path, *targets: str) -> None:
    """Run the commands that Snakemake would run for files, each in a process that starts with libraries imported.

    That a project was made so, the engine does not know: tests of what it makes again use :func:`snakemake`.
    """
    log = folder / "commands.log"
    log.touch()
    found = commands(folder, *targets)
    assert found
    for words in found:
        assert _in_fork(folder, log, ["gyre", *words]) == 0, log.read_text()


def _in_fork(folder: Path, log: Path, words: Sequence[str]) -> int:
    """Run a command in a folder and return its exit code; what it prints is added to a file."""
    server = _fork_server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps([str(folder), str(log), environment(), words]) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


@cache
def _fork_server() -> subprocess.Popen[str]:
    """Start the fork server; it ends when this process, which holds its standard input, ends."""
    command = [sys.executable, str(Path(__file__).with_name("fork_server.py"))]
    return subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def planned(folder: Path, *arguments: str, snakefile: Path = ROOT / "Snakefile") -> dict[str, int]:
    """Jobs that a dry run would do, by rule."""
    elsewhere = [] if snakefile == ROOT / "Snakefile" else ["--snakefile", str(snakefile)]
    output = snakemake(folder, "--dry-run", *elsewhere, *arguments).stdout
    table = output[output.index("Job stats:") :] if "Job stats:" in output else ""
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}
    return {name: count for name, count in jobs.items() if name not in {"all", "total"}}


def identities(folder: Path) -> dict[str, str]:
    """Identity by path of every manifest of a project."""
    found = {}
    for top in ("data", "results"):
        for file in (folder / top).rglob("*.json"):
            content = json.loads(file.read_text())
            if isinstance(content, dict) and "identity" in content:
                found[str(file.relative_to(folder))] = content["identity"]
    return found


def gyre(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``python -m pipeline_lib`` with the given arguments."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline_lib", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
    )
