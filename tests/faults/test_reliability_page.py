"""The page that says what is tested names tests that exist."""

from __future__ import annotations

import ast
import re

from tests.faults.mutations import mutations
from tests.workflow.project import ROOT

NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_every_test_that_the_page_names_exists():
    named = NAMED.findall((ROOT / "docs/reliability.md").read_text(encoding="utf-8"))
    assert len(named) > 80
    absent = [f"{file}::{test}" for file, test in named if test not in functions(file)]
    assert not absent


def test_every_mutation_finds_what_it_replaces_and_its_test():
    wrong = []
    for mutation in mutations():
        file, _, node = mutation.test.partition("::")
        found = mutation.old in (ROOT / mutation.file).read_text(encoding="utf-8")
        if not found or node.partition("[")[0] not in functions(file.removeprefix("tests/")):
            wrong.append(mutation.name)
    assert not wrong


def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
