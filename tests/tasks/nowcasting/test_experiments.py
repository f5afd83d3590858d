"""The experiments of this task as they are: every competitor can be built for the frames of its source."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.nowcasting.counted import counted_by

FOLDER = Path(__file__).parents[3] / "config/experiments"
FRAMES = {
    "knmi-20100826": (1, 64, 64),
    "meteonet-rainfall-se-sample": (1, 128, 196),
    "rain-cells": (1, 64, 64),
    "moving-digits": (1, 24, 24),
    "moving-digits-ood": (1, 24, 24),
    "moving-digits-plus": (1, 40, 40),
    "moving-digits-full": (1, 64, 64),
    "moving-digits-plus-full": (1, 64, 64),
    "storm-cells": (7, 48, 48),
    "cold-clouds": (1, 48, 48),
    "cold-clouds-rain": (1, 48, 48),
    "cold-clouds-carried": (1, 48, 48),
}
"""Channels, rows and columns of each source."""


def _task(name: str) -> str:
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return content.get("task") or _task(content["extends"])


EXPERIMENTS = [file.stem for file in sorted(FOLDER.glob("*.yaml")) if _task(file.stem) == "nowcasting"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_competitor_can_be_built_and_forecasts(name):
    loaded = load_experiment(FOLDER / f"{name}.yaml")
    shape = FRAMES[loaded.spec.source]
    for competitor in loaded.spec.names:
        model, training = MODELS.get(loaded.spec.entry(competitor).model), loaded.training(competitor)
        sizes = dict(zip(("channels", "height", "width"), shape, strict=True))
        sizes |= {"lowest_dbz": -10.0, "highest_dbz": 60.0}  # of those that are radar; others do not ask
        torch.manual_seed(0)
        # Of networks of the published size it is enough to know the shapes of all that they would compute.
        with torch.device("meta" if name.endswith("-full") else "cpu"), torch.inference_mode():
            network = model.build(loaded.model_options(competitor), seen=training.seen, leads=training.leads, **sizes)
            forecast = network.eval().forecast(torch.rand(1, training.seen, *shape))
        assert forecast.shape == (1, training.leads, *shape[1:])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_scored_lies_within_the_frames(name):
    loaded = load_experiment(FOLDER / f"{name}.yaml")
    counted_by(loaded.scoring).check(*FRAMES[loaded.spec.source][1:])
