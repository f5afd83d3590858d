"""The registered metrics of one task."""

from __future__ import annotations

from pipeline_lib.metrics import METRICS


def metrics_of(task: str, module: str = "") -> list[str]:
    """Names of the metrics that are registered below a task's package, or in one module of it."""
    return [name for name in METRICS.names() if METRICS.module(name).startswith(f"pipeline_lib.tasks.{task}.{module}")]
