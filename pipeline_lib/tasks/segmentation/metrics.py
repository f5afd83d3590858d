"""Metrics of class maps: hard Dice, IoU and accuracy from confusion counts, over three samples of cells.

* without suffix: the sea cells of all dates;
* ``_all``: all cells of the maps, land being class 0, as in the published work;
* ``_patches``: the mean over the published random patch sets; ``_patches_sd``: their standard deviation.

The counts of all dates are pooled before a metric is computed. A class that occurs neither in the labels nor in the
predictions has no Dice or IoU, and then the mean over classes is undefined as well.

References
----------
Lguensat et al. (2018), EddyNet, arXiv:1711.03954.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS, Counts, Direction, ratio

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


class PixelMetric:
    """A function of confusion counts of shape (..., label, predicted)."""

    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    has_interval: ClassVar[bool] = True
    sampled_by: ClassVar[str | None] = None
    cells: ClassVar[str] = "confusion_sea"
    formula: ClassVar[Formula] = "dice"
    of_class: ClassVar[int | None] = None
    """The class whose value is taken from a formula with one value per class; ``None``: their mean."""

    @classmethod
    def values(cls, counts: Counts) -> Values:
        """Return one value per resample (and patch set)."""
        if cls.cells not in counts:
            raise ConfigError(
                f"{cls.__name__} needs the counts {cls.cells!r}, which were not made",
                where="scoring.metrics",
                fix="set scoring.patches.sets above 0 or leave the metric out",
            )
        confusion = counts[cls.cells]
        found = _FORMULAS[cls.formula](confusion)
        if found.ndim < confusion.ndim - 1:
            return found
        means: Values = found.mean(axis=-1) if cls.of_class is None else found[..., cls.of_class]
        return means

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return cls.values(counts)


class PatchMean(PixelMetric):
    """The mean of a pixel metric over the patch sets."""

    cells = "confusion_patches"

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        means: Values = cls.values(counts).mean(axis=1)
        return means


class PatchSpread(PatchMean):
    """The standard deviation of a pixel metric over the patch sets (divisor: sets - 1).

    It has no interval: a resample repeats dates, which spreads the sets further apart.
    """

    direction = "none"
    has_interval = False

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample; undefined for a single set."""
        values = cls.values(counts)
        if values.shape[1] < 2:
            return np.full(len(values), np.nan)
        spread: Values = values.std(axis=1, ddof=1)
        return spread


@METRICS.register("dice_none")
class DiceNone(PixelMetric):
    """Dice, no eddy."""

    of_class = 0


@METRICS.register("dice_anticyclonic")
class DiceAnticyclonic(PixelMetric):
    """Dice, anticyclonic."""

    of_class = 1


@METRICS.register("dice_cyclonic")
class DiceCyclonic(PixelMetric):
    """Dice, cyclonic."""

    of_class = 2


@METRICS.register("mean_dice")
class MeanDice(PixelMetric):
    """Mean Dice."""


@METRICS.register("iou_none")
class IouNone(PixelMetric):
    """IoU, no eddy."""

    formula = "iou"
    of_class = 0


@METRICS.register("iou_anticyclonic")
class IouAnticyclonic(PixelMetric):
    """IoU, anticyclonic."""

    formula = "iou"
    of_class = 1


@METRICS.register("iou_cyclonic")
class IouCyclonic(PixelMetric):
    """IoU, cyclonic."""

    formula = "iou"
    of_class = 2


@METRICS.register("mean_iou")
class MeanIou(PixelMetric):
    """Mean IoU."""

    formula = "iou"


@METRICS.register("accuracy")
class Accuracy(PixelMetric):
    """Accuracy."""

    formula = "accuracy"


@METRICS.register("accuracy_all_background")
class AccuracyAllBackground(PixelMetric):
    """Accuracy of an empty map."""

    direction = "none"
    formula = "accuracy_all_background"


@METRICS.register("dice_none_all")
class DiceNoneAll(DiceNone):
    """Dice, no eddy, land included."""

    cells = "confusion_all"


@METRICS.register("dice_anticyclonic_all")
class DiceAnticyclonicAll(DiceAnticyclonic):
    """Dice, anticyclonic, land included."""

    cells = "confusion_all"


@METRICS.register("dice_cyclonic_all")
class DiceCyclonicAll(DiceCyclonic):
    """Dice, cyclonic, land included."""

    cells = "confusion_all"


@METRICS.register("mean_dice_all")
class MeanDiceAll(MeanDice):
    """Mean Dice, land included."""

    cells = "confusion_all"


@METRICS.register("accuracy_all")
class AccuracyAll(Accuracy):
    """Accuracy, land included."""

    cells = "confusion_all"


@METRICS.register("dice_none_patches")
class DiceNonePatches(PatchMean, DiceNone):
    """Dice, no eddy, patches."""


@METRICS.register("dice_anticyclonic_patches")
class DiceAnticyclonicPatches(PatchMean, DiceAnticyclonic):
    """Dice, anticyclonic, patches."""


@METRICS.register("dice_cyclonic_patches")
class DiceCyclonicPatches(PatchMean, DiceCyclonic):
    """Dice, cyclonic, patches."""


@METRICS.register("mean_dice_patches")
class MeanDicePatches(PatchMean, MeanDice):
    """Mean Dice, patches."""


@METRICS.register("accuracy_patches")
class AccuracyPatches(PatchMean, Accuracy):
    """Accuracy, patches."""


@METRICS.register("dice_none_patches_sd")
class DiceNonePatchesSd(PatchSpread, DiceNone):
    """Spread of the Dice between patch sets, no eddy."""


@METRICS.register("dice_anticyclonic_patches_sd")
class DiceAnticyclonicPatchesSd(PatchSpread, DiceAnticyclonic):
    """Spread of the Dice between patch sets, anticyclonic."""


@METRICS.register("dice_cyclonic_patches_sd")
class DiceCyclonicPatchesSd(PatchSpread, DiceCyclonic):
    """Spread of the Dice between patch sets, cyclonic."""


@METRICS.register("mean_dice_patches_sd")
class MeanDicePatchesSd(PatchSpread, MeanDice):
    """Spread of the mean Dice between patch sets."""


@METRICS.register("accuracy_patches_sd")
class AccuracyPatchesSd(PatchSpread, Accuracy):
    """Spread of the accuracy between patch sets."""
