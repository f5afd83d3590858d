"""The finished project of the workflow's tests, to compare with."""

from __future__ import annotations

from tests.workflow.conftest import finished

__all__ = ["finished"]
