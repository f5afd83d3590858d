"""Scales of shares that a variable carries as attributes, so that its values can be turned back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from pipeline_lib.errors import DataError


@dataclass(frozen=True)
class StoredScale:
    """A scale whose fields are numbers."""

    prefix: ClassVar[str]
    """Begins the names of its attributes."""
    meaning: ClassVar[str]
    """What shares are turned into."""
    preparation: ClassVar[str]
    """The preparation of a source that writes the attributes."""

    def attributes(self) -> dict[str, float]:
        """Return the scale as attributes of a variable that holds shares."""
        return {f"{self.prefix}{name}": number for name, number in asdict(self).items()}

    @classmethod
    def marks(cls, attributes: Mapping[Any, Any]) -> bool:
        """Whether attributes hold such a scale, or a part of one."""
        return any(str(name).startswith(cls.prefix) for name in attributes)

    @classmethod
    def of_attributes(cls, attributes: Mapping[str, Any], *, where: str = "") -> Self:
        """Return the scale that :meth:`attributes` wrote.

        Raises
        ------
        DataError
            If an attribute is missing or not a number.
        """
        names = [f"{cls.prefix}{field.name}" for field in fields(cls)]
        try:
            return cls(*[float(attributes[name]) for name in names])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"there is no scale that turns the values into {cls.meaning}",
                where=where,
                fix=f"take a source with preparation {cls.preparation}, which writes {', '.join(names)}",
            ) from error
