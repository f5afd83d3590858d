"""Code fingerprints: edits that can change a result count, others do not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRINT = "import sys; from pipeline_lib.fingerprint import fingerprint; print(fingerprint(*sys.argv[1:]))"


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "pipeline_lib", tmp_path / "pipeline_lib", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def fingerprint_in(folder: Path, *roots: str) -> str:
    done = subprocess.run([sys.executable, "-c", PRINT, *roots], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


STAGE = ("pipeline_lib.preprocess.stage", "pipeline_lib.preparations.gridded_ssh")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_same_code_same_fingerprint(copy):
    assert fingerprint_in(copy, *STAGE) == fingerprint_in(ROOT, *STAGE)


def test_a_change_in_an_indirectly_imported_module_counts(copy):
    edit(copy / "pipeline_lib/data/units.py", '"cm", "centimeter"', '"cm", "centi", "centimeter"')
    assert fingerprint_in(copy, *STAGE) != fingerprint_in(ROOT, *STAGE)


def test_a_change_in_a_module_imported_inside_a_function_counts(copy):
    file = copy / "pipeline_lib/ocean/geostrophy.py"
    file.write_text(file.read_text() + "\nEXTRA = 1\n")
    assert fingerprint_in(copy, *STAGE) != fingerprint_in(ROOT, *STAGE)


def test_docstrings_comments_and_layout_do_not_count(copy):
    file = copy / "pipeline_lib/data/units.py"
    edit(file, '"""The closed table', '"""One closed table')
    edit(file, "from __future__ import annotations\n", "from __future__ import annotations\n\n# a remark\n\n\n")
    edit(file, '"""Return the unit that', '"""Give the unit that')
    assert fingerprint_in(copy, *STAGE) == fingerprint_in(ROOT, *STAGE)


def test_a_module_that_the_stage_does_not_use_does_not_count(copy):
    file = copy / "pipeline_lib/config/experiment.py"
    file.write_text(file.read_text() + "\nEXTRA = 1\n")
    assert fingerprint_in(copy, *STAGE) == fingerprint_in(ROOT, *STAGE)


def test_data_files_of_a_package_count(copy):
    published = copy / "pipeline_lib/published"
    before = fingerprint_in(copy, "pipeline_lib.published")
    (published / "another.yaml").write_text("a: 1\n")
    assert fingerprint_in(copy, "pipeline_lib.published") != before
