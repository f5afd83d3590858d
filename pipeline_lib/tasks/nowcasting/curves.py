"""Figures of nowcasts that are lines: skill by lead, and how much of the variance is left at which scale."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline_lib.metrics import METRICS, ratio
from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.figures.bands import draw_band
from pipeline_lib.report.style import MUTED, message_figure, new_figure, panel_grid
from pipeline_lib.tasks.nowcasting.metrics import FrameMetric
from pipeline_lib.tasks.nowcasting.options import ScoringOptions

_HEIGHT = 2.6
_COLUMNS = 3
_MOST_PANELS = 6

Values = NDArray[np.float64]


def draw_skill(context: ReportContext) -> ReportFigure:
    """Draw scores against lead, a panel for each metric, a line per competitor, a band over its seeds."""
    name, title = "skill_by_lead", "Skill by lead"
    drawn = _with_counts(context)
    metrics = [metric for m in context.metrics if (metric := _whole(m)) is not None][:_MOST_PANELS]
    if not drawn or not metrics:
        return ReportFigure(name, title, "No model has a score by lead.", message_figure("No score to draw"))
    counted = _pooled(next(run.counts for run in drawn[0].runs if run.counts is not None))
    columns = min(_COLUMNS, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = new_figure(_HEIGHT * rows)
    panels = panel_grid(figure, rows, columns, sharex=True)
    for ax, metric in zip(panels, metrics, strict=False):
        for competitor in drawn:
            found = np.stack([_by_lead(metric, run.counts) for run in competitor.runs if run.counts is not None])
            draw_band(ax, np.arange(1, found.shape[1] + 1), found, competitor)
        perfect = metric.perfect(counted)
        if perfect is not None:
            ax.plot(np.arange(1, perfect.shape[1] + 1), perfect[0], color=MUTED, linewidth=0.8, linestyle=":")
        unit = "" if metric.unit == "1" else f" [{metric.unit}]"
        ax.set_title((metric.__doc__ or "").splitlines()[0].rstrip(".") + unit, fontsize="small")
        ax.grid(visible=True, axis="y")
    for ax in panels[len(metrics) :]:
        ax.set_visible(False)
    for ax in panels[max(len(metrics) - columns, 0) : len(metrics)]:
        ax.set_xlabel("Frames ahead")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    caption = (
        "Scores against the number of frames ahead, from counts summed over the starts of all forecasts. Lines are"
        " means over seeds, bands reach from the best to the worst seed."
    )
    if any(metric.perfect(counted) is not None for metric in metrics):
        caption += " Dotted: what is retrieved from the true frames, which no forecast of the frames can make good."
    return ReportFigure(name, title, caption, figure)


def draw_spectra(context: ReportContext) -> ReportFigure:
    """Draw how much of the truth's power is left at each wavelength, at the first, a middle and the last lead."""
    name, title = "spectra", "Power that is left"
    drawn = _with_counts(context)
    if not drawn:
        return ReportFigure(name, title, "No model has a score.", message_figure("No spectrum to draw"))
    counts = next(run.counts for run in drawn[0].runs if run.counts is not None)
    chosen = counts["drawn_lead"].values
    frames = context.dataset
    width = 2 * counts.sizes["ring"]
    if frames is not None:
        interior = ScoringOptions.model_validate(context.spec.scoring).interior
        width = min(frames[context.spec.inputs[0]][(..., *interior.places)].shape[-2:])
    wanted = np.arange(1, counts.sizes["ring"])
    ticks = 2.0 ** np.arange(1, int(np.log2(width)) + 1)
    figure = new_figure(_HEIGHT)
    panels = panel_grid(figure, 1, len(chosen), sharex=True, sharey=True)
    for ax, lead in zip(panels, chosen, strict=True):
        for competitor in drawn:
            kept = np.stack([_power(run.counts, lead)[wanted] for run in competitor.runs if run.counts is not None])
            draw_band(ax, width / wanted, kept, competitor)
        ax.axhline(1.0, color=MUTED, linewidth=0.8, linestyle=":")
        ax.set_title(f"{lead} frames ahead" if lead > 1 else "1 frame ahead", fontsize="small")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.invert_xaxis()
        ax.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
        ax.set_xlabel("Wavelength [cells]")
        ax.grid(visible=True, axis="y")
    panels[0].set_ylabel("Power / power of the truth")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    caption = (
        "Radially averaged power of the forecast frames over that of the true ones, by wavelength; dotted: all of it."
        " A line that falls towards short waves is a forecast that blurs, however good its errors are."
    )
    return ReportFigure(name, title, caption, figure)


def _with_counts(context: ReportContext) -> list[Competitor]:
    return [c for c in context.valid if any(run.counts is not None for run in c.runs)]


def _whole(name: str) -> type[FrameMetric] | None:
    """Return a metric that is an average over leads and tells competitors apart."""
    metric = METRICS.get(name)
    if not (isinstance(metric, type) and issubclass(metric, FrameMetric)):
        return None
    return metric if metric.lead is None and not metric.of_truth else None


def _by_lead(metric: type[FrameMetric], counts: xr.Dataset) -> Values:
    values: Values = metric.by_lead(_pooled(counts))[0]
    return values


def _pooled(counts: xr.Dataset) -> dict[str, Values]:
    """Return the counts summed over starts, as one resample."""
    return {str(name): values.sum("time").values[None] for name, values in counts.data_vars.items()}


def _power(counts: xr.Dataset, lead: int) -> Values:
    powers = (counts[name].sel(drawn_lead=lead).astype(float) for name in ("forecast_power", "true_power"))
    forecast, truth = (power.sum("time").values for power in powers)
    kept: Values = ratio(forecast, truth)
    return kept
