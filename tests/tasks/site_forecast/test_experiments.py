"""The experiments of this task as they are: every competitor can be built for its source, and forecasts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_lib.catalog import Catalog
from pipeline_lib.config.loader import load_experiment
from pipeline_lib.config.validation import validate
from pipeline_lib.models.registry import MODELS
from pipeline_lib.preparations.registry import PREPARATIONS
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.tasks.site_forecast.columns import Columns, site_of, starts_of
from pipeline_lib.tasks.site_forecast.windows import SiteWindows

CONFIG = Path(__file__).parents[3] / "config"
EXPERIMENTS = [
    file.stem for file in sorted((CONFIG / "experiments").glob("*.yaml")) if "task: site_forecast" in file.read_text()
]
TIMES = 48


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_competitor_can_be_built_and_forecasts(name):
    loaded = load_experiment(CONFIG / f"experiments/{name}.yaml")
    entry = Catalog.load(CONFIG / "catalog.yaml").source(loaded.spec.source)
    source = entry.block
    simulation = SIMULATIONS.get(source.fetch.options["simulation"])
    options = validate(simulation.Options, source.fetch.options["options"], where="options")
    ds = simulation.run(options, times=TIMES)
    step = np.timedelta64(round(source.time.step_hours * 3600), "s")
    ds = ds.assign_coords(time=np.datetime64("2000-01-01", "ns") + np.arange(TIMES) * step)
    ds = PREPARATIONS.get(entry.preparation.name).prepare(ds, entry.preparation_options)
    inputs = loaded.spec.inputs
    for competitor in loaded.spec.names:
        training = loaded.training(competitor)
        columns = Columns.of(ds, inputs, training, dict.fromkeys(inputs, 0.0))
        site = site_of(ds, inputs, training, dict.fromkeys(inputs, (5.0, 3.0)))
        windows = SiteWindows(columns, starts_of(columns, training, whole_future=True), site)
        torch.manual_seed(0)
        model = MODELS.get(loaded.spec.entry(competitor).model)
        network = model.build(loaded.model_options(competitor), **site.model_dump(mode="json")).eval()
        with torch.inference_mode():
            forecast = network.forecast(windows.cut(np.arange(1)).inputs)
        assert forecast.shape == (1, training.leads, training.targets)
        assert torch.isfinite(forecast).all()
