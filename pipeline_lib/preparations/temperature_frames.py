"""Frames of brightness temperature as shares of a range, and what belongs to them as it is."""

from __future__ import annotations

import xarray as xr
from pydantic import Field, model_validator

from pipeline_lib.brightness import TemperatureScale
from pipeline_lib.errors import DataError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.preparations.made_of_one import MadeOfOne
from pipeline_lib.preparations.registry import PREPARATIONS

CLOUD_TOP = "cloud_top"
_KELVIN = "K"


@PREPARATIONS.register("temperature_frames")
class TemperatureFrames(MadeOfOne):
    """Brightness temperature to ``cloud_top``, 0 at the highest and 1 at the lowest temperature of a range."""

    made = CLOUD_TOP

    class Options(BaseOptions):
        """Options of this preparation; the range is proposed, no publication's."""

        variable: str
        """Canonical name of the brightness temperature (K)."""
        lowest: float = Field(180.0, gt=0)
        """Temperature that becomes 1, as do all below it, K."""
        highest: float = Field(320.0, gt=0)
        """Temperature that becomes 0, as do all above it, K: what networks see in gaps and beyond the border, as a warm
        clear sky."""
        keep: tuple[str, ...] = ()
        """Canonical names of variables that are stored beside the frames as they are: a rain rate, ``age``."""

        @model_validator(mode="after")
        def _upward(self) -> TemperatureFrames.Options:
            if self.highest <= self.lowest:
                raise ValueError(f"highest {self.highest:g} is not above lowest {self.lowest:g}")
            return self

    @staticmethod
    def make(field: xr.DataArray, options: Options) -> xr.DataArray:
        """Return ``cloud_top`` (time, ...), float32, NaN where there are no data.

        Raises
        ------
        DataError
            If it is no temperature in kelvin.
        """
        if field.attrs.get("units") != _KELVIN:
            raise DataError(
                f"is in {field.attrs.get('units')!r}, no temperature ({_KELVIN})",
                where=options.variable,
                fix="correct preparation.options.variable, or set its units in the catalog entry",
            )
        scale = TemperatureScale(options.lowest, options.highest)
        top = scale.to_share(field).clip(0.0, 1.0).astype("float32")
        words = "coldness of the cloud top as share of a range of brightness temperature"
        top.attrs = {"units": "1", "long_name": words, **scale.attributes()}
        return top
