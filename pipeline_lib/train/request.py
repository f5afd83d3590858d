"""What the train stage asks of a task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from pipeline_lib.io.manifest import Manifest
from pipeline_lib.learning.device import Device
from pipeline_lib.models.base import NetworkModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options

Days = tuple[date, date]
Kind = TypeVar("Kind", bound=Options)


@dataclass(frozen=True)
class TrainingRequest:
    """One training: all that a task's ``train.train`` is told.

    Attributes
    ----------
    model, model_options, training
        Registered model and validated options, the task's for ``training``.
    inputs
        Dataset variables, in the order in which the network sees them.
    train, validation
        First and last day of each split.
    seed
        Base seed.
    manifests
        What the model is made from, by role: ``dataset <period>``, ``labels <period>``, ``statistics``.
    folder, output
        Where checkpoints lie meanwhile; the manifest to write.
    described
        What defines the run, for the manifest.
    device, devices, threads
        Where to compute, in how many processes, with how many CPU threads in all (``None``: all).
    end
        Unix time at which this job will be ended, if known.
    code
        Fingerprint of the code.
    """

    model: str
    model_options: Options
    training: Options
    inputs: tuple[str, ...]
    train: Days
    validation: Days
    seed: int
    manifests: Mapping[str, Manifest]
    folder: Path
    output: Path
    described: Mapping[str, Any]
    device: Device
    devices: int
    threads: int | None
    end: float | None
    code: str

    def training_as(self, kind: type[Kind]) -> Kind:
        """Return ``training`` as the options of a task that it is."""
        if not isinstance(self.training, kind):
            raise TypeError(f"training must be {kind.__name__}")
        return self.training

    @property
    def network_model(self) -> type[NetworkModel]:
        """The registered model."""
        model = MODELS.get(self.model)
        if not issubclass(model, NetworkModel):
            raise TypeError(f"{self.model} has no network")
        return model

    @property
    def statistics(self) -> dict[str, dict[str, Any]]:
        """Mean, standard deviation and units of each input, over the training days."""
        stored = self.manifests["statistics"].file("statistics.values.json").read_text(encoding="utf-8")
        values: dict[str, dict[str, Any]] = json.loads(stored)
        return values

    def of(self, kind: str) -> list[Manifest]:
        """Manifests of one kind of artefact: ``dataset`` or ``labels``."""
        return [manifest for role, manifest in self.manifests.items() if role.startswith(kind)]
