"""A ``python`` on the PATH that is not the one Gyre is installed in."""

from __future__ import annotations

import os
import subprocess
import sys
import venv

from tests.workflow.project import ROOT, environment, write_project


def test_jobs_run_with_the_python_of_snakemake_whatever_path_says(tmp_path):
    folder = write_project(tmp_path / "project")
    wrong = tmp_path / "bin" / "python"
    wrong.parent.mkdir()
    wrong.write_text("#!/bin/sh\nexit 99\n")
    wrong.chmod(0o755)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1"]
    env = environment() | {"PATH": os.pathsep.join([str(wrong.parent), os.environ["PATH"]])}
    raw = "data/tiny-adt/raw/all.json"
    done = subprocess.run([*command, raw], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / raw).is_file()


def test_a_missing_package_is_one_line(tmp_path):
    venv.create(tmp_path / "bare", symlinks=True)
    command = [tmp_path / "bare/bin/python", "-m", "pipeline_lib", "fetch", "med-adt-2005q2", "--part", "all"]
    done = subprocess.run([*command, "--output", tmp_path / "all.json"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"is not installed in {tmp_path / 'bare'}; run make install" in done.stderr
