"""Figures of nowcasts that are lines: skill by lead, and how much of the variance is left at which scale."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.metrics import ratio
from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.figures.bands import draw_band
from pipeline_lib.report.figures.by_lead import LeadFigure, draw_by_lead, with_counts
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.style import MUTED, message_figure, new_figure, octaves, panel_grid
from pipeline_lib.tasks.nowcasting.options import ScoringOptions

_HEIGHT = 2.6
_SKILL = LeadFigure(
    name="skill_by_lead",
    title="Skill by lead",
    caption=(
        "Scores against the number of frames ahead, from counts summed over the starts of all forecasts. Lines are"
        " means over seeds, bands reach from the best to the worst seed."
    ),
    ahead="Frames ahead",
    height=_HEIGHT,
    columns=3,
    most=6,
    shared=True,
    bound="Dotted: what is retrieved from the true frames, which no forecast of the frames can make good.",
)

Values = NDArray[np.float64]


def draw_skill(context: ReportContext) -> ReportFigure:
    """Draw scores against lead, and as dotted lines what retrieval makes of the true frames."""
    return draw_by_lead(context, _SKILL)


def draw_spectra(context: ReportContext) -> ReportFigure:
    """Draw how much of the truth's power is left at each wavelength, at the first, a middle and the last lead."""
    name, title = "spectra", "Power that is left"
    drawn = with_counts(context)
    if not drawn:
        return ReportFigure(name, title, "No model has a score.", message_figure("No spectrum to draw"))
    counts = next(run.counts for run in drawn[0].runs if run.counts is not None)
    chosen = counts["drawn_lead"].values
    frames = context.dataset
    width = 2 * (counts.sizes["ring"] - 1)  # the first ring holds no wave, the last two cells long
    if frames is not None:
        interior = ScoringOptions.model_validate(context.spec.scoring).interior
        width = min(frames[context.spec.inputs[0]][(..., *interior.places)].shape[-2:])
    wanted = np.arange(1, counts.sizes["ring"])
    figure = new_figure(_HEIGHT)
    panels = panel_grid(figure, 1, len(chosen), sharex=True, sharey=True)
    for ax, lead in zip(panels, chosen, strict=True):
        for competitor in drawn:
            kept = np.stack([_power(run.counts, lead)[wanted] for run in competitor.runs if run.counts is not None])
            draw_band(ax, width / wanted, kept, competitor)
        ax.axhline(1.0, color=MUTED, linewidth=0.8, linestyle=":")
        ax.set_title(f"{lead} frames ahead" if lead > 1 else "1 frame ahead", fontsize="small")
        octaves(ax)
        ax.set_yscale("log")
        ax.set_xlabel("Wavelength [cells]")
        ax.grid(visible=True, axis="y")
    panels[0].invert_xaxis()  # of all panels, which share it: every further call would turn it again
    panels[0].set_ylabel("Power / power of the truth")
    draw_legend(figure, panels)
    caption = (
        "Radially averaged power of the forecast frames over that of the true ones, by wavelength; dotted: all of it."
        " A line that falls towards short waves is a forecast that blurs, however good its errors are."
    )
    return ReportFigure(name, title, caption, figure)


def _power(counts: xr.Dataset, lead: int) -> Values:
    powers = (counts[name].sel(drawn_lead=lead).astype(float) for name in ("forecast_power", "true_power"))
    forecast, truth = (power.sum("time").values for power in powers)
    kept: Values = ratio(forecast, truth)
    return kept
