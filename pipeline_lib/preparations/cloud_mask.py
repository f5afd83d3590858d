"""Frames of cloud types or of brightness temperatures as masks: 1 where there is a cloud, 0 where it is clear."""

from __future__ import annotations

import xarray as xr
from pydantic import Field, model_validator

from pipeline_lib.errors import DataError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.options import refuse_unused
from pipeline_lib.preparations.made_of_one import MadeOfOne
from pipeline_lib.preparations.registry import PREPARATIONS

CLOUD = "cloud"
_NO_DATA, _VERY_LOW, _LAST = 0, 5, 15
"""Classes of cloud type in MeteoNet: 0 no data; 1 clear land, 2 clear sea, 3 snow, 4 sea ice; 5 very low clouds, and
other clouds up to 15 (documentation of the data)."""
_CLASS, _TEMPERATURE = "1", "K"


@PREPARATIONS.register("cloud_mask")
class CloudMask(MadeOfOne):
    """Cloud types, or brightness temperatures, to ``cloud``: 1 cloud, 0 clear."""

    made = CLOUD

    class Options(BaseOptions):
        """Options of this preparation."""

        variable: str
        """Canonical name of the cloud type (1) or the brightness temperature (K)."""
        lowest_class: int = Field(_VERY_LOW, gt=_NO_DATA, le=_LAST)
        """First class of cloud type that is a cloud, as all after it. With 5 snow and sea ice, classes 3 and 4, are
        clear. A course on MeteoNet takes those above 5, here 6: very low clouds, class 5, are then clear, which the
        list of classes contradicts."""
        colder_than: float | None = Field(None, gt=0)
        """A brightness temperature below it, K, is a cloud; needed for temperatures, refused for cloud types."""
        keep: tuple[str, ...] = ()
        """Canonical names of variables that are stored beside the mask as they are, such as ``age``."""

        @model_validator(mode="after")
        def _used(self) -> CloudMask.Options:
            if self.colder_than is not None:
                refuse_unused(self, ("lowest_class",), "colder_than is of temperatures, which have no classes")
            return self

    @staticmethod
    def make(field: xr.DataArray, options: Options) -> xr.DataArray:
        """Return ``cloud`` (time, ...), float32, NaN where there are no data.

        Raises
        ------
        DataError
            If it is in other units than its kind, or options are of the other kind.
        """
        mask = _cloudy(field, options).where(field.notnull()).astype("float32")
        mask.attrs = {"units": "1", "long_name": "cloud mask: 1 cloud, 0 clear"}
        return mask


def _cloudy(frames: xr.DataArray, options: CloudMask.Options) -> xr.DataArray:
    """Return 1 for cloud, 0 for clear, and NaN for the class that is no data."""
    units = frames.attrs.get("units")
    if options.colder_than is not None:
        if units != _TEMPERATURE:
            raise DataError(
                f"is in {units!r}, no temperature ({_TEMPERATURE})",
                where=options.variable,
                fix="leave preparation.options.colder_than out for cloud types, or correct the units",
            )
        return (frames < options.colder_than).astype("float32")
    if units != _CLASS:
        raise DataError(
            f"is in {units!r}, no cloud type ({_CLASS})",
            where=options.variable,
            fix="set preparation.options.colder_than for a brightness temperature",
        )
    return (frames >= options.lowest_class).astype("float32").where(frames != _NO_DATA)
