"""What must be counted for the metrics that an experiment asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS
from pipeline_lib.skill.regimes import TRENDS, Regime
from pipeline_lib.tasks.nowcasting.options import Interior, ScoringOptions

BALANCED, ENTROPY, EVENTS, FRACTIONS, PARTED = "balanced", "entropy", "events", "fractions", "parted"
TEMPERATURE, RETRIEVED, POWER, IN_RATES = "temperature", "retrieved", "power", "rates"
"""Parts of the counts that only some metrics need. Errors, products and spectra are always counted."""

_DRAWN = 3
"""Leads whose spectra are kept, start by start, and drawn: the first, a middle and the last."""


@dataclass(frozen=True)
class Counted:
    """What is counted besides errors, products and spectra.

    Attributes
    ----------
    balanced, rates, entropy
        Whether errors with the weights of rain rates, errors of these rates, and the cross entropy, are.
    thresholds
        Events "at or above": in mm/h where the frames have a relation to rain rate, else in their own values.
    fractions
        Threshold and window, in cells, of neighbourhoods.
    parted
        Threshold and regime of events that are counted in the cells of that regime alone.
    wavelengths
        In cells: power is summed of waves that are no longer.
    temperature
        Whether squared errors in kelvin are.
    retrieved
        Whether what is retrieved from the frames is scored, and at which thresholds [mm/h]; ``None`` if not.
    interior
        The part of the frames that is counted.
    """

    balanced: bool
    rates: bool
    entropy: bool
    thresholds: tuple[float, ...]
    fractions: tuple[tuple[float, int], ...]
    parted: tuple[tuple[float, Regime], ...]
    wavelengths: tuple[float, ...]
    temperature: bool
    retrieved: tuple[float, ...] | None
    interior: Interior

    @property
    def seen(self) -> int:
        """How many of the frames before a forecast tell its regimes."""
        return 2 if any(regime in TRENDS for _, regime in self.parted) else 1

    def cut(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return the part of frames (..., rows, columns) that is counted."""
        return frames[(..., *self.interior.places)]

    def check(self, rows: int | None, columns: int | None) -> None:
        """Refuse what frames of so many rows and columns do not have; ``None`` where that is not known yet.

        Raises
        ------
        ConfigError
            If the interior is not within them, or a window or wavelength is longer than its shorter side.
        """
        sides: list[float] = []
        for name, size, cells in (("rows", rows, self.interior.rows), ("columns", columns, self.interior.columns)):
            if cells is not None and size is not None and cells[1] > size:
                what = f"{list(cells)} is not within the {size} {name} there are"
                raise ConfigError(what, where=f"scoring.interior.{name}", fix="correct it")
            sides.append(cells[1] - cells[0] if cells is not None else math.inf if size is None else size)
        asked = [(f"the neighbourhood of fss{suffix(*pair)}", float(pair[1])) for pair in self.fractions]
        asked += [(f"the wavelength of power_left{suffix(length)}", length) for length in self.wavelengths]
        for what, length in asked:
            if length > (side := min(sides)):
                raise ConfigError(
                    f"{what} is longer than the {side} cells that are scored", where="scoring.metrics", fix="shorten it"
                )

    def to_plain(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {
            "balanced": self.balanced,
            "rates": self.rates,
            "entropy": self.entropy,
            "thresholds": list(self.thresholds),
            "fractions": [list(pair) for pair in self.fractions],
            "parted": [list(pair) for pair in self.parted],
            "wavelengths": list(self.wavelengths),
            "temperature": self.temperature,
            "retrieved": None if self.retrieved is None else list(self.retrieved),
            "interior": self.interior.model_dump(mode="json"),
        }


def counted_by(options: ScoringOptions) -> Counted:
    """Return what must be counted for the metrics that are asked for.

    Raises
    ------
    ConfigError
        If there is no such metric.
    """
    parts: set[tuple[Any, ...]] = {getattr(METRICS.get(name), "part", ("",)) for name in options.metrics}
    retrieved = [part[1:] for part in parts if part[0] == RETRIEVED]
    return Counted(
        balanced=(BALANCED,) in parts,
        rates=(IN_RATES,) in parts,
        entropy=(ENTROPY,) in parts,
        thresholds=tuple(sorted(part[1] for part in parts if part[0] == EVENTS)),
        fractions=tuple(sorted((part[1], part[2]) for part in parts if part[0] == FRACTIONS)),
        parted=tuple(sorted((part[1], part[2]) for part in parts if part[0] == PARTED)),
        wavelengths=tuple(sorted(part[1] for part in parts if part[0] == POWER)),
        temperature=(TEMPERATURE,) in parts,
        retrieved=tuple(sorted(threshold for part in retrieved for threshold in part)) if retrieved else None,
        interior=options.interior,
    )


def drawn_leads(leads: int) -> NDArray[np.int64]:
    """Return the places of the leads whose spectra are drawn, of so many leads."""
    return np.unique(np.linspace(0, leads - 1, min(_DRAWN, leads)).round().astype(np.int64))


def suffix(*arguments: float | str) -> str:
    """Return what follows the name of a count: ``_0.5_9`` for a threshold of 0.5 and a window of 9."""
    return "".join(f"_{part}" if isinstance(part, str) else f"_{part:g}" for part in arguments)
