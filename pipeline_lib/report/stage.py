"""The report stage: figures as PNG and PDF, and one self-contained page."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline_lib.config.loader import LoadedExperiment
from pipeline_lib.io.atomic import write_text
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.provenance.chain import walk
from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.gather import gather
from pipeline_lib.report.page import EmbeddedFigure, embed, render_page
from pipeline_lib.report.style import journal_style, save_animation, save_figure
from pipeline_lib.tasks.registry import stage_module

logger = logging.getLogger(__name__)

PAGE = "report.html"
FIGURES = "figures"
_PACKAGES = ("matplotlib", "pillow", "cmocean", "scipy", "jinja2", "markupsafe", "pyyaml")


def build_report(
    *,
    experiment: LoadedExperiment,
    leaderboard: Path,
    models: Sequence[Path],
    products: Sequence[Path],
    labels: Sequence[Path],
    datasets: Sequence[Path],
    output: Path,
    code: str,
) -> None:
    """Write the report of an experiment.

    Parameters
    ----------
    experiment
        The experiment.
    leaderboard
        Manifest of its leaderboard.
    models, products
        Manifests of all runs, in folders ``<model>/seed<seed>``; may be empty.
    labels, datasets
        Manifests of the scored periods; may be empty.
    output
        Manifest to write; ``report.html`` and the folder ``figures`` come to lie beside it.
    code
        Fingerprint of the code.

    Raises
    ------
    StoreError
        If an input does not match its manifest.
    """
    board = read_manifest(leaderboard, kind="leaderboard")
    paths = {"model": models, "product": products, "labels": labels, "dataset": datasets}
    inputs = {kind: [read_manifest(path, kind=kind) for path in found] for kind, found in paths.items()}
    spec = experiment.spec
    context = gather(
        spec,
        leaderboard=board,
        models=inputs["model"],
        products=inputs["product"],
        labels=inputs["labels"],
        datasets=inputs["dataset"],
        notes=experiment.notes,
    )
    with Artefact(output, kind="report", code=code, packages=_PACKAGES) as out:
        _record(out, board, inputs)
        out.options = spec.model_dump(mode="json")
        figures = _draw(context, out.payload(FIGURES), task=spec.task, identifier=out.origin)
        folder = output.parent
        nodes = walk([board, *(manifest for found in inputs.values() for manifest in found)], folder=folder)
        page = render_page(context, name=experiment.name, identifier=out.origin, figures=figures, nodes=nodes)
        write_text(out.payload(PAGE), page)
        out.content = {"experiment": experiment.name, "figures": [figure.name for figure in figures]}
    logger.info("%s: %d figures, page of %d kB", output, len(figures), len(page) // 1000)


def _draw(context: ReportContext, folder: Path, *, task: str, identifier: str) -> list[EmbeddedFigure]:
    with journal_style():
        drawn: list[ReportFigure] = stage_module(task, "report").figures(context)
        return [_saved(figure, folder, identifier) for figure in drawn]


def _saved(figure: ReportFigure, folder: Path, identifier: str) -> EmbeddedFigure:
    png, _ = save_figure(figure.figure, folder, figure.name, identifier=identifier)
    if not figure.frames:
        return embed(figure, png)
    return embed(figure, png, save_animation(figure.frames, folder, figure.name, identifier=identifier))


def _record(out: Artefact, board: Manifest, inputs: dict[str, list[Manifest]]) -> None:
    out.add_input("leaderboard", board)
    for kind, manifests in inputs.items():
        for number, manifest in enumerate(manifests):
            out.add_input(f"{kind}-{number}", manifest)
