"""Confusion counts and pixel metrics against loops, hand-made numbers, a second library and invariants."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS
from pipeline_lib.tasks.segmentation.pixels import confusion, pair_codes, patch_confusion, patch_corner
from tests.tasks.metrics_of import segmentation_metrics

MAPS = st.tuples(
    arrays(np.int8, (6, 7), elements=st.integers(0, 2)), arrays(np.int8, (6, 7), elements=st.integers(0, 2))
)
PIXEL_METRICS = [
    "dice_none",
    "dice_anticyclonic",
    "dice_cyclonic",
    "mean_dice",
    "iou_none",
    "iou_anticyclonic",
    "iou_cyclonic",
    "mean_iou",
    "accuracy",
]


def metric(name: str, labels: np.ndarray, predicted: np.ndarray, cells: str = "confusion_sea") -> float:
    counts = confusion(pair_codes(labels, predicted)).astype(float)
    return float(METRICS.get(name).from_counts({cells: counts[None]})[0])


def looped_overlap(labels: np.ndarray, predicted: np.ndarray, code: int) -> tuple[int, int, int]:
    """Sizes of intersection, labels and prediction of one class, counted cell by cell."""
    both = ours = theirs = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            ours += predicted[y, x] == code
            theirs += labels[y, x] == code
            both += predicted[y, x] == code and labels[y, x] == code
    return both, theirs, ours


@given(MAPS)
def test_dice_and_iou_are_those_of_a_loop_over_cells(maps: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predicted = maps
    for code, suffix in enumerate(("none", "anticyclonic", "cyclonic")):
        both, theirs, ours = looped_overlap(labels, predicted, code)
        for name, top, bottom in (
            (f"dice_{suffix}", 2 * both, ours + theirs),
            (f"iou_{suffix}", both, ours + theirs - both),
        ):
            expected = top / bottom if bottom else np.nan
            np.testing.assert_equal(metric(name, labels, predicted), expected)


@given(MAPS)
def test_means_and_accuracy(maps: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predicted = maps
    for mean, parts in (
        ("mean_dice", ("dice_none", "dice_anticyclonic", "dice_cyclonic")),
        ("mean_iou", ("iou_none", "iou_anticyclonic", "iou_cyclonic")),
    ):
        expected = np.mean([metric(part, labels, predicted) for part in parts])
        np.testing.assert_allclose(metric(mean, labels, predicted), expected, rtol=1e-12)
    assert metric("accuracy", labels, predicted) == np.mean(labels == predicted)
    assert metric("accuracy_all_background", labels, predicted) == np.mean(labels == 0)
    assert metric("accuracy_all_background", labels, predicted) == metric("accuracy", labels, np.zeros_like(labels))


def test_the_scores_library_gives_the_same_f1_and_accuracy() -> None:
    from scores.categorical import BinaryContingencyManager

    generator = np.random.default_rng(3)
    labels, predicted = generator.integers(0, 3, (2, 40, 50))
    for code, name in enumerate(("none", "anticyclonic", "cyclonic")):
        table = BinaryContingencyManager(
            xr.DataArray((predicted == code).astype(float)), xr.DataArray((labels == code).astype(float))
        ).transform()
        assert metric(f"dice_{name}", labels, predicted) == pytest.approx(float(table.f1_score()), rel=1e-12)
        assert metric(f"iou_{name}", labels, predicted) == pytest.approx(
            float(table.critical_success_index()), rel=1e-12
        )


def test_scikit_image_counts_the_same_pairs() -> None:
    from skimage.metrics import contingency_table

    labels, predicted = np.random.default_rng(4).integers(0, 3, (2, 30, 31))
    expected = contingency_table(labels, predicted).toarray()
    np.testing.assert_array_equal(confusion(pair_codes(labels, predicted)), expected)


@given(MAPS, st.randoms(use_true_random=False))
def test_permuting_cells_changes_nothing_and_swapping_changes_no_overlap(
    maps: tuple[np.ndarray, np.ndarray], random: object
) -> None:
    labels, predicted = maps
    order = np.random.default_rng(random.randrange(2**32)).permutation(labels.size)  # type: ignore[attr-defined]
    for name in PIXEL_METRICS:
        value = metric(name, labels, predicted)
        shuffled = metric(name, labels.ravel()[order][None], predicted.ravel()[order][None])
        np.testing.assert_equal(shuffled, value)
        np.testing.assert_equal(metric(name, predicted, labels), value)


def test_perfect_and_worst() -> None:
    labels = np.array([[0, 1, 2], [0, 1, 2]])
    wrong = np.array([[1, 2, 0], [1, 2, 0]])
    for name in PIXEL_METRICS:
        assert metric(name, labels, labels) == 1.0
        assert metric(name, labels, wrong) == 0.0


def test_hand_made_numbers() -> None:
    labels = np.array([[0, 0, 1, 1], [2, 2, 0, 0]])
    predicted = np.array([[0, 1, 1, 1], [2, 0, 0, 0]])
    assert metric("dice_none", labels, predicted) == pytest.approx(2 * 3 / (4 + 4))
    assert metric("dice_anticyclonic", labels, predicted) == pytest.approx(2 * 2 / (2 + 3))
    assert metric("iou_cyclonic", labels, predicted) == pytest.approx(1 / 2)
    assert metric("accuracy", labels, predicted) == pytest.approx(6 / 8)


def test_a_class_that_never_occurs_is_undefined_neither_0_nor_1() -> None:
    labels = np.array([[0, 0, 1, 1]])
    assert np.isnan(metric("dice_cyclonic", labels, labels))
    assert np.isnan(metric("iou_cyclonic", labels, labels))
    assert np.isnan(metric("mean_dice", labels, labels))
    assert metric("dice_anticyclonic", labels, labels) == 1.0
    assert metric("dice_cyclonic", labels, np.array([[0, 2, 1, 1]])) == 0.0  # predicted, but never there


def test_no_cell_at_all_is_undefined() -> None:
    for name in (*PIXEL_METRICS, "accuracy_all_background"):
        assert np.isnan(METRICS.get(name).from_counts({"confusion_sea": np.zeros((1, 3, 3))})).all()


@given(
    rows=st.integers(4, 9),
    columns=st.integers(4, 12),
    w=st.integers(0, 9),
    day=st.integers(0, 400),
    size=st.integers(1, 4),
)
def test_patches_lie_inside_the_map(rows: int, columns: int, w: int, day: int, size: int) -> None:
    row, column = patch_corner((rows, columns), size, patch_set=w, day=day)
    assert 0 <= row <= rows - size
    assert 0 <= column <= columns - size


def test_patch_columns_follow_the_published_seeds() -> None:
    columns = {(w, d): patch_corner((128, 344), 128, patch_set=w, day=d) for w in range(50) for d in range(30)}
    assert {columns[0, d] for d in range(30)} == {columns[0, 0]}  # set 0: one seed for all dates
    assert all(row == 0 for row, _ in columns.values())  # the window is as high as the map
    assert len({columns[7, d] for d in range(30)}) > 20
    drawn = np.array([column for (w, _), (_, column) in columns.items() if w > 0])
    assert drawn.min() < 20
    assert drawn.max() > 344 - 128 - 20
    assert columns[3, 4][1] == np.random.default_rng(3 * (555 + 4)).integers(344 - 128 + 1)
    rows = {patch_corner((200, 344), 128, patch_set=1, day=d)[0] for d in range(30)}
    assert len(rows) > 10  # on higher maps the row is random too


@settings(max_examples=20)
@given(arrays(np.int8, (10, 20), elements=st.integers(0, 8)))
def test_patch_counts_are_those_of_cut_out_patches(codes: np.ndarray) -> None:
    counts = patch_confusion(codes.astype(np.int64), sets=5, size=8, day=3)
    for w in range(5):
        y, x = patch_corner((10, 20), 8, patch_set=w, day=3)
        patch = codes[y : y + 8, x : x + 8]
        for code in range(9):
            assert counts[w, code // 3, code % 3] == np.sum(patch == code)


def test_patch_metrics_are_mean_and_spread_over_sets() -> None:
    counts = np.random.default_rng(0).integers(1, 100, (1, 4, 3, 3)).astype(float)
    names = ("mean_dice", "dice_none", "dice_anticyclonic", "dice_cyclonic", "accuracy")
    for name in names:
        per_set = [float(METRICS.get(name).from_counts({"confusion_sea": counts[:, w]})[0]) for w in range(4)]
        mean = METRICS.get(f"{name}_patches").from_counts({"confusion_patches": counts})
        spread = METRICS.get(f"{name}_patches_sd").from_counts({"confusion_patches": counts})
        assert mean[0] == pytest.approx(np.mean(per_set), rel=1e-12)
        assert spread[0] == pytest.approx(np.std(per_set, ddof=1), rel=1e-9)
    assert np.isnan(METRICS.get("mean_dice_patches_sd").from_counts({"confusion_patches": counts[:, :1]})).all()


def test_a_metric_without_its_counts_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"confusion_patches.*patches\.sets"):
        METRICS.get("mean_dice_patches").from_counts({"confusion_sea": np.ones((1, 3, 3))})


def test_every_metric_keeps_the_contract() -> None:
    counts = {
        "confusion_sea": np.ones((2, 3, 3)),
        "confusion_all": np.ones((2, 3, 3)),
        "confusion_patches": np.ones((2, 5, 3, 3)),
        **{
            name: np.ones((2, 2))
            for name in [
                "objects_predicted",
                "objects_true",
                "objects_matched",
                "centre_error_m",
                "radius_error_m",
                "radius_difference_m",
            ]
        },
    }
    for name in segmentation_metrics():
        entry = METRICS.get(name)
        assert entry.from_counts(counts).shape == (2,), name
        assert entry.direction in {"higher", "lower", "zero", "none"}
        assert entry.unit in {"1", "km"}
        assert entry.bounds[0] < entry.bounds[1]
        assert entry.__doc__, name
        assert isinstance(entry.has_interval, bool)


@pytest.mark.parametrize(
    ("name", "title", "direction", "cells"),
    [
        ("dice_none", "Dice, no eddy.", "higher", "confusion_sea"),
        ("dice_anticyclonic_all", "Dice, anticyclonic, land included.", "higher", "confusion_all"),
        ("dice_cyclonic_patches", "Dice, cyclonic, patches.", "higher", "confusion_patches"),
        ("dice_none_patches_sd", "Spread of the Dice between patch sets, no eddy.", "none", "confusion_patches"),
        ("mean_dice", "Mean Dice.", "higher", "confusion_sea"),
        ("mean_dice_patches_sd", "Spread of the mean Dice between patch sets.", "none", "confusion_patches"),
        ("iou_cyclonic", "IoU, cyclonic.", "higher", "confusion_sea"),
        ("accuracy_all", "Accuracy, land included.", "higher", "confusion_all"),
        ("accuracy_patches", "Accuracy, patches.", "higher", "confusion_patches"),
        ("accuracy_patches_sd", "Spread of the accuracy between patch sets.", "none", "confusion_patches"),
        ("accuracy_all_background", "Accuracy of an empty map.", "none", "confusion_sea"),
    ],
)
def test_names_tell_class_and_cells(name: str, title: str, direction: str, cells: str) -> None:
    entry = METRICS.get(name)
    assert (entry.__doc__, entry.direction, entry.has_interval) == (title, direction, not name.endswith("_sd"))
    generator = np.random.default_rng(0)
    counts = {c: generator.integers(1, 99, (1, 3, 3)) for c in ("confusion_sea", "confusion_all")}
    counts["confusion_patches"] = generator.integers(1, 99, (1, 4, 3, 3))
    alone = entry.from_counts({cells: counts[cells]})
    assert alone == entry.from_counts(counts)


@pytest.mark.parametrize(
    "name", ["dice_eddy", "dice_", "dice_none_", "dice_none_sea", "mean_dice_none", "accuracy_", "object_f1_none"]
)
def test_names_that_mean_nothing_are_told(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown metric"):
        METRICS.get(name)
