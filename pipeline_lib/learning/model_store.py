"""Storing a trained model so that it can be rebuilt from its manifest alone."""

from __future__ import annotations

import io
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import xarray as xr
from pydantic import ValidationError
from torch import Tensor, nn

from pipeline_lib.errors import DataError, StoreError
from pipeline_lib.io.atomic import write_json
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.models.base import NetworkModel
from pipeline_lib.models.registry import MODELS
from pipeline_lib.options import Options

KIND = "model"
WEIGHTS = "best.pt"
HISTORY = "history.csv"
LAST = "last.ckpt"
PACKAGES = ("torch", "pytorch-lightning", "scipy", "scikit-learn", "pysindy", "sympy")


class InputVariable(Options):
    """One input channel of a network."""

    name: str
    """Canonical name."""
    units: str
    """Unit in which the variable must come."""
    mean: float = 0.0
    """Subtracted from the values, in ``units``."""
    scale: float = 1.0
    """Then divided by, in ``units``."""


class ModelSpec(Options):
    """All that is needed to rebuild a network and to feed it rightly."""

    model: str
    """Registered name."""
    options: dict[str, Any]
    """The model's options."""
    task: str
    """The kind of problem."""
    inputs: tuple[InputVariable, ...]
    """Input channels, in order."""
    classes: tuple[str, ...] = ()
    """Names of the output channels, in order; none where outputs are the inputs' future."""
    sizes: dict[str, Any]
    """What the task fixed when it built the network."""
    parameters: int
    """Number of trainable values."""

    def require(self, ds: xr.Dataset) -> None:
        """Raise :class:`DataError` unless a dataset holds every input in its unit."""
        for variable in self.inputs:
            if variable.name not in ds:
                raise DataError(f"the model needs {variable.name!r} [{variable.units}]", where="inputs")
            units = ds[variable.name].attrs.get("units")
            if units != variable.units:
                raise DataError(
                    f"is in {units!r}, the model was trained in {variable.units!r}",
                    where=f"inputs: {variable.name}",
                    fix="convert it, or set the attribute 'units' if it is missing",
                )


@dataclass(frozen=True)
class LoadedModel:
    """A model read back: its description, its network in evaluation mode on the CPU, its manifest.

    The network computes in the number format in which it was trained: float64, or float32 for all others.
    """

    spec: ModelSpec
    network: nn.Module
    size_multiple: int
    manifest: Manifest


def save_model(
    manifest_path: Path,
    *,
    spec: ModelSpec,
    weights: Mapping[str, Tensor],
    history: pd.DataFrame,
    inputs: Mapping[str, Manifest],
    training: Mapping[str, Any],
    code: str,
    last: Path | None = None,
    extra: Mapping[str, Any] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write ``best.pt``, ``last.ckpt``, ``history.csv`` and the manifest that describes the model.

    Parameters
    ----------
    manifest_path
        Manifest to write.
    spec
        Description of the model.
    weights
        State dict.
    history
        One row per epoch.
    inputs
        Manifests of what it was trained on, by role.
    training
        Resolved training options and seed, plain values.
    code
        Fingerprint of the code that trained it.
    last
        The last checkpoint of the training, to keep beside the best weights.
    extra
        Further plain facts for the manifest's content, for example the best epoch.
    beside
        Plain values that were fitted besides the network, by the name of the JSON file to keep them in.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    buffer = io.BytesIO()
    # In one memory layout: a training that was killed after its last epoch hands over weights that it only read back,
    # an undisturbed one those it computed with, which may lie in memory in another order.
    torch.save({n: w.detach().cpu().clone(memory_format=torch.contiguous_format) for n, w in weights.items()}, buffer)
    with Artefact(manifest_path, kind=KIND, code=code, packages=PACKAGES) as out:
        out.payload(WEIGHTS).write_bytes(buffer.getvalue())
        if last is not None:
            shutil.copyfile(last, out.payload(LAST))
        history.to_csv(out.payload(HISTORY), index=False, lineterminator="\n")
        for name, values in (beside or {}).items():
            write_json(out.payload(name), values)
        for role, manifest in inputs.items():
            out.add_input(role, manifest)
        out.options = dict(training)
        out.content = {**(extra or {}), "spec": spec.model_dump(mode="json")}
    return read_manifest(manifest_path, kind=KIND, verify="deep")


def dataset_facts(manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    """Return what a file from outside must be brought to, for a model's content.

    Contract, preparation and form are alike in all periods of a dataset; ``manifests`` holds them by role.
    """
    dataset = next(m for role, m in manifests.items() if role.startswith("dataset"))
    names = ("form", "variables", "grid_step")
    known = {name: dataset.content[name] for name in ("projection",) if name in dataset.content}
    return {"preparation": dict(dataset.options), **{name: dataset.content[name] for name in names}, **known}


def load_model(manifest_path: Path) -> LoadedModel:
    """Verify a stored model by its hashes and rebuild its network.

    Raises
    ------
    StoreError
        If the files do not match the manifest, or the weights do not fit the network as it is built today.
    ConfigError
        If the model is not registered.
    """
    manifest = read_manifest(manifest_path, kind=KIND, verify="deep")
    again = "train it again"
    try:
        spec = ModelSpec.model_validate(manifest.content["spec"])
    except (KeyError, ValidationError) as error:
        raise StoreError("does not describe its model", where=str(manifest_path), fix=again) from error
    model = MODELS.get(spec.model)
    if not issubclass(model, NetworkModel):
        raise StoreError(f"{spec.model} has no network", where=str(manifest_path), fix=again)
    try:
        options = model.Options.model_validate(spec.options)
        with torch.random.fork_rng(devices=[]):
            network = model.build(options, **spec.sizes)
        weights = torch.load(manifest.file(WEIGHTS), map_location="cpu", weights_only=True)
        if any(value.dtype == torch.float64 for value in weights.values()):
            network.double()
        network.load_state_dict(weights)
    except (ValidationError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"does not fit {spec.model} as it is today: {reason}", where=str(manifest_path), fix=again
        ) from error
    return LoadedModel(spec, network.eval(), model.size_multiple, manifest)
