"""What a variable promises: name in the file, unit, standard name, range."""

from __future__ import annotations

from pydantic import model_validator

from pipeline_lib.data.units import parse_unit
from pipeline_lib.errors import DataError
from pipeline_lib.options import Options


class VariableSpec(Options):
    """The contract of one variable of a source."""

    name: str
    """Name of the variable in the delivered file."""
    units: str
    """Canonical (SI) unit in which it is stored; delivered values are converted to it."""
    delivered_units: str | None = None
    """Unit of the delivered values when the file does not say."""
    standard_name: str | None = None
    """CF standard name."""
    long_name: str | None = None
    """Title for figures and the product's attributes."""
    valid_min: float | None = None
    """Smallest plausible value, in ``units``; a smaller one is an error."""
    valid_max: float | None = None
    """Largest plausible value, in ``units``; a larger one is an error."""
    zero_is_missing: bool = False
    """The provider stores missing values (land) as exact zero."""

    @model_validator(mode="after")
    def _known_units(self) -> VariableSpec:
        for unit in (self.units, self.delivered_units):
            if unit is not None:
                try:
                    parse_unit(unit)
                except DataError as error:
                    raise ValueError(f"{error.what}: {error.fix}") from error
        if self.valid_min is not None and self.valid_max is not None and self.valid_min >= self.valid_max:
            raise ValueError(f"valid_min {self.valid_min} is not below valid_max {self.valid_max}")
        return self
