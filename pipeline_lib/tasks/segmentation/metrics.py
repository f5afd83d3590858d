"""Metrics of class maps: hard Dice, IoU and accuracy from confusion counts, over three samples of cells.

* without suffix: the sea cells of all dates;
* ``_all``: all cells of the maps, land being class 0, as in the published work;
* ``_patches``: the mean over the published random patch sets; ``_patches_sd``: their standard deviation (divisor:
  sets - 1), without an interval: a resample repeats dates, which spreads the sets further apart.

The counts of all dates are pooled before a metric is computed. A class that occurs neither in the labels nor in the
predictions has no Dice or IoU, and then the mean over classes is undefined as well.

References
----------
Lguensat et al. (2018), EddyNet, arXiv:1711.03954.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS, Counts, Direction, Metric, member, ratio
from pipeline_lib.tasks.segmentation.classes import CLASSES

Values = NDArray[np.float64]


def dice(confusion: Values) -> Values:
    """Return 2 |P and T| / (|P| + |T|) per class from confusion counts of shape (..., label, predicted)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return ratio(2 * hits, confusion.sum(axis=-1) + confusion.sum(axis=-2))


def iou(confusion: Values) -> Values:
    """Return |P and T| / |P or T| per class from confusion counts of shape (..., label, predicted)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return ratio(hits, confusion.sum(axis=-1) + confusion.sum(axis=-2) - hits)


def accuracy(confusion: Values) -> Values:
    """Return the share of cells with the right class."""
    return ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def accuracy_all_background(confusion: Values) -> Values:
    """Return the accuracy of a map without any eddy."""
    return ratio(confusion[..., 0, :].sum(axis=-1), confusion.sum(axis=(-2, -1)))


Formula = Literal["dice", "iou", "accuracy", "accuracy_all_background"]
_FORMULAS: dict[Formula, Callable[[Values], Values]] = {
    "dice": dice,
    "iou": iou,
    "accuracy": accuracy,
    "accuracy_all_background": accuracy_all_background,
}


_IN_TITLES = dict(zip(CLASSES, ("no eddy", "anticyclonic", "cyclonic"), strict=True))
"""What titles call the classes."""
_CELLS = {"all": "land included", "patches": "patches", "patches_sd": ""}
"""What titles call the samples of cells."""
_OF_CELLS = rf"(?P<sample>{'|'.join(_CELLS)})"
_OF_CLASS = rf"(?P<code>{'|'.join(CLASSES)})(?:_{_OF_CELLS})?"


class PixelMetric(Metric):
    """A function of confusion counts of shape (..., label, predicted)."""

    direction: ClassVar[Direction] = "higher"
    bounds = (0.0, 1.0)
    formula: ClassVar[Formula] = "dice"
    noun: ClassVar[str]
    """What titles call it within a sentence."""
    arguments: ClassVar[str] = _OF_CELLS
    """What follows in the names of members, as a pattern."""
    cells: ClassVar[str] = "confusion_sea"
    of_class: ClassVar[int | None] = None
    """The class whose value is taken from a formula with one value per class; ``None``: their mean."""

    @classmethod
    def member(cls, argument: str) -> type[Self]:
        """Return this metric of the class and the sample of cells that a name such as ``dice_cyclonic_all`` ends in.

        Raises
        ------
        ConfigError
            If there is no such class or sample.
        """
        found = re.fullmatch(cls.arguments, argument)
        if found is None:
            fix = "end the name in a class, a sample or both, as in dice_cyclonic, accuracy_all and dice_none_patches"
            raise ConfigError(f"{argument!r} is no class or sample of cells", fix=fix)
        asked = found.groupdict()
        code, sample = asked.get("code"), asked["sample"]
        spread = sample == "patches_sd"
        noun = f"spread of the {cls.noun} between patch sets" if spread else cls.noun
        words = [noun[0].upper() + noun[1:], _IN_TITLES.get(code or "", ""), _CELLS.get(sample or "", "")]
        attributes: dict[str, object] = {"of_class": CLASSES.index(code)} if code else {}
        if sample:
            attributes["cells"] = f"confusion_{sample.removesuffix('_sd')}"
        if spread:
            attributes |= {"direction": "none", "has_interval": False, "over_sets": staticmethod(_spread)}
        return member(cls, argument, title=f"{', '.join(filter(None, words))}.", **attributes)

    @staticmethod
    def over_sets(values: Values) -> Values:
        """Return one value of those of each patch set (resample, set)."""
        return np.asarray(values.mean(axis=1))

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        if cls.cells not in counts:
            raise ConfigError(
                f"{cls.__name__} needs the counts {cls.cells!r}, which were not made",
                where="scoring.metrics",
                fix="set scoring.patches.sets above 0 or leave the metric out",
            )
        confusion = counts[cls.cells]
        values = _FORMULAS[cls.formula](confusion)
        if values.ndim == confusion.ndim - 1:
            values = values.mean(axis=-1) if cls.of_class is None else values[..., cls.of_class]
        return cls.over_sets(values) if values.ndim > 1 else values


def _spread(values: Values) -> Values:
    """Return the standard deviation over patch sets, undefined for a single set."""
    if values.shape[1] < 2:
        return np.full(len(values), np.nan)
    return np.asarray(values.std(axis=1, ddof=1))


@METRICS.register("dice_*")
class Dice(PixelMetric):
    """Dice of a class."""

    noun = "Dice"
    arguments = _OF_CLASS


@METRICS.register("mean_dice")
@METRICS.register("mean_dice_*")
class MeanDice(PixelMetric):
    """Mean Dice."""

    noun = "mean Dice"


@METRICS.register("iou_*")
class Iou(PixelMetric):
    """IoU of a class."""

    formula = "iou"
    noun = "IoU"
    arguments = _OF_CLASS


@METRICS.register("mean_iou")
@METRICS.register("mean_iou_*")
class MeanIou(PixelMetric):
    """Mean IoU."""

    formula = "iou"
    noun = "mean IoU"


@METRICS.register("accuracy")
@METRICS.register("accuracy_*")
class Accuracy(PixelMetric):
    """Accuracy."""

    formula = "accuracy"
    noun = "accuracy"


@METRICS.register("accuracy_all_background")
class AccuracyAllBackground(PixelMetric):
    """Accuracy of an empty map."""

    direction = "none"
    formula = "accuracy_all_background"
