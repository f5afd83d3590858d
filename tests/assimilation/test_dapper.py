"""The filters and smoothers against DAPPER, on the same truth, the same observations and the same first members.

Deterministic methods must follow the same path; those that draw random numbers, reach the same errors.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline_lib.assimilation import smoother
from pipeline_lib.assimilation.cycle import assimilate
from pipeline_lib.assimilation.ensemble import ETKF, EnKF
from pipeline_lib.assimilation.localisation import ring_taper
from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.assimilation.smoother import rauch_tung_striebel
from pipeline_lib.assimilation.variational import three_d_var
from pipeline_lib.solvers.lorenz63 import Lorenz63
from pipeline_lib.solvers.lorenz96 import Lorenz96
from pipeline_lib.solvers.schemes import integrate
from tests.assimilation.twins import ode_forecast

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-dapper" / "bin" / "python"
pytestmark = pytest.mark.dapper

SPIN_UP = 30
"""Analyses that the errors of random methods leave out."""
RADIUS, OF_DAPPER, CUT_OFF = 4.0, 1.82, 1e-3
"""DAPPER gives the taper a half-width of 1.82 times the radius, and takes factors up to 0.001 as none."""

SYSTEMS: dict[str, Any] = {
    "Lorenz63": (Lorenz63(), 3, 0.01, 8, 2.0),
    "Lorenz96": (Lorenz96(), 40, 0.05, 1, 1.0),
}
"""Tendency, components, step, steps between observations, variance of their errors; all components are observed."""


def method(name: str, members: int, **options: Any) -> dict[str, Any]:
    return {"class": name, "members": members, "options": options}


TWINS: dict[str, Any] = {
    "path63": {
        "system": "Lorenz63",
        "count": 30,
        "repeats": 2,
        "methods": {
            "ETKF": method("EnKF", 30, upd_a="Sqrt"),
            "few": method("EnKF", 3, upd_a="Sqrt", infl=1.0),
            "EnKS": method("EnKS", 30, upd_a="Sqrt", Lag=5),
            "3D-Var": method("Var3D", 1, xB=0.1),
        },
    },
    "path96": {
        "system": "Lorenz96",
        "count": 20,
        "repeats": 2,
        "methods": {
            "ETKF": method("EnKF", 60, upd_a="Sqrt"),
            "few": method("EnKF", 30, upd_a="Sqrt"),
            "LETKF": method("LETKF", 10, loc_rad=RADIUS),
            "3D-Var": method("Var3D", 1, xB=0.1),
        },
    },
    "error63": {
        "system": "Lorenz63",
        "count": 180,
        "repeats": 8,
        "methods": {
            "EnKF": method("EnKF", 50, upd_a="PertObs", infl=1.01),
            "EnRTS": method("EnRTS", 50, upd_a="PertObs", infl=1.01, DeCorr=1.0),
            "EnKS": method("EnKS", 50, upd_a="PertObs", infl=1.01, Lag=10),
        },
    },
    "error96": {
        "system": "Lorenz96",
        "count": 130,
        "repeats": 8,
        "methods": {
            "EnKF": method("EnKF", 40, upd_a="PertObs", infl=1.06),
            "ETKF": method("EnKF", 28, upd_a="Sqrt", infl=1.05),
            "LETKF": method("LETKF", 7, loc_rad=RADIUS, infl=1.04),
        },
    },
}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Twins:
    """Truths, observations and first members; what DAPPER made of them."""

    def __init__(self, folder: Path) -> None:
        self.truth: dict[str, torch.Tensor] = {}
        self.given: dict[str, torch.Tensor] = {}
        drawn = generator()
        for name, twin in TWINS.items():
            tendency, size, dt, every, variance = SYSTEMS[twin["system"]]
            start = 8 + torch.randn(twin["repeats"], size, dtype=torch.float64, generator=drawn)
            start = integrate(tendency, start, dt=dt, steps=1000, every=1000)[-1]
            truth = integrate(tendency, start, dt=dt, steps=every * twin["count"], every=every).movedim(0, 1)
            noise = torch.randn(truth[:, 1:].shape, dtype=torch.float64, generator=drawn)
            self.truth[name] = truth[:, 1:]
            self.given[f"{name}/values"] = truth[:, 1:] + variance**0.5 * noise
            for label, options in twin["methods"].items():
                shape = twin["repeats"], options["members"], size
                members = start[:, None] + torch.randn(shape, dtype=torch.float64, generator=drawn)
                self.given[f"{name}/{label}/members"] = members
                if options["class"] == "Var3D":
                    self.given[f"{name}/{label}/covariance"] = torch.cov(truth.flatten(0, 1).T)
        self.theirs = {name: torch.from_numpy(means) for name, means in self._run(folder).items()}

    def _run(self, folder: Path) -> dict[str, np.ndarray]:
        twins = {}
        for name, twin in TWINS.items():
            _, _, dt, every, variance = SYSTEMS[twin["system"]]
            twins[name] = {**twin, "dt": dt, "every": every, "variance": variance}
        arrays = {name: tensor.numpy() for name, tensor in self.given.items()}
        np.savez(folder / "given.npz", twins=json.dumps(twins), **arrays)
        script = Path(__file__).with_name("dapper_reference.py")
        words = [PYTHON, script, folder / "given.npz", folder / "found.npz"]
        subprocess.run(words, check=True, env={"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "HOME": str(folder)})
        with np.load(folder / "found.npz") as found:
            return dict(found)

    def ours(self, name: str, label: str, **options: Any) -> torch.Tensor:
        """Means at the times of the observations; time 0, where DAPPER has none, is left out."""
        tendency, _, dt, every, variance = SYSTEMS[TWINS[name]["system"]]
        values = self.given[f"{name}/values"]
        on_steps = values.new_zeros(len(values), 1 + every * values.shape[1], values.shape[-1])
        on_steps[:, every::every] = values
        mask = torch.zeros_like(on_steps, dtype=torch.bool)
        mask[:, every::every] = True
        chosen = TWINS[name]["methods"][label]
        settings = chosen["options"]
        forecast, members = ode_forecast(tendency, dt=dt), self.given[f"{name}/{label}/members"]
        observations = Observations(on_steps, variance, mask=mask)
        if chosen["class"] == "Var3D":
            covariance = settings["xB"] * self.given[f"{name}/{label}/covariance"]
            return three_d_var(forecast, members[:, 0], observations, covariance)[:, every::every]
        taper = ring_taper(values.shape[-1], RADIUS * OF_DAPPER) if "loc_rad" in settings else None
        taper = taper if taper is None else torch.where(taper > CUT_OFF, taper, 0.0)
        found = assimilate(
            EnKF(taper) if settings.get("upd_a") == "PertObs" else ETKF(taper),
            forecast,
            members,
            observations,
            inflation=settings.get("infl", 1.0),
            lag=settings.get("Lag", 0) * every,
            generator=generator(),
            keep=label == "EnRTS",
        )
        return (rauch_tung_striebel(found) if label == "EnRTS" else found).mean[:, every::every]


@pytest.fixture(scope="module")
def twins(tmp_path_factory) -> Twins:
    if not PYTHON.exists():
        pytest.fail("DAPPER is not installed: make test-assimilation installs it")
    return Twins(tmp_path_factory.mktemp("dapper"))


def cases(kind: str) -> list[tuple[str, str]]:
    return [(name, label) for name in TWINS if name.startswith(kind) for label in TWINS[name]["methods"]]


@pytest.mark.parametrize(("name", "label"), cases("path"))
def test_deterministic_methods_follow_the_same_path(twins, name, label):
    """To round-off, which the growth of errors multiplies; the truth is a thousand times further away."""
    ours, theirs = twins.ours(name, label), twins.theirs[f"{name}/{label}"]
    difference = float((ours - theirs).abs().max())
    assert difference < 1e-7
    assert float((ours - twins.truth[name]).abs().mean()) > 1e3 * difference


@pytest.mark.parametrize(("name", "label"), cases("error"))
def test_errors_are_the_same_within_what_chance_allows(twins, name, label, record_property, monkeypatch):
    monkeypatch.setattr(smoother, "_SPECTRUM", 1.0)  # DAPPER's smoother regresses on all components
    truth = twins.truth[name][:, SPIN_UP:]
    ours, theirs = (
        (means[:, SPIN_UP:] - truth).square().mean(-1).sqrt().mean(-1)
        for means in (twins.ours(name, label), twins.theirs[f"{name}/{label}"])
    )
    difference = ours - theirs
    chance = float(difference.std()) / len(difference) ** 0.5
    message = f"{name} {label}: ours {float(ours.mean()):.4f}, DAPPER {float(theirs.mean()):.4f}, chance {chance:.4f}"
    record_property("errors", message)
    # Repeats that scatter more could not tell one method from another.
    assert chance < 0.1 * float(theirs.mean()), message
    # DAPPER inflates after the analysis: after a nonlinear step, that is not quite the same as before the next one.
    assert abs(float(difference.mean())) < 4 * chance + 0.005 * float(theirs.mean()), message
