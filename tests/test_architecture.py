"""The house rules that an import can break."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pipeline_lib"
STAGES = ("fetch", "preprocess", "label", "train", "predict", "score", "report")
FLOOR = ("io", "data", "ocean", "learning", "provenance", "assimilation", "skill", "motion", "retrieval")
ENTRANCE = ("config", "plan", "cli", "reference", "catalog")


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.split(".", 2)[1] for name in found if name.startswith("pipeline_lib.")}


def files_of(stage: str) -> list[Path]:
    return [*(PACKAGE / stage).rglob("*.py"), *PACKAGE.glob(f"tasks/*/{stage}.py")]


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_another_stage_or_what_comes_before_planning(stage):
    forbidden = set(STAGES) - {stage}
    for file in files_of(stage):
        broken = imports(file) & forbidden
        assert not broken, f"{file.relative_to(PACKAGE)} imports {broken}"


@pytest.mark.parametrize("room", FLOOR)
def test_the_floor_below_knows_no_stage_and_no_configuration(room):
    for file in (PACKAGE / room).rglob("*.py"):
        broken = imports(file) & {*STAGES, *ENTRANCE, "tasks"}
        assert not broken, f"{file.relative_to(PACKAGE)} imports {broken}"


def test_files_stay_small():
    long = {
        str(f.relative_to(PACKAGE)): n for f in PACKAGE.rglob("*.py") if (n := len(f.read_text().splitlines())) > 400
    }
    assert not long, f"over 400 lines: {long}"
