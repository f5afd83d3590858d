"""Fingerprints of code: what a stage's result depends on, as one hash.

Snakemake does not see edits in imported modules, so each rule carries this hash in its ``params``. It covers
every module of this package that the given roots import, directly or not, found by reading the source. Comments,
docstrings and layout do not count; data files beside a package's ``__init__`` do.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

PACKAGE = "pipeline_lib"

IGNORED = frozenset(
    {PACKAGE, f"{PACKAGE}.errors", f"{PACKAGE}.log", f"{PACKAGE}.fingerprint", f"{PACKAGE}.train.progress"}
)
"""Modules that word messages, or hold the version only, and cannot change a result."""


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
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module in found or module in IGNORED or _file(module) is None:
            continue
        found.add(module)
        waiting.extend(_imports(module))
    # Packages are executed on the way to their modules; what they import besides does not matter to those.
    parents = {p for module in found for p in _with_parents(module) if p not in IGNORED and _file(p) is not None}
    return frozenset(found | parents)


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
    """Return the syntax tree of a module, without its docstrings."""
    file = _file(module)
    tree = ast.parse(file.read_text(encoding="utf-8")) if file else ast.Module([], [])
    for block in _blocks(tree):
        block[:] = [statement for statement in block if not _is_text(statement)]
    return tree


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield every list of statements of a tree; expressions, most of its nodes, are not visited: they hold none."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        inner = getattr(node, name, None)
        if isinstance(inner, list):  # the body of a lambda or a conditional is an expression
            if name in {"body", "orelse", "finalbody"}:
                yield inner
            for child in inner:
                yield from _blocks(child)


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a string that stands alone: a docstring of any kind."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


@cache
def _imports(module: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in chain.from_iterable(_blocks(_tree(module))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [_package_above(module, node.level), node.module]))
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    own = {PACKAGE, module.split(".", 1)[0]}  # a plug-in's own package counts as well
    return tuple(name for name in names if name.split(".", 1)[0] in own)


def _package_above(module: str, level: int) -> str:
    """Return the package that a relative import with ``level`` dots starts from; empty for an absolute one."""
    if level == 0:
        return ""
    file = _file(module)
    is_package = file is not None and file.name == "__init__.py"
    parts = module.split(".")
    return ".".join(parts[: len(parts) - level + is_package])


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


@cache
def _module_hash(module: str) -> str:
    file = _file(module)
    digest = hashlib.sha256(ast.dump(_tree(module)).encode())
    if file is not None and file.name == "__init__.py":
        for data in sorted(file.parent.iterdir()):
            if data.is_file() and data.suffix not in {".py", ".pyc", ".typed", ".md"}:
                digest.update(data.name.encode() + data.read_bytes())
    return digest.hexdigest()
