"""What the workflow engine would let pass or trips over: incomplete outputs, a killed driver, unseen edits."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pipeline_lib.io.manifest import read_manifest
from tests.faults.project import command, content
from tests.workflow.project import ROOT, edit_yaml, environment, snakemake, write_project
from tests.workflow.test_workflow import copied, edit, planned

__all__ = ["copied"]

DATASET = "data/tiny-adt/dataset/2005-04.json"
KILLER = '''
import os, signal, sys

def watch(event, arguments):
    """Kill the job that preprocesses when it has put its store in place, before it writes the manifest."""
    if event == "os.rename" and str(arguments[1]).endswith("2005-04.zarr"):
        watch.armed = True
    elif event == "open" and getattr(watch, "armed", False) and str(arguments[0]).endswith(".2005-04.json.partial"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
'''


@pytest.fixture(scope="module")
def fetched(tmp_path_factory) -> Path:
    """A project whose raw file is here, and its dataset of April with its bytes."""
    folder = write_project(tmp_path_factory.mktemp("fetched"))
    snakemake(folder, DATASET)
    return folder


@pytest.fixture
def own(fetched, tmp_path) -> Path:
    folder = tmp_path / "own"
    shutil.copytree(fetched, folder, symlinks=True)
    return folder


def month(folder: Path) -> dict[str, bytes]:
    return content((folder / DATASET).parent)


# ---- incomplete outputs ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_r12_what_a_failed_job_left_under_keep_incomplete_is_not_taken_for_complete(own, tmp_path):
    """The engine keeps no record of it; here the declared output is the manifest, which is written last."""
    whole = month(own)
    (own / DATASET).unlink()
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(KILLER)
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(own), "--cores", "1"]
    path = os.pathsep.join([str(ROOT), str(hook)])
    done = subprocess.run([*command, "--keep-incomplete", DATASET], env={**environment(), "PYTHONPATH": path})
    assert done.returncode != 0
    assert (own / DATASET).with_suffix(".zarr").is_dir()  # it looks whole, and nobody vouches for it
    assert not (own / DATASET).exists()
    assert planned(own, DATASET) == {"preprocess": 1}
    snakemake(own, DATASET)
    assert month(own) == whole


@pytest.mark.slow
def test_r14_an_earlier_month_outlives_the_job_that_makes_it_again_and_fails(own):
    """A store as ``directory()`` output would be deleted before the job starts; here its payload stays."""
    raw = own / "data/tiny-adt/raw/maps.nc"
    store = (own / DATASET).with_suffix(".zarr")
    before = content(store)
    raw.write_bytes(raw.read_bytes()[:-1])
    done = snakemake(own, "--forcerun", "preprocess", "--", DATASET, check=False)
    assert done.returncode != 0
    assert "maps.nc has " in done.stdout
    assert content(store) == before


@pytest.mark.slow
def test_an_output_that_was_deleted_is_made_again(own):
    whole = month(own)
    (own / DATASET).unlink()
    snakemake(own, DATASET)
    assert month(own) == whole


def test_an_output_that_was_replaced_by_a_folder_is_told_by_verify_and_by_who_reads_it(own):
    """The engine takes the folder for the file: it finds nothing to do."""
    (own / DATASET).unlink()
    (own / DATASET).mkdir()
    assert planned(own, DATASET) == {}
    told = f"{DATASET}: manifest is not readable: .*Is a directory.*; delete"
    done = command("verify", own / "data")
    assert done.code == 5
    assert re.search(told, done.problems[0]), done.problems
    words = ("--dataset", own / DATASET, "--output", own / "labels" / "2005-04.json")
    done = command("label", "--labeller", "okubo_weiss", *words)
    assert done.code == 5
    assert re.search(told, done.problems[0]), done.problems


@pytest.mark.slow
def test_an_output_that_was_touched_changes_no_byte(own):
    whole = month(own)
    os.utime(own / "data/tiny-adt/raw/all.json")
    snakemake(own, DATASET)
    assert month(own) == whole


# ---- a killed driver -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.7, 1.5])
def test_a_killed_driver_whose_jobs_live_on_converges(own, delay):
    """SIGKILL of the engine alone: its job goes on, and the next run still ends with the same bytes."""
    whole = month(own)
    (own / DATASET).unlink()
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(own), "--cores", "1", DATASET]
    driver = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    until = time.monotonic() + 120
    while not (own / "data/tiny-adt/dataset/.2005-04.partial").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(delay)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    snakemake(own, "--unlock")
    for _ in range(5):  # as long as the orphan writes, the job of the second run is refused
        done = snakemake(own, "--rerun-incomplete", DATASET, check=False)
        if done.returncode == 0:
            break
        assert "another process is writing it" in done.stdout, done.stdout
    assert planned(own, DATASET) == {}
    assert month(own) == whole


# ---- edits that the engine does not see ------------------------------------------------------------------


def test_r20_an_edited_environment_runs_its_stage_again_without_conda_too(fetched, copied):
    snakefile = copied / "Snakefile"
    assert planned(fetched, DATASET, snakefile=snakefile) == {}
    edit(copied / "envs/preprocess.yaml", "# ", "# Reworded: ")
    edit(copied / "envs/report.yaml", "matplotlib-base=", "matplotlib-base=0.")
    assert planned(fetched, DATASET, snakefile=snakefile) == {}
    edit(copied / "envs/preprocess.yaml", "zarr=", "zarr=0.")
    assert planned(fetched, DATASET, snakefile=snakefile) == {"preprocess": 1}


@pytest.mark.slow
def test_a_broken_plug_in_is_told_and_the_others_run(fetched, copied, tmp_path):
    model = "from pipeline_lib.models.registry import MODELS\n\n@MODELS.register('broken')\nclass Broken:\n    pass\n"
    (copied / "pipeline_lib/models/broken.py").write_text("raise RuntimeError('no such card')\n" + model)
    snakefile = copied / "Snakefile"
    assert planned(fetched, snakefile=snakefile)["train"] == 2
    folder = write_project(tmp_path / "p")
    edit_yaml(folder / "config/experiments/tiny.yaml", models=["eddynet", "broken"])
    done = snakemake(folder, "--dry-run", "--snakefile", str(snakefile), check=False)
    assert done.returncode != 0
    assert "model 'broken' cannot be loaded: " in done.stdout, done.stdout
    assert "Traceback" not in done.stdout


def test_planning_a_clean_copy_takes_less_than_ten_seconds_of_one_core(copied):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["snakemake", "--dry-run"], cwd=copied, env=environment(), capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10


# ---- a repository that may not be written ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount")
def test_a_repository_that_may_not_be_written_is_enough_to_work(copied, tmp_path):
    """Code, rules and configuration are read only; nothing is left in them."""
    folder = write_project(tmp_path / "p")
    before = content(copied)
    subprocess.run(["chmod", "-R", "a-w", str(copied)], check=True)
    mount = ["mount", "--bind", "-o", "ro", str(copied), str(copied)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(copied)], check=True)
        with pytest.raises(OSError, match="Read-only file system"):
            (copied / "x").touch()
        snakemake(folder, "--snakefile", str(copied / "Snakefile"), DATASET)
    finally:
        subprocess.run(["umount", str(copied)], check=True)
    read_manifest(folder / DATASET, verify="deep")
    assert content(copied) == before
