"""The registered metrics of one task."""

from __future__ import annotations

from pipeline_lib.metrics import METRICS


def metrics_of(task: str, module: str = "") -> list[str]:
    """Names of the metrics that are registered below a task's package, or in one module of it."""
    return [name for name in METRICS.names() if METRICS.module(name).startswith(f"pipeline_lib.tasks.{task}.{module}")]


def segmentation_metrics() -> list[str]:
    """Names of all metrics of segmentation: families with each class, and with each sample of cells."""
    samples = ("all", "patches", "patches_sd")
    classes = ("none", "anticyclonic", "cyclonic")
    of_class = [*classes, *(f"{name}_{sample}" for name in classes for sample in samples)]
    arguments = {"dice_*": of_class, "iou_*": of_class, "object_f1_*": classes[1:]}
    return [
        name.replace("*", argument)
        for name in metrics_of("segmentation")
        for argument in (arguments.get(name, samples) if name.endswith("*") else [""])
    ]
