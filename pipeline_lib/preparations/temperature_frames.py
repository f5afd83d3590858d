"""Frames of brightness temperature as shares of a range, and what belongs to them as it is."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import xarray as xr
from pydantic import Field, model_validator

from pipeline_lib.brightness import TemperatureScale
from pipeline_lib.errors import DataError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.preparations.registry import PREPARATIONS

CLOUD_TOP = "cloud_top"
_KELVIN = "K"


@PREPARATIONS.register("temperature_frames")
class TemperatureFrames:
    """Brightness temperature to ``cloud_top``, 0 at the highest and 1 at the lowest temperature of a range."""

    needs: ClassVar[tuple[str, ...]] = ()

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
    def produces(options: Options) -> tuple[str, ...]:
        """Names of the dataset's variables."""
        return (CLOUD_TOP, *options.keep)

    @staticmethod
    def narrowed(
        options: Options,
        wanted: Collection[str],
        contract: Collection[str],  # noqa: ARG004 - the frames are made of one variable
    ) -> tuple[Options, tuple[str, ...]]:
        """Take the variable that the frames are made of, and what is kept beside it and wanted."""
        kept = tuple(name for name in options.keep if name in wanted)
        return options.model_copy(update={"keep": kept}), tuple(dict.fromkeys((options.variable, *kept)))

    @staticmethod
    def prepare(ds: xr.Dataset, options: Options) -> xr.Dataset:
        """Return ``cloud_top`` (time, ...), float32, NaN where there are no data, and the variables kept beside it.

        Raises
        ------
        DataError
            If there is no such variable, or it is no temperature in kelvin.
        """
        for name in (options.variable, *options.keep):
            if name not in ds:
                raise DataError(f"has no variable {name!r}", where="preparation.options")
        frames = ds[options.variable]
        if frames.attrs.get("units") != _KELVIN:
            raise DataError(
                f"is in {frames.attrs.get('units')!r}, no temperature ({_KELVIN})",
                where=options.variable,
                fix="correct preparation.options.variable, or set its units in the catalog entry",
            )
        scale = TemperatureScale(options.lowest, options.highest)
        top = scale.to_share(frames).clip(0.0, 1.0).astype("float32")
        words = "coldness of the cloud top as share of a range of brightness temperature"
        top.attrs = {"units": "1", "long_name": words, **scale.attributes()}
        kept = {name: ds[name].astype("float32", keep_attrs=True) for name in options.keep}
        return xr.Dataset({CLOUD_TOP: top, **kept})
