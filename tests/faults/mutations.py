"""Does each fault test fail without its counter-measure? Each is switched off in a copy, and its test must fail.

``make test-mutations``, or ``python -m tests.faults.mutations [WORD ...]`` for those whose name holds one of the words.
The repository itself is never touched: its files are copied to temporary folders first. A mutation is a piece of text
that is replaced in one file; a piece that is no longer there is an error, so the list cannot drift from the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from pipeline_lib.io.yaml import load_yaml

ROOT = Path(__file__).parents[2]
WORKERS = 2
LONGEST_S = 120
"""A test that hangs without its counter-measure has failed, too."""
PASSED, FAILED = 0, 1


@dataclass(frozen=True)
class Mutation:
    """A counter-measure, how to switch it off, and the test that must notice.

    Attributes
    ----------
    name
        The counter-measure, in words.
    file, old, new
        What to replace by what, where.
    test
        Node of the test that must notice.
    """

    name: str
    file: str
    old: str
    new: str
    test: str


def mutations() -> list[Mutation]:
    """Read the list."""
    table = load_yaml(Path(__file__).with_suffix(".yaml"))
    return [Mutation(name, **entry) for name, entry in table.items()]


def copy_of_the_repository() -> Path:
    """Copy what git tracks, or would track, into a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="gyre-mutations-"))
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        source, target = ROOT / name, folder / name
        if os.path.lexists(source):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return folder


def run_tests(folder: Path, *tests: str) -> int:
    """Run tests in a copy and return pytest's exit code; a hang counts as a failure."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-m", "not kill"]
    # Compiled files are told apart by second and size: a file changed and changed back at once would be missed.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    patience = len(tests) * LONGEST_S
    try:
        return subprocess.run(
            [*command, *tests], cwd=folder, env=environment, capture_output=True, timeout=patience
        ).returncode
    except subprocess.TimeoutExpired:
        return FAILED


def try_out(mutation: Mutation, folder: Path) -> str:
    """Switch one counter-measure off, run its test, switch it on again; return what is wrong, or an empty text."""
    file = folder / mutation.file
    before = file.read_text(encoding="utf-8")
    if mutation.old not in before:
        return f"{mutation.file} does not hold {mutation.old!r} any more"
    file.write_text(before.replace(mutation.old, mutation.new, 1), encoding="utf-8")
    try:
        code = run_tests(folder, mutation.test)
    finally:
        file.write_text(before, encoding="utf-8")
    if code == PASSED:
        return "its test passes without the counter-measure"
    return "" if code == FAILED else f"pytest ended with {code}"


def main(words: list[str]) -> int:
    """Try all mutations, or those whose name holds a word; return 1 if one was not noticed."""
    chosen = [m for m in mutations() if not words or any(word in m.name for word in words)]
    copies: Queue[Path] = Queue()
    folders = [copy_of_the_repository() for _ in range(WORKERS)]
    for folder in folders:
        copies.put(folder)

    def attempt(mutation: Mutation) -> bool:
        folder = copies.get()
        try:
            problem = try_out(mutation, folder)
        finally:
            copies.put(folder)
        sys.stdout.write(f"{'MISSED' if problem else 'ok    '} {mutation.name} -> {mutation.test}  {problem}\n")
        sys.stdout.flush()
        return not problem

    try:
        if run_tests(folders[0], *dict.fromkeys(m.test for m in chosen)) != PASSED:
            sys.stdout.write("the tests do not pass with all counter-measures in place: run them first\n")
            return FAILED
        with ThreadPoolExecutor(WORKERS) as pool:
            noticed = list(pool.map(attempt, chosen))
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{sum(noticed)} of {len(noticed)} tests fail when their counter-measure is switched off\n")
    return PASSED if all(noticed) else FAILED


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
