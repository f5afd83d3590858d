"""Small products and datasets of the classification task."""

from __future__ import annotations

import numpy as np
import xarray as xr


def times(count: int) -> np.ndarray:
    return np.datetime64("2001-02-01", "ns") + np.arange(count) * np.timedelta64(1350, "s")


def stores(seed: int = 0, count: int = 60, classes: int = 4) -> tuple[xr.Dataset, xr.Dataset]:
    """Probabilities that lean to the truth, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    logits = rng.standard_normal((count, classes)) * 2
    logits[np.arange(count), truth] += 2
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    product = xr.Dataset(
        {"log_probability": (("time", "class"), logs.astype("float32"), {"class_variable": "label"})},
        {"time": times(count), "class": np.arange(classes)},
    )
    images = rng.random((count, 3, 3)).astype("float32")
    dataset = xr.Dataset(
        {"image": (("time", "row", "column"), images), "label": ("time", truth.astype("float32"), {"units": "1"})},
        {"time": times(count)},
    )
    return product, dataset
