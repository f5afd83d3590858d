"""The chain from raw files to this page: every artefact that the report rests on, found by walking manifests."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline_lib.errors import StoreError
from pipeline_lib.io.hashing import sha256_json
from pipeline_lib.io.manifest import FileRecord, Manifest, read_manifest

KINDS = ("raw", "dataset", "statistics", "labels", "model", "product", "score", "leaderboard")
"""Kinds of artefact in the order in which data travel."""


@dataclass(frozen=True)
class Node:
    """One artefact of the chain.

    Attributes
    ----------
    place
        Path of its manifest relative to the report's folder.
    kind
        Kind of artefact; empty if its manifest is gone.
    identity
        SHA-256 over its content.
    inputs
        Places of the artefacts it was made from.
    files
        Its payload files; only of raw artefacts, whose files others can check.
    manifest
        The manifest as read; ``None`` if it is gone.
    trouble
        What is wrong with it, in words; empty if nothing is.
    """

    place: str
    kind: str
    identity: str
    inputs: tuple[str, ...] = ()
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    manifest: Manifest | None = None
    trouble: str = ""

    @property
    def anchor(self) -> str:
        """Name of the artefact's row within the page."""
        return f"a-{sha256_json(self.place)[:12]}"


def walk(roots: Iterable[Manifest], *, folder: Path) -> list[Node]:
    """Return the artefacts that ``roots`` rest on, roots included: sources first, by kind and place.

    An input whose manifest is gone, or has changed since it was used, is part of the chain and says so.

    Parameters
    ----------
    roots
        Manifests to start from.
    folder
        Folder of the report; places are relative to it.
    """
    nodes: dict[str, Node] = {}
    waiting: list[tuple[Path, str, Manifest | None]] = [(m.path, m.identity, m) for m in roots]
    while waiting:
        path, identity, known = waiting.pop()
        place = place_of(path, folder)
        if place in nodes:
            if nodes[place].identity != identity and not nodes[place].trouble:
                nodes[place] = replace(nodes[place], trouble=_changed(identity))
            continue
        node = nodes[place] = _node(path, identity, known, folder)
        if node.manifest is not None:
            here = node.manifest.path.parent
            waiting += [(here / record.path, record.identity, None) for record in node.manifest.inputs.values()]
    rank = {kind: i for i, kind in enumerate(KINDS)}
    return sorted(nodes.values(), key=lambda node: (rank.get(node.kind, len(KINDS)), node.place))


def place_of(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, with slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()


def _node(path: Path, identity: str, known: Manifest | None, folder: Path) -> Node:
    place = place_of(path, folder)
    try:
        manifest = known or read_manifest(path, verify="none")
    except StoreError as problem:
        return Node(place=place, kind="", identity=identity, trouble=problem.what)
    return Node(
        place=place,
        kind=manifest.kind,
        identity=manifest.identity,
        inputs=tuple(sorted(place_of(path.parent / record.path, folder) for record in manifest.inputs.values())),
        files=manifest.files if manifest.kind == "raw" else {},
        manifest=manifest,
        trouble="" if manifest.identity == identity else _changed(identity),
    )


def _changed(identity: str) -> str:
    return f"has changed since it was used as {identity[:12]}"


def versions(nodes: Iterable[Node]) -> dict[str, dict[str, str]]:
    """Return the versions of each package by the kinds of artefact that were made with it."""
    found: dict[str, dict[str, set[str]]] = {}
    for node in nodes:
        if node.manifest is not None:
            for package, version in node.manifest.versions.items():
                found.setdefault(package, {}).setdefault(version, set()).add(node.kind)
    return {
        package: {version: ", ".join(sorted(kinds)) for version, kinds in sorted(by_version.items())}
        for package, by_version in sorted(found.items())
    }


def sources(nodes: Iterable[Node]) -> list[dict[str, Any]]:
    """Return what the raw artefacts say about their source: name, citation, licence and the like, each once."""
    found: list[dict[str, Any]] = []
    for node in nodes:
        if node.kind != "raw" or node.manifest is None:
            continue
        content = {k: v for k, v in node.manifest.content.items() if isinstance(v, str) and k != "part"}
        if content and content not in found:
            found.append(content)
    return found
