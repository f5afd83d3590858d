"""The finished project of the workflow's tests, to compare with, and the cluster of the cluster's tests."""

from __future__ import annotations

from tests.cluster.conftest import cluster
from tests.workflow.conftest import finished

__all__ = ["cluster", "finished"]
