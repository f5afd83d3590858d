"""What a provider has now, compared with what was fetched.

A driver may have a method ``version(options, wanted) -> str | None``. It returns a text that changes whenever the
provider's file does, ``None`` if there is no such file, and raises :class:`~pipeline_lib.errors.FetchError` if the
provider cannot be asked. A text that begins with ``sha256:`` is the file's own hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline_lib.errors import FetchError
from pipeline_lib.fetch.base import BY_HASH, Driver, WantedFile
from pipeline_lib.io.manifest import Manifest


@dataclass(frozen=True)
class Offer:
    """What the provider has of one part.

    Attributes
    ----------
    versions
        Version of each file that is there, by name.
    missing
        Names of the files that are not there.
    preliminary
        Names of the files of which only a preliminary version is there.
    """

    versions: Mapping[str, str]
    missing: tuple[str, ...]
    preliminary: tuple[str, ...]


def current_version(driver: type[Driver], options: Any, wanted: WantedFile) -> tuple[str | None, WantedFile]:  # noqa: ANN401 - the driver's own Options
    """Return the version of a file and where it is now: at its address, or at its preliminary one.

    Raises
    ------
    FetchError
        If the provider cannot be asked, or the driver cannot ask.
    """
    ask = getattr(driver, "version", None)
    if ask is None:
        raise FetchError("this driver cannot tell what is new", where=wanted.name, fix="run snakemake for the period")
    found: str | None = ask(options, wanted)
    if found is not None or wanted.preliminary is None:
        return found, wanted
    earlier = wanted.as_preliminary()
    found = ask(options, earlier)
    return found, earlier if found is not None else wanted


def offer(driver: type[Driver], options: Any, wanted: list[WantedFile]) -> Offer:  # noqa: ANN401 - the driver's own Options
    """Ask the provider for the versions of all files of a part; raise :class:`FetchError` if that is not possible."""
    versions, missing, preliminary = {}, [], []
    for file in wanted:
        version, taken = current_version(driver, options, file)
        if version is None:
            missing.append(file.name)
            continue
        versions[file.name] = version
        if taken is not file:
            preliminary.append(file.name)
    return Offer(versions, tuple(missing), tuple(preliminary))


def enough(offered: Offer, most: int) -> bool:
    """Whether a part can be fetched: the provider has files of it, and lacks at most so many."""
    return bool(offered.versions) and len(offered.missing) <= most


def differs(offered: Offer, fetched: Manifest, seen: Mapping[str, str]) -> bool:
    """Whether what the provider has may be other than what was fetched.

    Parameters
    ----------
    offered
        What the provider has.
    fetched
        Manifest of the raw part.
    seen
        Versions seen when it was fetched or last compared; used where a version is not a hash.
    """
    if list(offered.preliminary) != preliminary_files(fetched):
        return True
    for name, version in offered.versions.items():
        record = fetched.files.get(name)
        known = f"{BY_HASH}{record.sha256}" if record is not None and version.startswith(BY_HASH) else seen.get(name)
        if version != known:
            return True
    return set(offered.versions) != set(fetched.payloads)


def preliminary_files(fetched: Manifest) -> list[str]:
    """Return the names of those files of a raw part that are preliminary."""
    return list(fetched.content.get("preliminary", []))
