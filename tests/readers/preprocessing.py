"""The preprocess stage as the command line calls it."""

from __future__ import annotations

from pathlib import Path

from pipeline_lib.catalog import Source
from pipeline_lib.preprocess.stage import Delivery, preprocess_period


def preprocess(source: Source, raw: Path, output: Path, period: str) -> None:
    """Make the dataset of a period of a source from what was fetched."""
    preprocess_period(
        raw=raw,
        output=output,
        period=period,
        delivery=Delivery(
            variables=source.variables,
            coverage=(source.time.start, source.time.end),
            step_hours=source.time.step_hours,
            form=source.block.form,
            reader=source.reader,
        ),
        preparation=source.preparation.name,
        preparation_options=source.preparation_options,
        code="c",
    )
