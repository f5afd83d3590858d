"""Fingerprints of code: what a stage's result depends on, as one hash.

Snakemake does not see edits in imported modules, so each rule carries this hash in its ``params``. It covers
every module of this package that the given roots import, directly or not, found by reading the source. Comments,
docstrings and layout do not count; data files beside a package's ``__init__`` do.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "pipeline_lib"

IGNORED = frozenset({f"{PACKAGE}.errors", f"{PACKAGE}.log", f"{PACKAGE}.fingerprint"})
"""Modules that word messages and cannot change a result."""


@cache
def fingerprint(*roots: str) -> str:
    """Return 20 hexadecimal digits over the code that ``roots`` (dotted module names) depend on."""
    digest = hashlib.sha256()
    for module in sorted(reachable(*roots)):
        digest.update(f"{module}={_module_hash(module)}\n".encode())
    return digest.hexdigest()[:20]


@cache
def reachable(*roots: str) -> frozenset[str]:
    """Return all modules of this package that ``roots`` import, directly or indirectly, with the roots."""
    found: set[str] = set()
    waiting = [name for root in roots for name in _with_parents(root)]
    while waiting:
        module = waiting.pop()
        if module in found or module in IGNORED or _file(module) is None:
            continue
        found.add(module)
        waiting.extend(_imports(module))
    return frozenset(found)


@cache
def _file(module: str) -> Path | None:
    """Return the source file of a module of this package or of a plug-in, ``None`` if it is no module."""
    if module.split(".", 1)[0] != PACKAGE:
        spec = find_spec(module)
        return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
    path = Path(__file__).parent.joinpath(*module.split(".")[1:])
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


@cache
def _tree(module: str) -> ast.Module:
    file = _file(module)
    return ast.parse(file.read_text(encoding="utf-8")) if file else ast.Module([], [])


@cache
def _imports(module: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(p for name in names if name.split(".", 1)[0] == PACKAGE for p in _with_parents(name))


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


@cache
def _module_hash(module: str) -> str:
    file = _file(module)
    tree = _without_docstrings(_tree(module))
    digest = hashlib.sha256(ast.dump(tree).encode())
    if file is not None and file.name == "__init__.py":
        for data in sorted(file.parent.iterdir()):
            if data.is_file() and data.suffix not in {".py", ".pyc", ".typed", ".md"}:
                digest.update(data.name.encode() + data.read_bytes())
    return digest.hexdigest()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Return a copy of ``tree`` without strings that stand alone as statements (docstrings of any kind)."""

    class Strip(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
            is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            return None if is_text else node

    stripped: ast.Module = Strip().visit(ast.parse(ast.unparse(tree)))
    return stripped
