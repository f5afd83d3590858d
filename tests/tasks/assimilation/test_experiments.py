"""The set-up of the experiments on partly observed Lorenz systems is the published one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline_lib.config.loader import load_experiment

CONFIG = Path(__file__).parents[3] / "config"


def observed(source: str) -> dict:
    catalog = yaml.safe_load((CONFIG / "catalog.yaml").read_text())
    return catalog["sources"][source]["metadata"]["gyre"]["preparation"]["options"]


@pytest.mark.parametrize(
    ("name", "margin", "instrument"),
    [
        ("assimilation-partial", 10, {"every": 8, "components": [0], "variance": 2.0}),
        # No margins are published for Lorenz 1996.
        ("assimilation-partial-lorenz96", 0, {"every": 4, "sites": 20, "variance": 2.0}),
    ],
)
def test_windows_are_as_published(name, margin, instrument):
    loaded = load_experiment(CONFIG / "experiments" / f"{name}.yaml")
    assert observed(loaded.spec.source) == {"variable": "state", **instrument}
    for entry in loaded.spec.names:
        training = loaded.training(entry)
        assert (training.assimilation.window, training.assimilation.margin) == (200, margin)
        assert training.precision == "float32"


def test_descent_with_fixed_steps_takes_part():
    loaded = load_experiment(CONFIG / "experiments" / "assimilation-partial.yaml")
    methods = [loaded.training(entry).assimilation for entry in loaded.spec.names]
    assert ("weak_4dvar", "gradient_descent") in {(m.method, m.minimiser) for m in methods}
    assert "strong_4dvar" in {m.method for m in methods}


@pytest.mark.parametrize("name", ["assimilation-partial", "assimilation-partial-lorenz96"])
def test_three_d_var_takes_part(name):
    loaded = load_experiment(CONFIG / "experiments" / f"{name}.yaml")
    assert "3dvar" in {loaded.training(entry).assimilation.method for entry in loaded.spec.names}
