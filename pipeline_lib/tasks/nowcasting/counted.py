"""What must be counted for the metrics that an experiment asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline_lib.metrics import METRICS
from pipeline_lib.skill.regimes import Regime

BALANCED, ENTROPY, EVENTS, FRACTIONS, PARTED = "balanced", "entropy", "events", "fractions", "parted"
TEMPERATURE, RETRIEVED = "temperature", "retrieved"
"""Parts of the counts that only some metrics need. Errors, products and spectra are always counted."""


@dataclass(frozen=True)
class Counted:
    """What is counted besides errors, products and spectra.

    Attributes
    ----------
    balanced, entropy
        Whether errors with the weights of rain rates, and the cross entropy, are.
    thresholds
        Events "at or above": in mm/h where the frames have a relation to rain rate, else in their own values.
    fractions
        Threshold and window, in cells, of neighbourhoods.
    parted
        Threshold and regime of events that are counted in the cells of that regime alone.
    temperature
        Whether squared errors in kelvin are.
    retrieved
        Whether what is retrieved from the frames is scored, and at which thresholds [mm/h]; ``None`` if not.
    """

    balanced: bool
    entropy: bool
    thresholds: tuple[float, ...]
    fractions: tuple[tuple[float, int], ...]
    parted: tuple[tuple[float, Regime], ...]
    temperature: bool
    retrieved: tuple[float, ...] | None

    def to_plain(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {
            "balanced": self.balanced,
            "entropy": self.entropy,
            "thresholds": list(self.thresholds),
            "fractions": [list(pair) for pair in self.fractions],
            "parted": [list(pair) for pair in self.parted],
            "temperature": self.temperature,
            "retrieved": None if self.retrieved is None else list(self.retrieved),
        }


def counted_by(metrics: Iterable[str]) -> Counted:
    """Return what must be counted for some metrics.

    Raises
    ------
    ConfigError
        If there is no such metric.
    """
    parts: set[tuple[Any, ...]] = {getattr(METRICS.get(name), "part", ("",)) for name in metrics}
    retrieved = [part[1:] for part in parts if part[0] == RETRIEVED]
    return Counted(
        balanced=(BALANCED,) in parts,
        entropy=(ENTROPY,) in parts,
        thresholds=tuple(sorted(part[1] for part in parts if part[0] == EVENTS)),
        fractions=tuple(sorted((part[1], part[2]) for part in parts if part[0] == FRACTIONS)),
        parted=tuple(sorted((part[1], part[2]) for part in parts if part[0] == PARTED)),
        temperature=(TEMPERATURE,) in parts,
        retrieved=tuple(sorted(threshold for part in retrieved for threshold in part)) if retrieved else None,
    )


def suffix(*arguments: float | str) -> str:
    """Return what follows the name of a count: ``_0.5_9`` for a threshold of 0.5 and a window of 9."""
    return "".join(f"_{part}" if isinstance(part, str) else f"_{part:g}" for part in arguments)
