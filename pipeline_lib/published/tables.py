"""Reading published tables and finding the numbers that belong beside a competitor's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.options import Options
from pipeline_lib.score.leaderboard import PublishedNumber

FOLDER = Path(__file__).parent

Confidence = Literal["C", "V", "S", "M", "?"]
"""C read in public code; V computed again by us; S from a talk's slides; M from memory of the paper; ? unknown."""

_UNITS = {"1": 1.0, "%": 0.01}


class PublishedValue(Options):
    """One printed number."""

    value: float
    """As printed."""
    spread: float | None = Field(default=None, ge=0)
    """As printed; the table says of what."""


class PublishedMetric(Options):
    """How the printed numbers of a column relate to our metrics."""

    unit: Literal["1", "%"]
    """Unit of the printed numbers."""
    beside: list[str] = Field(default_factory=list)
    """Further metrics of ours beside which the number is shown, though they follow another protocol."""


class PublishedRow(Options):
    """One row of a published table."""

    title: str
    """The row's name in the paper's words."""
    model: str
    """The registered model that it is about."""
    settings: dict[str, str | list[str]] = Field(default_factory=dict)
    """Settings that tell this row from others of the model, such as the loss; ``block.key`` for one within a block.
    Of several values any will do: the published one and those of smaller networks that stand for it."""
    values: dict[str, PublishedValue] = Field(default_factory=dict)
    """The printed numbers, by the metric of ours that follows the published protocol."""
    learned: dict[str, float] = Field(default_factory=dict)
    """Printed values of learned numbers, by their names in our model."""

    def is_of(self, settings: Mapping[str, object]) -> bool:
        """Whether these settings of the model, as the row names them, are the row's."""
        return all(
            str(_setting(settings, name)) in ([wanted] if isinstance(wanted, str) else wanted)
            for name, wanted in self.settings.items()
        )


class Comparability(Options):
    """Whether scores on one source may be compared with the table."""

    comparable: bool
    """Whether data and protocol are the same."""
    reasons: list[str] = Field(min_length=1)
    """Why, or why not."""


NOT_ASSESSED = Comparability(comparable=False, reasons=["nobody has compared data and protocol yet"])


class PublishedTable(Options):
    """A published table."""

    system: str
    """Name of the published system."""
    table: str
    """What the table shows."""
    citation: str
    """Where it was published."""
    protocol: str
    """Data and way of scoring."""
    spread: str
    """What the spreads are a spread of."""
    confidence: Confidence
    """How sure we are of the numbers."""
    remarks: list[str] = Field(default_factory=list)
    """What a reader should know before quoting."""
    metrics: dict[str, PublishedMetric] = Field(default_factory=dict)
    """The columns, by the metric of ours that follows the published protocol."""
    rows: list[PublishedRow] = Field(min_length=1)
    """The rows."""
    comparability: dict[str, Comparability] = Field(default_factory=dict)
    """By source; a source that is not listed is not comparable."""

    @model_validator(mode="after")
    def _named_once(self) -> PublishedTable:
        titles = [row.title for row in self.rows]
        if len(set(titles)) < len(titles):
            raise ValueError("two rows have one title")
        return self

    @model_validator(mode="after")
    def _known_columns(self) -> PublishedTable:
        for row in self.rows:
            unknown = sorted(set(row.values) - set(self.metrics))
            if unknown:
                raise ValueError(f"row {row.title!r} has no column {unknown[0]!r}")
        return self

    @property
    def learned(self) -> list[str]:
        """Names of the learned numbers that rows hold, in their order."""
        return list(dict.fromkeys(name for row in self.rows for name in row.learned))

    def row_for(self, model: str, settings: Mapping[str, object]) -> PublishedRow | None:
        """Return the first row that is about ``model`` with these settings, ``None`` if there is none."""
        return next((row for row in self.rows if row.model == model and row.is_of(settings)), None)

    def rows_beside(self, settings: Mapping[str, Mapping[str, object]]) -> dict[str, PublishedRow]:
        """Return the row of each competitor that has one, by the settings of all; ``model`` is among them."""
        rows = {name: self.row_for(str(known.get("model", "")), known) for name, known in settings.items()}
        return {name: row for name, row in rows.items() if row is not None}

    def comparability_with(self, source: str) -> Comparability:
        """Return whether scores on ``source`` may be compared with this table."""
        return self.comparability.get(source, NOT_ASSESSED)

    def numbers(self, row: PublishedRow, source: str) -> dict[str, PublishedNumber]:
        """Return the numbers of a row by metric of ours, in that metric's unit.

        A number is comparable only where the source is and our metric follows the published protocol.
        """
        same_data = self.comparability_with(source).comparable
        found: dict[str, PublishedNumber] = {}
        for name, printed in row.values.items():
            value = printed.value * _UNITS[self.metrics[name].unit]
            found |= {other: PublishedNumber(value, False) for other in self.metrics[name].beside}
            found[name] = PublishedNumber(value, same_data)
        return found


def _setting(settings: Mapping[str, object], name: str) -> object:
    """A setting by its name, with dots between the blocks that it lies in; ``None`` if there is none."""
    found: object = settings
    for key in name.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def numbers_beside(
    tables: Mapping[str, PublishedTable], settings: Mapping[str, Mapping[str, object]], source: str
) -> dict[str, dict[str, PublishedNumber]]:
    """Return the published numbers of each competitor that has any, by metric: those of the last table with its row.

    Numbers of two tables in one row would be of no forecast that anybody made.
    """
    beside: dict[str, dict[str, PublishedNumber]] = {}
    for table in tables.values():
        beside |= {name: table.numbers(row, source) for name, row in table.rows_beside(settings).items()}
    return beside


def published_names() -> list[str]:
    """Return the names of all published tables."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def load_published(name: str) -> PublishedTable:
    """Return a published table by its name.

    Raises
    ------
    ConfigError
        If there is no such table, or its file is not valid.
    """
    if name not in published_names():
        raise ConfigError(
            f"no published table is called {name!r}", where="published", fix=closest(name, published_names())
        )
    file = FOLDER / f"{name}.yaml"
    try:
        return PublishedTable.model_validate(load_yaml(file))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {first['msg']}", where=file.name) from error
