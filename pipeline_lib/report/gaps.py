"""What the page says of frames that are missing, and of forecasts that were not made for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline_lib.io.manifest import Manifest

_COUNTED = ("frames", "incomplete", "too_few_before")


def told_gaps(datasets: Sequence[Manifest], products: Mapping[str, Sequence[Manifest]]) -> tuple[str, ...]:
    """Return sentences without their full stops: one for each way in which runs could use the frames of a test.

    Parameters
    ----------
    datasets
        Periods of the test; nothing is told of what holds no frames.
    products
        Products of each run, by the competitor's title.
    """
    if not any(manifest.content.get("form") == "frames" for manifest in datasets):
        return ()
    empty = sorted(str(m.content["period"]) for m in datasets if not m.content.get("times"))
    told: dict[str, list[str]] = {}
    for title, manifests in products.items():
        if words := _counted([manifest.content for manifest in manifests], empty):
            told.setdefault(words, []).append(title)
    alone = len(told) == 1
    return tuple(words if alone else f"{', '.join(titles)}: {words}" for words, titles in told.items())


def _counted(contents: Sequence[Mapping[str, Any]], empty: Sequence[str]) -> str:
    if not contents or not all(name in content for content in contents for name in _COUNTED):
        return ""
    frames, incomplete, too_few = (sum(int(content[name]) for content in contents) for name in _COUNTED)
    words = (
        f"Of the {frames} frames in the periods of the test {incomplete} lack too much, and {too_few} have too few"
        " before them in a row to start a forecast"
    )
    words += _filled(contents)
    rowless = sorted(str(c["period"]) for c in contents if "no_forecast" in c and str(c["period"]) not in empty)
    words += f"; {', '.join(empty)} without any frame" if empty else ""
    return words + (f"; no forecast starts in {', '.join(rowless)}" if rowless else "")


def _filled(contents: Sequence[Mapping[str, Any]]) -> str:
    """Return a clause on the gaps of frames that were used all the same; nothing if there was none."""
    if not (with_gaps := sum(int(content.get("with_gaps", 0)) for content in contents)):
        return ""
    used = [int(content["frames"]) - int(content["incomplete"]) for content in contents]
    cells = sum(frames * float(c.get("cells_filled", 0)) for frames, c in zip(used, contents, strict=True)) / sum(used)
    return f"; {with_gaps} lack less, {100 * cells:.2g} % of the cells of all that are used, which forecasts see filled"
