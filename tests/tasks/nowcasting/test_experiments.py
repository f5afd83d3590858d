"""The experiments of this task as they are: every competitor can be built for the frames of its source."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.nowcasting.counted import counted_by

FOLDER = Path(__file__).parents[3] / "config/experiments"
FRAMES = {
    "knmi-20100826": (1, 64, 64),
    "moving-digits": (1, 64, 64),
    "moving-digits-plus": (1, 64, 64),
    "storm-cells": (7, 48, 48),
    "cold-clouds": (1, 48, 48),
}
"""Channels, rows and columns of each source."""
EXPERIMENTS = [file.stem for file in sorted(FOLDER.glob("*.yaml")) if "task: nowcasting" in file.read_text()]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_competitor_can_be_built_and_forecasts(name):
    loaded = load_experiment(FOLDER / f"{name}.yaml")
    shape = FRAMES[loaded.spec.source]
    for competitor in loaded.spec.names:
        model, training = MODELS.get(loaded.spec.entry(competitor).model), loaded.training(competitor)
        sizes = dict(zip(("channels", "height", "width"), shape, strict=True))
        torch.manual_seed(0)
        network = model.build(loaded.model_options(competitor), seen=training.seen, leads=training.leads, **sizes)
        with torch.inference_mode():
            forecast = network.eval().forecast(torch.rand(1, training.seen, *shape))
        assert forecast.shape == (1, training.leads, *shape[1:])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_scored_lies_within_the_frames(name):
    loaded = load_experiment(FOLDER / f"{name}.yaml")
    counted_by(loaded.scoring).check(*FRAMES[loaded.spec.source][1:])
