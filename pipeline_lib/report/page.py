"""The page: one HTML file that holds its figures, styles and script, and asks for nothing from outside."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline_lib import __version__
from pipeline_lib.html import render
from pipeline_lib.io.identifier import as_text
from pipeline_lib.provenance.chain import KINDS, Node, sources, versions
from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.numbers import UNDEFINED, in_text
from pipeline_lib.report.tables import compared_table, model_entries, score_tables
from pipeline_lib.report.words import dates_word, period_words, range_words, result_sentences

KIND_WORDS = {
    "raw": "Raw files",
    "dataset": "Datasets",
    "statistics": "Statistics",
    "labels": "Labels",
    "model": "Models",
    "product": "Products",
    "score": "Scores",
    "leaderboard": "Leaderboard",
    "": "Not here any more",
}
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
"""What makes an address of a citation or homepage; without it, it is plain text that nothing can load or follow."""
IDENTITY_DIGITS = 12
"""Digits of an identity that are shown; the manifests hold them all."""


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure as it stands in the page."""

    name: str
    title: str
    caption: str
    png: str
    """Base64 of the PNG file."""
    width: int
    height: int
    """Size in pixels, so that the page does not jump while it loads."""
    gif: str = ""
    """Base64 of the animation, if there is one."""


def embed(figure: ReportFigure, png: Path, gif: Path | None = None) -> EmbeddedFigure:
    """Return a saved figure, and its animation, in the form in which the page holds it."""
    data = png.read_bytes()
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))  # the header chunk of every PNG
    return EmbeddedFigure(
        figure.name,
        figure.title,
        figure.caption,
        base64.b64encode(data).decode("ascii"),
        width,
        height,
        base64.b64encode(gif.read_bytes()).decode("ascii") if gif else "",
    )


def render_page(
    context: ReportContext,
    *,
    name: str,
    identifier: str,
    figures: Sequence[EmbeddedFigure],
    nodes: Sequence[Node],
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    context
        What the report is made from.
    name
        Name of the experiment.
    identifier
        What the page carries, so that it can be traced.
    figures
        Figures in the order of the page.
    nodes
        The chain of artefacts.

    Returns
    -------
    str
        HTML without any address outside the page.
    """
    page = render(
        Path(__file__).with_name("template.html"),
        filters={"short": short, "yaml": as_yaml},
        **_result(context),
        **_chain(nodes),
        name=name,
        identifier=identifier,
        carried=as_text(identifier),
        spec=context.spec,
        figures=figures,
        dash=UNDEFINED,
        gyre_version=__version__,
    )
    return _ADDRESS.sub("", page)


def short(identity: str) -> str:
    """Return the first digits of an identity."""
    return identity[:IDENTITY_DIGITS]


def as_yaml(value: Any) -> str:  # noqa: ANN401 - any plain value
    """Return plain values as YAML in the order in which they are given."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).strip()


def _result(context: ReportContext) -> dict[str, Any]:
    content = context.board.content
    return {
        "sentences": result_sentences(context),
        "tables": score_tables(context),
        "main_title": in_text(context.metrics[context.main_metric].title) if context.main_metric else "",
        "published": [compared_table(context, name) for name in context.spec.published],
        "models": model_entries(context),
        "period": period_words(content),
        "training": range_words(context.spec.split.train),
        "date_count": content.get("date_count"),
        "date_word": dates_word(content),
        "cell_count": content.get("cell_count"),
        "experiment": context.spec.model_dump(mode="json"),
    }


def _chain(nodes: Sequence[Node]) -> dict[str, Any]:
    groups: dict[str, list[Node]] = {kind: [] for kind in (*KINDS, "")}
    for node in nodes:
        groups.setdefault(node.kind, []).append(node)
    present = {kind: found for kind, found in groups.items() if found}
    return {
        "groups": [(KIND_WORDS.get(kind, kind), found) for kind, found in present.items()],
        "anchors": {node.place: node.anchor for node in nodes},
        "identities": {node.place: node.identity for node in nodes},
        "sources": sources(nodes),
        "versions": versions(nodes),
        "options": _stage_options(nodes),
    }


def _stage_options(nodes: Sequence[Node]) -> list[tuple[str, Mapping[str, Any]]]:
    """Resolved options of the stages before training, each once; models show their own."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for node in nodes:
        if node.manifest is None or node.kind in {"model", "product", "score", "raw"} or not node.manifest.options:
            continue
        entry = (KIND_WORDS.get(node.kind, node.kind), dict(node.manifest.options))
        if entry not in found:
            found.append(entry)
    return found
