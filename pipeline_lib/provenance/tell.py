"""The chain behind a file, as lines for people and as plain values for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline_lib.errors import StoreError
from pipeline_lib.io.manifest import check_files
from pipeline_lib.provenance.chain import Node, place_of, sources, versions, walk
from pipeline_lib.provenance.find import Found, find_manifest

_DIGITS = 12
"""Digits of an identity that lines show."""
_SHOWN_INPUTS = 8
"""Inputs that a line names; of more it tells the number."""


def trace(target: Path, *, below: Path, deep: bool) -> tuple[Found, list[Node]]:
    """Return the manifest of a file and its chain, the file's artefact first and raw files last.

    Parameters
    ----------
    target
        A manifest, a payload of an artefact, or a copy of one.
    below
        Folder that is searched when no manifest near the target lists it; places are relative to the working folder.
    deep
        Hash every file of every ancestor; else their presence and sizes are looked at.

    Raises
    ------
    StoreError
        If no manifest knows the target.
    """
    found = find_manifest(target, below=below)
    nodes = walk([found.manifest], folder=Path())[::-1]
    nodes.sort(key=lambda node: not node.kind)  # those that are gone come last
    return found, [_checked(node, deep=deep) for node in nodes]


def _checked(node: Node, *, deep: bool) -> Node:
    if node.manifest is None or node.trouble:
        return node
    try:
        check_files(node.manifest, deep=deep)
    except StoreError as problem:
        return replace(node, trouble=problem.what)
    return node


def require_whole(target: Path, found: Found, nodes: Sequence[Node]) -> None:
    """Raise :class:`StoreError` if the file or one of its ancestors is not what it was."""
    troubles = [(str(target), found.trouble)] if found.trouble else []
    troubles += [(node.place, node.trouble) for node in nodes if node.trouble]
    if troubles:
        place, trouble = troubles[0]
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        raise StoreError(f"the chain is broken: {trouble}{more}", where=place, fix="run the workflow again")


def as_lines(target: Path, found: Found, nodes: Sequence[Node]) -> Iterator[str]:
    """Yield the chain as text: the file, its ancestors back to the raw files, their sources, the software."""
    yield str(target)
    yield f"  {found.how}: {place_of(found.manifest.path, Path())}"
    if found.identifier:
        yield f"  carries identifier {found.identifier}"
    if found.trouble:
        yield f"  BROKEN: {found.trouble}"
    identities = {node.place: node.identity for node in nodes}
    for node in nodes:
        yield ""
        yield f"{node.kind or '?':<12}{node.place}"
        yield f"  identity {node.identity}" + (f", code {node.manifest.code}" if node.manifest else "")
        if node.inputs:
            shown = [f"{identities[place][:_DIGITS]} {place}" for place in node.inputs[:_SHOWN_INPUTS]]
            yield from (f"  from {words}" for words in shown)
            if len(node.inputs) > _SHOWN_INPUTS:
                yield f"  from {len(node.inputs) - _SHOWN_INPUTS} more (--json names all)"
        yield from (f"  file {name}, {r.size} bytes, SHA-256 {r.sha256}" for name, r in node.files.items())
        if node.trouble:
            yield f"  BROKEN: {node.trouble}"
    for source in sources(nodes):
        yield ""
        yield f"source      {source.get('source', '')}"
        yield from (f"  {key}: {value}" for key, value in source.items() if key != "source")
    yield ""
    found_versions = [f"{package} {', '.join(by_kind)}" for package, by_kind in versions(nodes).items()]
    yield f"software    {'; '.join(found_versions)}"


def as_plain(target: Path, found: Found, nodes: Sequence[Node]) -> dict[str, Any]:
    """Return the chain as plain values."""
    return {
        "target": str(target),
        "manifest": place_of(found.manifest.path, Path()),
        "how": found.how,
        "identifier": found.identifier,
        "trouble": found.trouble,
        "whole": not found.trouble and not any(node.trouble for node in nodes),
        "chain": [_node(node) for node in nodes],
        "sources": sources(nodes),
    }


def _node(node: Node) -> Mapping[str, Any]:
    plain: dict[str, Any] = {
        "kind": node.kind,
        "manifest": node.place,
        "identity": node.identity,
        "inputs": list(node.inputs),
        "trouble": node.trouble,
    }
    if node.manifest is not None:
        made = node.manifest
        plain |= {"code": made.code, "options": made.options, "versions": made.versions}
        plain["files"] = {name: vars(record) for name, record in node.files.items()}
    return plain
