"""The catalog file: intake's layout, with every key that we rely on declared and no other allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pipeline_lib.data.forms import Form
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.options import Options

SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]
"""Kebab-case; it becomes a folder."""
VariableName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
"""Canonical name of a variable."""

DATA_DIR = "{{ data_dir }}"
"""How an entry names the folder that holds all data."""
TEMPLATE = re.compile(r"\{\{|\{%|\{#")
"""What opens a template; one can read the environment or run commands, so only ``{{ data_dir }}`` is let through."""


class TimeSpan(Options):
    """Which days a source covers, and how densely."""

    start: date
    """First day."""
    end: date | None = None
    """Last day; none for a source that is still growing."""
    step_hours: float = Field(24, gt=0)
    """Hours between two time steps. For a simulation without units, days stand for its unit of time."""
    daily_from: date | None = None
    """From this day on, the first of a month, periods are days instead of months: for data that arrive daily."""

    @model_validator(mode="after")
    def _forward(self) -> TimeSpan:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"ends on {self.end}, before it starts on {self.start}")
        if self.daily_from is not None and self.daily_from.day != 1 and self.daily_from > self.start:
            raise ValueError(f"daily_from {self.daily_from} is not the first of a month")
        return self


class PreparationEntry(Options):
    """How the dataset is made from the source's variables."""

    name: str
    """A registered preparation."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Its options."""


class FetchEntry(Options):
    """How the files come here."""

    driver: str
    """A registered fetch driver."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The driver's options; in the file they stand beside ``driver``."""

    @model_validator(mode="before")
    @classmethod
    def _beside(cls, value: object) -> object:
        if isinstance(value, Mapping) and "driver" in value:
            return {"driver": value["driver"], "options": {k: v for k, v in value.items() if k != "driver"}}
        return value


class GyreBlock(Options):
    """What this project needs to know of a source, besides how intake opens it."""

    citation: str = Field(min_length=1)
    """How to cite the data."""
    licence: str = Field(min_length=1)
    """The provider's licence."""
    homepage: str = Field(pattern=r"^https?://")
    """Where the data are described."""
    variables: dict[VariableName, VariableSpec] = Field(min_length=1)
    """Contract of each variable, by its canonical name."""
    time: TimeSpan
    """Days covered."""
    form: Form = "maps"
    """What the variables lie on: ``maps``, a regular grid of latitude and longitude, or ``states`` of a simulation,
    or ``frames``, pictures of a radar or satellite, or ``stations``, series of many stations, maybe with
    fields beside them."""
    reader: str = "netcdf"
    """A registered reader of the fetched files."""
    parts: Literal["whole", "monthly"] = "whole"
    """Whether all is fetched at once, or period by period: by month, from ``time.daily_from`` on by day."""
    fetch: FetchEntry
    """How the files come here."""
    preparation: PreparationEntry
    """How the dataset is made."""


class Metadata(Options):
    """Intake's ``metadata`` of an entry."""

    gyre: GyreBlock
    """The block of this project."""


class XarrayArguments(Options):
    """Arguments that intake hands to xarray."""

    engine: Literal["h5netcdf"]
    """Said explicitly: intake's own choice fails on netCDF-4 files."""
    combine: Literal["by_coords"] | None = None
    """How several files are put together."""


class OpeningArguments(Options):
    """Intake's ``args`` of an entry."""

    urlpath: str
    """The fetched files, ``{{ data_dir }}/<source>/raw/...``; may hold ``*``."""
    chunks: dict[str, int] = Field(default_factory=dict)
    """Dask chunks; ``{}`` for those of the file. For driver ``netcdf``, as are the following."""
    xarray_kwargs: XarrayArguments | None = None
    """How xarray opens the files."""
    path_as_pattern: Literal[False] | None = None
    """Braces in a path are no pattern."""

    @field_validator("urlpath")
    @classmethod
    def _below_data(cls, urlpath: str) -> str:
        rest = urlpath.removeprefix(f"{DATA_DIR}/")
        if rest == urlpath or TEMPLATE.search(rest) or ".." in Path(rest).parts:
            raise ValueError(f"must be {DATA_DIR}/ and a path below it")
        return urlpath


class Entry(Options):
    """One source in the catalog file."""

    description: str = Field(min_length=1)
    """One or two sentences for people."""
    driver: Literal["netcdf", "pipeline_lib.readers.intake_driver.Files"]
    """Intake's driver that opens the fetched files: its own for netCDF, or ours, which asks the entry's reader."""
    args: OpeningArguments
    """Intake's arguments."""
    metadata: Metadata
    """The validated block."""

    @model_validator(mode="after")
    def _one_way_to_open(self) -> Entry:
        """Let intake open files as the stages do."""
        netcdf, reader = self.driver == "netcdf", self.metadata.gyre.reader
        if netcdf != (reader == "netcdf"):
            raise ValueError(f"driver {self.driver} does not open what reader {reader!r} reads: see the other entries")
        for name in ("xarray_kwargs", "path_as_pattern"):
            if netcdf and getattr(self.args, name) is None:
                raise ValueError(f"args.{name}: field required by driver netcdf")
        if not netcdf and self.args.model_fields_set != {"urlpath"}:
            raise ValueError("args: the reader takes urlpath alone")
        return self


class TextParameter(Options):
    """Intake's description of a parameter."""

    description: str = ""
    """What it is."""
    type: Literal["str"]
    """Its type in intake's words."""
    default: str
    """Its value in a default run."""

    @field_validator("default")
    @classmethod
    def _plain(cls, default: str) -> str:
        if re.match(r"(client_)?(env|shell)\(", default):  # intake would run it
            raise ValueError("must be plain text")
        return default


class Parameters(Options):
    """Intake's parameters that all entries share."""

    data_dir: TextParameter
    """The folder that holds all data."""


class CatalogMetadata(Options):
    """Intake's ``metadata`` of the file."""

    version: Literal[1]
    """Layout of intake's catalog files."""
    parameters: Parameters
    """Parameters of all entries."""


class CatalogFile(Options):
    """The catalog file."""

    metadata: CatalogMetadata
    """Of the file itself."""
    sources: dict[SourceName, Entry]
    """The sources by name."""
