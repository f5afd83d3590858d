"""Whether products are of the run that they are scored as: their model's manifest says how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline_lib.errors import ScoreError, StoreError
from pipeline_lib.io.manifest import Manifest, read_manifest

_AGAIN = "give the products of this run, or make them again"


def check_same_run(products: Sequence[Manifest], defined: Mapping[str, Any], where: str) -> None:
    """Refuse products whose model was made otherwise than an experiment says of a run.

    Parameters
    ----------
    products
        Manifests of products.
    defined
        What the experiment says of the run, as the options of a model's manifest say it.
    where
        Name of the run, for messages.

    Raises
    ------
    ScoreError
        If a product is of another model, other options or another seed, or its model cannot be told.
    """
    told: dict[Path, Manifest] = {}
    for product in products:
        record = product.inputs.get("model")
        if record is None:
            raise ScoreError("does not say which model made it", where=str(product.path), fix=_AGAIN)
        path = product.path.parent / record.path
        if path not in told:
            told[path] = _model(path, product, where)
        if told[path].identity != record.identity:
            what = f"was made by a model that has changed since: {path}"
            raise ScoreError(what, where=str(product.path), fix="make the product again")
        found = difference(told[path].options, defined)
        if found is not None:
            name, has, wanted = found
            what = f"is of a model with {name} = {has!r}, and {where} has {wanted!r}"
            raise ScoreError(what, where=str(product.path), fix=_AGAIN)


def _model(path: Path, product: Manifest, where: str) -> Manifest:
    try:
        return read_manifest(path, kind="model", verify="none")
    except StoreError as error:
        what = f"its model is not there, so that nothing tells whether it is of {where}: {error.line}"
        raise ScoreError(what, where=str(product.path), fix=_AGAIN) from error


def difference(stored: Mapping[str, Any], defined: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Return name, stored and defined value of the first option that differs; none if all are alike.

    An option that is not stored is new since. Within an option nothing may differ: that a mapping lacks a key says
    something.
    """
    wanted = _by_option(defined)
    for name, value in _by_option(stored).items():
        if value != wanted.get(name):
            return name, value, wanted.get(name)
    return None


def _by_option(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name, those of a group of options by the names of both."""
    found: dict[str, Any] = {}
    for name, value in described.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            found[name] = value
    return found
