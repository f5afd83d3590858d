"""Settings of all tests."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

# Workers share the processors: threads of their own would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A machine that does other work as well is slow now and then, which says nothing about the code. Continuous integration
# asks whether a change broke something: it takes the same examples every time; all others look for new ones.
settings.register_profile("gyre", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("gyre")

SHARED = "the finished project"
FINISHED = ("test_predict_tool", "test_provenance", "test_training_job", "test_workflow")
"""Test modules of ``tests/workflow`` that look at one project, which each worker would make again."""
LONG = (
    SHARED, "workflow/test_dynamics", "workflow/test_assimilation", "workflow/test_classification",
    "workflow/test_closures", "workflow/test_netgen", "workflow/test_shallow_water",
    "faults/", "operations/", "report/", "tasks/dynamics/",
)  # fmt: skip
"""What takes longest, in the order in which it starts: short files at the end let the workers end together."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling | None:
    """With ``--dist loadfile``: one worker for all tests of the finished project, and long files first."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class LongFirst(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            shared = file.endswith(tuple(f"workflow/{name}.py" for name in FINISHED))
            return SHARED if shared else file

        def _assign_work_unit(self, node: object) -> None:
            self.workqueue = OrderedDict(sorted(self.workqueue.items(), key=lambda unit: rank(unit[0])))
            super()._assign_work_unit(node)

    return LongFirst(config, log)


def rank(scope: str) -> int:
    """Place of a file in the order in which files start."""
    return next((place for place, part in enumerate(LONG) if part in scope), len(LONG))
