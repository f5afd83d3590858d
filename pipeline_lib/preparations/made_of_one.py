"""Preparations that make one variable out of one of the source, and keep others beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from typing import Any, ClassVar

import xarray as xr

from pipeline_lib.errors import DataError


class MadeOfOne(ABC):
    """One variable of the dataset, made of one of the source, and others beside it as they are.

    The options have ``keep``, the canonical names of those others.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    made: ClassVar[str]
    """Name of the variable that is made."""
    of: ClassVar[str] = "variable"
    """Option that holds the canonical name of what it is made of."""

    @classmethod
    def produces(cls, options: Any) -> tuple[str, ...]:  # noqa: ANN401 - own Options
        """Names of the dataset's variables."""
        return (cls.made, *options.keep)

    @classmethod
    def narrowed(
        cls,
        options: Any,  # noqa: ANN401 - own Options
        wanted: Collection[str],
        contract: Collection[str],  # noqa: ARG003 - it is made of one variable
    ) -> tuple[Any, tuple[str, ...]]:
        """Take the variable that it is made of, and what is kept beside it and wanted."""
        kept = tuple(name for name in options.keep if name in wanted)
        return options.model_copy(update={"keep": kept}), tuple(dict.fromkeys((getattr(options, cls.of), *kept)))

    @classmethod
    def prepare(cls, ds: xr.Dataset, options: Any) -> xr.Dataset:  # noqa: ANN401 - own Options
        """Return what is made, and the variables kept beside it in its type.

        Raises
        ------
        DataError
            If a variable is not there, or as :meth:`make`.
        """
        name = getattr(options, cls.of)
        require(ds, (name, *options.keep))
        made = cls.make(ds[name], options)
        return xr.Dataset(
            {cls.made: made, **{kept: ds[kept].astype(made.dtype, keep_attrs=True) for kept in options.keep}}
        )

    @staticmethod
    @abstractmethod
    def make(field: xr.DataArray, options: Any) -> xr.DataArray:  # noqa: ANN401 - own Options
        """Return the variable (time, ...) that is made of a field, NaN where there are no data, with its attributes.

        Raises
        ------
        DataError
            If the field is of another kind or in another unit than the options say.
        """


def require(ds: xr.Dataset, names: Iterable[str]) -> None:
    """Raise :class:`DataError` if a variable that options name is not there."""
    for name in names:
        if name not in ds:
            raise DataError(f"has no variable {name!r}", where="preparation.options")
