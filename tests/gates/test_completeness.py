"""Every experiment that ``make dynamics`` and ``make nowcasting`` run is asked what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.workflow.project import ROOT


@pytest.mark.parametrize("group", ["DYNAMICS", "NOWCASTING"])
def test_every_experiment_of_a_target_has_a_gate(group: str):
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    found = re.search(rf"^{group} := (.*)$", makefile, re.MULTILINE)
    assert found is not None
    gates = Path(__file__).with_name(f"test_{group.lower()}.py").read_text()
    assert [name for name in found[1].split() if f'"{name}"' not in gates] == []
