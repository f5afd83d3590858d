"""Rain rates of the pixels of frames: a feature map, and a linear map for each of its units.

The principle is PERSIANN's (Hsu et al. 1997, J. Appl. Meteorol. 36, 1176-1190; recalled): a self-organising map sorts
pixels by their features, and each class has a linear relation of its own to rain. Here each is a ridge regression,
fitted at once instead of adjusted over time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline_lib.errors import DataError
from pipeline_lib.retrieval.feature_map import fit_map, map_distance, nearest_units
from pipeline_lib.retrieval.features import features_of
from pipeline_lib.retrieval.options import RetrievalOptions

Values = NDArray[np.float64]

_AT_ONCE = 2**18
"""Pixels whose features are in memory at once."""


@dataclass(frozen=True)
class Retrieval:
    """A fitted retrieval.

    Attributes
    ----------
    mean, scale
        What is subtracted from each feature (feature,) and what it is then divided by.
    weights
        Of the map's units (unit, feature), in standardised features.
    slopes, offsets
        Of the linear maps of standardised features: (unit, feature) and (unit,), mm/h.
    highest
        Rain rates of which the linear maps were fitted, at most (unit,), mm/h. They give no more: forecast frames may
        look as no true frame does, where a linear map would have no end. Ours.
    """

    mean: Values
    scale: Values
    weights: Values
    slopes: Values
    offsets: Values
    highest: Values

    @classmethod
    def fit(cls, features: Values, rates: Values, options: RetrievalOptions) -> Retrieval:
        """Fit it to pairs: features (sample, feature) and rain rates (sample,) [mm/h], all of them finite.

        A unit that fewer samples than ``options.fewest`` belong to borrows those of the units at most 1, 2, ... rows
        and columns of the map away, until there are enough.

        Raises
        ------
        DataError
            If there are too few pairs.
        """
        if len(rates) < options.fewest:
            raise DataError(
                f"there are {len(rates)} pixels with a frame and a rain rate, fewer than {options.fewest}",
                where="training.retrieval",
                fix="choose more training days",
            )
        mean, scale = features.mean(axis=0), features.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        samples = (features - mean) / scale
        weights = fit_map(samples, rows=options.rows, columns=options.columns, epochs=options.epochs)
        nearest = nearest_units(weights, samples)
        order = np.argsort(nearest, kind="stable")
        members = np.split(order, np.searchsorted(nearest[order], np.arange(1, len(weights))))
        away = np.maximum(*map_distance(options.rows, options.columns))
        slopes, offsets, highest = np.empty_like(weights), np.empty(len(weights)), np.empty(len(weights))
        for unit in range(len(weights)):
            chosen = _enough(members, away[unit], options.fewest)
            slopes[unit], offsets[unit] = ridge(samples[chosen], rates[chosen], options.penalty)
            highest[unit] = rates[chosen].max()
        return cls(mean, scale, weights, slopes, offsets, highest)

    def rates(self, frames: ArrayLike, surface: ArrayLike | None = None) -> Values:
        """Return rain rates [mm/h], none below zero, of frames (time, ..., rows, columns); NaN where they are missing.

        Parameters
        ----------
        frames
            In the unit that the retrieval was fitted in.
        surface
            What lies below, as it was when fitted, of a shape that broadcasts to that of the frames.
        """
        values = np.asarray(frames, np.float64)
        found = np.empty(values.shape)
        below = None if surface is None else np.broadcast_to(np.asarray(surface, np.float64), values.shape)
        at_once = max(1, _AT_ONCE // max(values[0].size, 1)) if len(values) else 1
        for first in range(0, len(values), at_once):
            part = slice(first, first + at_once)
            found[part] = self._of(features_of(values[part], None if below is None else below[part]))
        return found

    def _of(self, features: Values) -> Values:
        known = np.isfinite(features).all(axis=-1)
        samples = (features[known] - self.mean) / self.scale
        unit = nearest_units(self.weights, samples)
        rates = np.full(known.shape, np.nan)
        linear = np.einsum("nf,nf->n", samples, self.slopes[unit]) + self.offsets[unit]
        rates[known] = np.clip(linear, 0.0, self.highest[unit])
        return rates

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {name: values.tolist() for name, values in asdict(self).items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Retrieval:
        """Return what :meth:`to_plain` wrote."""
        return cls(**{name: np.asarray(plain[name], np.float64) for name in cls.__dataclass_fields__})


def ridge(samples: Values, rates: Values, penalty: float) -> tuple[Values, float]:
    """Return slopes (feature,) and offset of the linear map with the least squared error plus penalty of the slopes."""
    middle, level = samples.mean(axis=0), rates.mean()
    off = samples - middle
    square = np.einsum("ni,nj->ij", off, off) + penalty * np.eye(samples.shape[1])
    slopes: Values = np.linalg.solve(square, np.einsum("ni,n->i", off, rates - level))
    return slopes, float(level - middle @ slopes)


def _enough(members: list[NDArray[np.int64]], away: NDArray[np.int64], fewest: int) -> NDArray[np.int64]:
    """Return the samples of a unit, together with those of the units around it as far as it takes."""
    for reach in range(int(away.max()) + 1):
        chosen = np.concatenate([members[unit] for unit in np.flatnonzero(away <= reach)])
        if len(chosen) >= fewest:
            break
    return chosen
