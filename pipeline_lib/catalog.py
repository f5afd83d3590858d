"""The catalog of data sources: an intake file whose entries carry a validated ``gyre`` block.

Planning reads only that block; intake is imported, slowly, when a source is opened, and nowhere else.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline_lib.config.catalog_file import (
    DATA_DIR,
    TEMPLATE,
    CatalogFile,
    Entry,
    GyreBlock,
    PreparationEntry,
    TimeSpan,
)
from pipeline_lib.config.validation import validate
from pipeline_lib.data.forms import GAPPY
from pipeline_lib.data.periods import bounds, period_of, periods_between
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import ConfigError, ConfigErrors, DataError, FetchError, closest
from pipeline_lib.fetch.base import FetchRequest, WantedFile, may_lack
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.io.hashing import sha256_json
from pipeline_lib.io.yaml import load_yaml, refuse_secrets, walk
from pipeline_lib.options import Options
from pipeline_lib.preparations.registry import PREPARATIONS
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr

WHOLE = "all"
"""Name of the one part of a source that is fetched in one piece."""

_SOME_MONTHS = ("2001-01", "2001-02", "2002-01")
"""Differ in the month only, in the year only, in both: files fetched by month must have different names in all."""
_SOME_DAYS = ("2001-01-01", "2001-01-02", "2001-02-01", "2002-01-01")
"""The same for files fetched by day."""


@dataclass(frozen=True)
class Source:
    """A validated catalog entry with what its driver and its preparation make of it."""

    name: str
    entry: Entry
    where: str
    """File and key path, for messages."""

    @property
    def block(self) -> GyreBlock:
        """The entry's ``gyre`` block."""
        return self.entry.metadata.gyre

    @property
    def description(self) -> str:
        """What the source is, for people."""
        return self.entry.description

    @property
    def variables(self) -> Mapping[str, VariableSpec]:
        """Contract of each variable, by its canonical name."""
        return self.block.variables

    @property
    def time(self) -> TimeSpan:
        """Days covered."""
        return self.block.time

    @property
    def parts(self) -> Literal["whole", "monthly"]:
        """Whether all is fetched at once, or period by period."""
        return self.block.parts

    @property
    def preparation(self) -> PreparationEntry:
        """How the dataset is made."""
        return self.block.preparation

    @property
    def driver(self) -> str:
        """Name of the fetch driver."""
        return self.block.fetch.driver

    @property
    def reader(self) -> str:
        """Name of the reader of the fetched files."""
        return self.block.reader

    @cached_property
    def driver_options(self) -> Options:
        """Validated options of the fetch driver."""
        driver = DRIVERS.get(self.driver)
        return validate(driver.Options, self.block.fetch.options, where=f"{self.where}.fetch")

    @cached_property
    def preparation_options(self) -> Options:
        """Validated options of the preparation."""
        preparation = PREPARATIONS.get(self.preparation.name)
        return validate(preparation.Options, self.preparation.options, where=f"{self.where}.preparation.options")

    def periods(self, start: date, end: date) -> list[str]:
        """Return the source's periods that hold the days from ``start`` to ``end``, both included."""
        return periods_between(start, end, self.time.daily_from)

    def part_of(self, period: str) -> str:
        """Return the name of the fetched part that holds a period."""
        return WHOLE if self.parts == "whole" else period

    def days(self, period: str) -> tuple[date, date]:
        """Return the first and the last day of a period that the source covers."""
        first, last = bounds(period)
        return max(first, self.time.start), min(last, self.time.end or last)

    def request(self, part: str) -> FetchRequest:
        """Return what is wanted for one part: ``all``, or one of the source's periods.

        Raises
        ------
        ConfigError
            If the source is not fetched in such parts, or does not cover the month.
        """
        start, end = self.time.start, self.time.end
        if (part == WHOLE) != (self.parts == "whole"):
            fix = f"ask for part {WHOLE!r}" if self.parts == "whole" else "ask for a month, YYYY-MM"
            raise ConfigError(f"there is no part {part!r}", where=self.name, fix=fix)
        if part != WHOLE:
            first, last = bounds(part)
            if last < start or (end is not None and first > end):
                span = f"from {start}" + (f" to {end}" if end else " on")
                raise ConfigError(f"{part} is not covered", where=self.name, fix=f"ask for a month {span}")
            start, end = self.days(part)
            period = period_of(start, self.time.daily_from)
            if part != period:
                raise ConfigError(f"there is no part {part!r}", where=self.name, fix=f"ask for {period!r}")
        names = tuple(spec.name for spec in self.variables.values())
        return FetchRequest(
            source=self.name, part=part, start=start, end=end, variables=names, step_hours=self.time.step_hours
        )

    def fetch_options(self, part: str) -> dict[str, Any]:
        """Return all that decides which files a part consists of, as plain values."""
        files = DRIVERS.get(self.driver).files(self.driver_options, self.request(part))
        return {"driver": self.driver, "files": [_plain(file) for file in files]}

    def dataset_options(self, period: str) -> dict[str, Any]:
        """Return all that decides what the dataset of one month is made of, as plain values."""
        first, last = self.days(period)
        return {
            "variables": {name: spec.model_dump(mode="json") for name, spec in self.variables.items()},
            "start": str(first),
            "end": str(last),
            "step_hours": self.time.step_hours,
            "form": self.block.form,
            "reader": self.reader,
            "preparation": self.preparation.name,
            "options": self.preparation_options.model_dump(mode="json"),
        }

    def dataset_variables(self) -> tuple[str, ...]:
        """Names of the dataset's variables."""
        return PREPARATIONS.get(self.preparation.name).produces(self.preparation_options)

    def fetch_modules(self) -> list[str]:
        """Return the modules whose code decides what a fetch brings: driver, reader, what the driver names itself."""
        driver = DRIVERS.get(self.driver)
        named: list[str] = driver.modules(self.driver_options) if hasattr(driver, "modules") else []
        return [DRIVERS.module(self.driver), READERS.module(self.reader), *named]

    def dataset_modules(self) -> list[str]:
        """Return the modules whose code decides what a dataset holds: the reader's and the preparation's."""
        return [READERS.module(self.reader), PREPARATIONS.module(self.preparation.name)]

    @property
    def environment(self) -> str:
        """Name of the environment file that fetches it: solvers need more than a download."""
        return "simulate" if self.driver == "simulate" else "fetch"

    def provenance(self) -> dict[str, str]:
        """Return what the results say about their origin."""
        return {"citation": self.block.citation, "licence": self.block.licence, "homepage": self.block.homepage}

    def check(self) -> None:
        """Resolve what the entry leaves to registries; raise :class:`ConfigError` for what does not fit together."""
        if not self.entry.args.urlpath.startswith(f"{DATA_DIR}/{self.name}/raw/"):
            raise ConfigError(
                "does not lead to where the files of this source are fetched to",
                where=self.where.replace("metadata.gyre", "args.urlpath"),
                fix=f"write {DATA_DIR}/{self.name}/raw/...",
            )
        files = DRIVERS.get(self.driver).files  # an unknown driver is told before its options
        options = self.driver_options
        _ = READERS.module(self.reader)
        if may_lack(options) and self.block.form not in GAPPY:
            what = f"{self.block.form} are without gaps: no file of theirs may lack"
            raise ConfigError(
                what, where=f"{self.where}.fetch.may_lack", fix=f"leave it out; it is for {' and '.join(GAPPY)}"
            )
        lacking = set(PREPARATIONS.get(self.preparation.name).needs) - set(self.variables)
        if lacking:
            raise ConfigError(
                f"preparation {self.preparation.name!r} needs variable {min(lacking)!r}",
                where=f"{self.where}.variables",
            )
        _ = self.preparation_options
        whole = self.parts == "whole"
        some = _SOME_MONTHS if self.time.daily_from is None else _SOME_DAYS
        requests = [self.request(WHOLE)] if whole else [self._unbounded(part) for part in some]
        names = Counter(file.name for request in requests for file in files(options, request))
        if taken := {f"{request.part}.json" for request in requests} & set(names):
            raise ConfigError(
                f"the file would be called {min(taken)}, as its manifest is",
                where=f"{self.where}.fetch",
                fix="rename it",
            )
        twice = [name for name, times in names.items() if times > 1]
        if twice:
            raise ConfigError(
                f"{twice[0]} would be the file of several days or months",
                where=f"{self.where}.fetch",
                fix="put {year}, {month} or {day} into the file's name" + ("" if whole else ", or set parts: whole"),
            )

    def _unbounded(self, part: str) -> FetchRequest:
        """Return the request of a month or day whether it is covered or not."""
        start, end = bounds(part)
        names = tuple(spec.name for spec in self.variables.values())
        return FetchRequest(source=self.name, part=part, start=start, end=end, variables=names)


def _plain(file: WantedFile) -> dict[str, Any]:
    """Return a wanted file as plain values that hold on any machine."""
    addresses = {name: value for name, value in file.plain().items() if name in {"address", "preliminary"}}
    return file.plain() | {name: _portable(value) for name, value in addresses.items()}


def _portable(address: str) -> str:
    """Return an address as manifests hold it: of a path on this machine only a hash and the name."""
    path = Path(address).expanduser()
    return f"local {sha256_json(address)[:10]} {path.name}" if path.is_absolute() else address


@dataclass(frozen=True)
class Catalog:
    """All sources of a catalog file.

    Attributes
    ----------
    path
        The file.
    sources
        By name; :meth:`source` gives one of them.
    unchecked
        Those that nobody has asked for yet, and of which registries, drivers and preparations were not asked.
    """

    path: Path
    sources: Mapping[str, Source]
    unchecked: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, path: Path, *, wanted: Collection[str] | None = None) -> Catalog:
        """Read and validate a catalog file.

        Parameters
        ----------
        path
            The file.
        wanted
            Sources in use; by default all. A mistake in the options of another one's driver or preparation, or in what
            belongs to them, stands in nobody's way: it is told when that source is asked for.

        Raises
        ------
        ConfigError
            If the file or an entry is not valid, with file and key path.
        """
        raw = load_yaml(path)
        refuse_secrets(raw, str(path))
        _refuse_templates(raw, str(path))
        file = validate(CatalogFile, raw, where=str(path))
        sources = {
            name: Source(name=name, entry=entry, where=f"{path}: sources.{name}.metadata.gyre")
            for name, entry in file.sources.items()
        }
        unchecked = set() if wanted is None else set(sources) - set(wanted)
        for name, source in sources.items():
            if name not in unchecked:
                _check(source)
        return cls(path=path, sources=sources, unchecked=unchecked)

    def source(self, name: str) -> Source:
        """Return a source; raise :class:`ConfigError` with advice if there is none of that name, or it is not valid."""
        if name not in self.sources:
            raise ConfigError(f"no source is called {name!r}", where=str(self.path), fix=closest(name, self.sources))
        if name in self.unchecked:
            _check(self.sources[name])
            self.unchecked.discard(name)
        return self.sources[name]

    def open_source(self, name: str, *, data_dir: Path | None = None) -> xr.Dataset:
        """Open the fetched files of a source lazily, as the provider delivers them, through intake.

        Parameters
        ----------
        name
            Name of the source.
        data_dir
            The folder that holds all data; by default the catalog's own.

        Raises
        ------
        ConfigError
            If there is no such source.
        FetchError
            If the files are not there or cannot be opened.
        """
        self.source(name)
        import intake

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Shell command not executed")  # said of every parameter
            # Neither environment nor shell is open to what stands in the file.
            opened = intake.open_catalog(str(self.path), getenv=False, getshell=False)
            if data_dir is not None:
                opened = opened.configure_new(data_dir=str(data_dir))
            try:
                ds: xr.Dataset = opened[name].to_dask()
            except (OSError, ValueError, KeyError, TypeError, DataError) as error:
                raise FetchError(f"the files cannot be opened: {error}", where=name, fix="fetch it first") from error
        return ds


def _check(source: Source) -> None:
    """Check a source; whatever a registry or a driver refuses is told with the entry's key path in the file.

    Raises
    ------
    ConfigError
        With that place; what the driver said of it is within the entry's block.
    """
    try:
        source.check()
    except ConfigErrors as error:
        raise ConfigErrors([_placed(source, problem) for problem in error.problems]) from error
    except (ConfigError, FetchError) as error:
        raise _placed(source, error) from error


def _placed(source: Source, error: ConfigError | FetchError) -> ConfigError:
    where = error.where
    if not where or isinstance(error, FetchError):
        where = source.where
    elif where.split(".")[0] in GyreBlock.model_fields:
        where = f"{source.where}.{where}"
    return ConfigError(error.what, where=where, fix=error.fix)


def _refuse_templates(raw: Mapping[str, Any], where: str) -> None:
    """Refuse intake templates outside ``urlpath``, whose own check lets only the folder through."""
    for path, value in walk(raw, where=where):
        if isinstance(value, str) and TEMPLATE.search(value) and path[-2:] != ("args", "urlpath"):
            raise ConfigError("templates are not allowed here", where=f"{where}: {'.'.join(path)}")
