"""What is finished, read from manifests: each was made from the inputs that are here, or it does not count."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline_lib.errors import StoreError
from pipeline_lib.io.manifest import Manifest, read_manifest
from pipeline_lib.operations.sources import SourceDesk
from pipeline_lib.plan import Plan

PRELIMINARY = "data_status"


def read_if_there(path: str | Path, kind: str) -> Manifest | None:
    """Return a manifest, unverified; ``None`` if it is missing or not readable."""
    try:
        return read_manifest(Path(path), kind=kind, verify="none")
    except StoreError:
        return None


def is_finished(plan: Plan, desk: SourceDesk, experiment: str, period: str) -> bool:
    """Whether all that an experiment makes of a period is here and made from what is here now."""
    dataset = read_if_there(plan.dataset_of(experiment, period), "dataset")
    raw = desk.fetched(desk.source.part_of(period))
    if dataset is None or raw is None or not desk.same_share(period, dataset.inputs["raw"].identity):
        return False
    if bool(raw.content.get("preliminary")) != (PRELIMINARY in dataset.content):
        return False
    labels = [read_if_there(path, "labels") for path in plan.labels_of(experiment, period)]
    if any(found is None or found.inputs["dataset"].identity != dataset.identity for found in labels):
        return False
    return all(
        _run_is_finished(plan, experiment, model, seed, period, [dataset, *labels])
        for model, seed in plan.runs_in_use(experiment)
    )


def _run_is_finished(
    plan: Plan, experiment: str, model: str, seed: int, period: str, data: Iterable[Manifest | None]
) -> bool:
    """Whether the product of a run was made from the dataset, and its score from the product, labels and dataset."""
    dataset, *labels = data
    names = {"experiment": experiment, "model": model, "seed": seed, "period": period}
    product = read_if_there(plan.path("product", **names), "product")
    if product is None or dataset is None or product.inputs["dataset"].identity != dataset.identity:
        return False
    if not labels:
        return True
    score = read_if_there(plan.path("period_score", **names), "score")
    made_of = {found.identity for found in (product, dataset, *labels) if found is not None}
    return score is not None and {record.identity for record in score.inputs.values()} == made_of
