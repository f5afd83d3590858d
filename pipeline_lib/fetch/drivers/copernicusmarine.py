"""The Copernicus Marine Data Store, through its own client.

The client is optional and imported only when it is used. Credentials are the client's business: it is asked whether
it has valid ones, they are never read, passed or written here.
"""

from __future__ import annotations

import errno
import json
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import Field

from pipeline_lib.data.box import Box
from pipeline_lib.errors import FetchError
from pipeline_lib.fetch import base
from pipeline_lib.fetch.checks import check_file
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.options import Options

logger = logging.getLogger(__name__)

CLIENT = "copernicusmarine==2.5.0"
"""The client's version that the keyword arguments below were checked against."""

_COMPRESSION = 1
"""netCDF deflate level: most of the gain for little time."""
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG})
_LOG_IN = (
    "run 'copernicusmarine login' once on this machine, or set COPERNICUSMARINE_SERVICE_USERNAME and"
    " COPERNICUSMARINE_SERVICE_PASSWORD; a free account: https://data.marine.copernicus.eu/register"
)


@DRIVERS.register("copernicusmarine")
class CopernicusMarine:
    """Subsets of gridded products of the Copernicus Marine Service."""

    class Options(Options):
        """Options of the ``copernicusmarine`` driver."""

        dataset_id: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
        """Dataset (not product) identifier."""
        dataset_version: str | None = Field(None, pattern=r"^[0-9]{6}$")
        """Version such as ``202411``; without it the newest."""
        box: Box | None = None
        """Region; without it the whole dataset."""

    @staticmethod
    def files(options: Options, request: base.FetchRequest) -> list[base.WantedFile]:
        """Return the one file of a part; its address is the request to the client as JSON."""
        address = json.dumps(subset_arguments(options, request), sort_keys=True)
        return [base.WantedFile(name=f"{request.source}_{request.part}.nc", address=address)]

    @staticmethod
    def version(options: Options, wanted: base.WantedFile) -> str | None:
        """Return version and date of the last update of the dataset; ``None`` if it ends before the days wanted.

        The date is that of the whole dataset: it says that a part may be other than before, not that it is.
        """
        described = _described(options.dataset_id, options.dataset_version)
        last = json.loads(wanted.address).get("end_datetime")
        if last is not None and not described.holds(np.datetime64(last, "ms")):
            return None
        return f"{described.label} updated {described.updated}"

    @staticmethod
    def fetch(options: Options, wanted: base.WantedFile, folder: Path) -> Path:  # noqa: ARG004 - all is in the address
        """Let the client download the subset."""
        client = _client()
        _check_login(client)
        partial = folder / f"part-{wanted.name}"
        logger.info("%s: asking Copernicus Marine for %s", wanted.name, wanted.address)
        try:
            _translate(client.subset, **json.loads(wanted.address), **output_arguments(partial))
            if not partial.is_file():
                raise FetchError("the client wrote no file", where=wanted.name, fix="see the client's messages above")
            finished = partial.replace(folder / wanted.name)
        finally:
            partial.unlink(missing_ok=True)
        check_file(finished, wanted)
        return finished


def subset_arguments(options: CopernicusMarine.Options, request: base.FetchRequest) -> dict[str, Any]:
    """Return the keyword arguments of the client's ``subset`` that say which data are wanted."""
    arguments: dict[str, Any] = {
        "dataset_id": options.dataset_id,
        "variables": list(request.variables),
        "start_datetime": f"{request.start}T00:00:00",
        # What lies beyond the dataset is left out with a warning; preprocessing then names the days that are missing.
        "coordinates_selection_method": "inside",
    }
    if request.end is not None:
        arguments["end_datetime"] = f"{request.end}T23:59:59"
    if options.dataset_version is not None:
        arguments["dataset_version"] = options.dataset_version
    if options.box is not None:
        arguments |= {
            "minimum_longitude": options.box.west,
            "maximum_longitude": options.box.east,
            "minimum_latitude": options.box.south,
            "maximum_latitude": options.box.north,
        }
    return arguments


def output_arguments(target: Path) -> dict[str, Any]:
    """Return the keyword arguments of the client's ``subset`` that say where and how to write."""
    return {
        "output_directory": str(target.parent),
        "output_filename": target.name,
        "file_format": "netcdf",
        "netcdf_compression_level": _COMPRESSION,
        "overwrite": True,
        "raise_if_updating": True,  # a month that is being rewritten would come half old, half new
    }


@dataclass(frozen=True)
class _Described:
    """What the catalogue says of a dataset: version, last update, last time, and from when on it is being rewritten."""

    label: str
    updated: str | None
    last: np.datetime64
    rewritten_from: str | None

    def holds(self, end: np.datetime64) -> bool:
        """Whether the data are there up to the day of ``end`` and not just being rewritten."""
        day = end.astype("datetime64[D]")
        being_rewritten = self.rewritten_from is not None and np.datetime64(self.rewritten_from[:10], "D") <= day
        return bool(self.last.astype("datetime64[D]") >= day) and not being_rewritten


@cache
def _described(dataset_id: str, version: str | None) -> _Described:
    """Ask the client's catalogue once for a dataset."""
    client = _client()
    catalogue = _translate(client.describe, dataset_id=dataset_id, disable_progress_bar=True, raise_on_error=True)
    datasets = [d for product in catalogue.products for d in product.datasets if d.dataset_id == dataset_id]
    if not datasets:
        raise FetchError("the catalogue has no such dataset", where=dataset_id, fix="correct dataset_id in the catalog")
    chosen = _translate(datasets[0].get_version, force_version=version)
    part = chosen.parts[0]
    time = _translate(part.get_coordinates)["time"][0]
    last = time.maximum_value if time.maximum_value is not None else max(time.values)
    moment = np.datetime64(int(last), "ms") if isinstance(last, int | float) else np.datetime64(str(last)[:19], "ms")
    return _Described(chosen.label, part.arco_updated_date, moment, part.arco_updating_start_date)


def _client() -> ModuleType:
    try:
        import copernicusmarine
    except ImportError as error:
        raise FetchError(
            "the Copernicus Marine client is not installed", where="copernicusmarine", fix=f"pip install {CLIENT}"
        ) from error
    client: ModuleType = copernicusmarine
    return client


def _check_login(client: ModuleType) -> None:
    """Ask the client whether it has valid credentials; without this it would prompt, and a batch job would hang."""
    if not _translate(client.login, check_credentials_valid=True):
        raise FetchError("the client has no valid credentials", where="Copernicus Marine", fix=_LOG_IN)


def _translate(call: Any, **arguments: Any) -> Any:  # noqa: ANN401 - the client's functions
    """Call the client; its errors become one line each, those of the disk stay what they are."""
    try:
        return call(**arguments)
    except OSError as error:
        if error.errno in _DISK:
            raise
        raise _told(error) from error
    except Exception as error:  # the client raises a class of its own for each case
        raise _told(error) from error


def _told(error: Exception) -> FetchError:
    what = redact if (redact := base.redact(" ".join(str(error).split()))) else "no reason given"
    kind = type(error).__name__
    fix = _LOG_IN if "Credential" in kind or "Password" in kind else "check network, dataset, days and box"
    return FetchError(f"the client stopped with {kind}: {what}", where="Copernicus Marine", fix=fix)
