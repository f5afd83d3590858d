"""Objects, matching and distances against a second library, brute force and discs of known size."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from pipeline_lib.errors import DataError
from pipeline_lib.metrics import METRICS
from pipeline_lib.tasks.segmentation.objects import (
    EARTH_RADIUS_M,
    OBJECT_COUNTS,
    Grid,
    Objects,
    distance_m,
    find_objects,
    match,
    object_counts,
)
from pipeline_lib.tasks.segmentation.scoring_options import ObjectOptions
from tests.tasks.metrics_of import segmentation_metrics

LATITUDE = np.arange(30.0, 46.0, 0.125)
LONGITUDE = np.arange(-6.0, 10.0, 0.125)
GRID = Grid.of(LATITUDE, LONGITUDE)
OPTIONS = ObjectOptions()
SMALL = arrays(np.int8, (9, 9), elements=st.integers(0, 2))


def disc(lat: float, lon: float, radius_km: float, code: int = 1) -> np.ndarray:
    """Class map with a disc on the sphere."""
    a, b = np.radians(LATITUDE)[:, None], np.radians(lat)
    cosine = np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(np.radians(LONGITUDE - lon))[None, :]
    return np.where(np.arccos(np.clip(cosine, -1, 1)) * EARTH_RADIUS_M / 1000 < radius_km, code, 0)


def metrics(labels: np.ndarray, predicted: np.ndarray, grid: Grid = GRID, options: ObjectOptions = OPTIONS) -> dict:
    counts = dict(
        zip(OBJECT_COUNTS, object_counts(labels, predicted, grid, options).astype(float)[:, None], strict=True)
    )
    names = [name for name in segmentation_metrics() if "object" in name or name.endswith("_km")]
    return {name: float(METRICS.get(name).from_counts(counts)[0]) for name in names}


@given(SMALL, st.sampled_from([4, 8]))
def test_components_are_those_of_scikit_image(classes: np.ndarray, connectivity: int) -> None:
    from skimage.measure import label

    ours = find_objects(classes, ObjectOptions(connectivity=connectivity), periodic=False)  # type: ignore[arg-type]
    theirs = label(classes, background=0, connectivity=1 if connectivity == 4 else 2)
    pairs = set(zip(ours.cells.ravel().tolist(), theirs.ravel().tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert ours.size.sum() == np.sum(classes > 0)
    for i, polarity in enumerate(ours.polarity):
        assert set(classes[ours.cells == i + 1].tolist()) == {int(polarity)}
        assert ours.size[i] == np.sum(ours.cells == i + 1)


@given(SMALL, st.integers(0, 8), st.sampled_from([4, 8]))
def test_on_a_globe_a_shift_in_longitude_changes_nothing(classes: np.ndarray, shift: int, connectivity: int) -> None:
    options = ObjectOptions(connectivity=connectivity)  # type: ignore[arg-type]
    grid = Grid.of(np.linspace(-40, 40, 9), np.arange(-180.0, 180.0, 40.0))
    assert grid.periodic
    labels = np.roll(classes, 1, axis=0)
    here = object_counts(labels, classes, grid, options)
    there = object_counts(np.roll(labels, shift, axis=1), np.roll(classes, shift, axis=1), grid, options)
    np.testing.assert_array_equal(here[:3], there[:3])
    np.testing.assert_allclose(here[3:], there[3:], atol=1)  # sums are rounded to metres


def test_a_region_is_not_a_globe() -> None:
    assert not GRID.periodic
    assert Grid.of(LATITUDE, np.arange(-180.0, 180.0, 0.25)).periodic


def test_small_objects_are_left_out_on_both_sides() -> None:
    classes = np.zeros((6, 6), dtype=int)
    classes[0, 0], classes[3:5, 3:5] = 2, 1
    found = find_objects(classes, ObjectOptions(min_cells=2), periodic=False)
    assert (found.size.tolist(), found.polarity.tolist()) == ([4], [1])
    assert set(found.cells.ravel().tolist()) == {0, 1}


def most_matches(predicted: Objects, true: Objects, min_iou: float) -> int:
    """The largest number of pairs, over all one-to-one choices."""
    edges = [
        (p, t)
        for p, t in itertools.product(range(predicted.size.size), range(true.size.size))
        if predicted.polarity[p] == true.polarity[t]
        and np.sum((predicted.cells == p + 1) & (true.cells == t + 1))
        >= min_iou * np.sum((predicted.cells == p + 1) | (true.cells == t + 1))
    ]

    if not edges:
        return 0
    graph = csr_array((np.ones(len(edges)), tuple(zip(*edges, strict=True))), (predicted.size.size, true.size.size))
    return int(np.sum(maximum_bipartite_matching(graph) >= 0))


@settings(max_examples=200)
@given(SMALL, SMALL, st.sampled_from([0.5, 0.6, 1.0]), st.booleans())
def test_matching_finds_as_many_pairs_as_the_best_choice(
    a: np.ndarray, b: np.ndarray, min_iou: float, similar: bool
) -> None:
    if similar:  # independent maps rarely match: take most cells from the other
        b = np.where(np.random.default_rng(int(a.sum())).random(a.shape) < 0.8, a, b)
    ours, truth = (find_objects(m, OPTIONS, periodic=False) for m in (a, b))
    pairs = match(ours, truth, min_iou=min_iou)
    assert len(set(pairs.predicted.tolist())) == len(set(pairs.true.tolist())) == pairs.true.size
    assert pairs.true.size == most_matches(ours, truth, min_iou)


def test_one_eddy_cut_into_halves_matches_once() -> None:
    whole = find_objects(np.array([[1, 1, 1, 1]]), OPTIONS, periodic=False)
    halves = Objects(np.array([[1, 1, 2, 2]]), np.array([1, 1]), np.array([2, 2]))
    assert match(halves, whole, min_iou=0.5).predicted.tolist() == [0]
    assert match(whole, halves, min_iou=0.5).true.tolist() == [0]


def test_polarities_do_not_match() -> None:
    found = metrics(disc(38, 2, 60, 1), disc(38, 2, 60, 2))
    assert found["object_f1"] == 0.0
    assert np.isnan(found["centre_error_km"])


def test_perfect_map() -> None:
    labels = disc(38, 2, 60) + disc(34, 7, 40, 2)
    found = metrics(labels, labels)
    assert found["object_precision"] == found["object_recall"] == found["object_f1"] == 1.0
    assert found["object_f1_anticyclonic"] == found["object_f1_cyclonic"] == 1.0
    assert found["centre_error_km"] == found["radius_bias_km"] == found["radius_error_km"] == 0.0


def test_no_eddy_is_undefined_and_false_alarms_are_not() -> None:
    empty, some = np.zeros(GRID.area.shape, dtype=int), disc(38, 2, 60)
    assert all(np.isnan(v) for v in metrics(empty, empty).values())
    alarms = metrics(empty, some)
    assert (alarms["object_precision"], alarms["object_f1"]) == (0.0, 0.0)
    assert np.isnan(alarms["object_recall"])
    missed = metrics(some, empty)
    assert (missed["object_recall"], missed["object_f1"]) == (0.0, 0.0)
    assert np.isnan(missed["object_precision"])


@pytest.mark.parametrize("lat", [33.0, 38.0, 43.0])
def test_radius_and_centre_of_a_disc(lat: float) -> None:
    found = find_objects(disc(lat, 2.03, 80.0), OPTIONS, periodic=False)
    assert found.radius_m(GRID)[0] == pytest.approx(80e3, rel=0.01)
    centre = found.centre(GRID)[0]
    assert np.degrees(np.arcsin(centre[2])) == pytest.approx(lat, abs=0.02)
    assert np.degrees(np.arctan2(centre[1], centre[0])) == pytest.approx(2.03, abs=0.02)


def test_moved_and_grown_discs() -> None:
    moved = metrics(disc(38, 2, 80), disc(38.25, 2, 80))
    assert moved["centre_error_km"] == pytest.approx(0.25 * 2 * np.pi * EARTH_RADIUS_M / 360e3, rel=0.05)
    grown = metrics(disc(38, 2, 80), disc(38, 2, 95))
    assert grown["radius_bias_km"] == pytest.approx(15, rel=0.05)
    shrunk = metrics(disc(38, 2, 95), disc(38, 2, 80))
    assert shrunk["radius_bias_km"] == pytest.approx(-grown["radius_bias_km"], abs=1e-3)
    assert shrunk["radius_error_km"] == pytest.approx(grown["radius_error_km"], abs=1e-3)


@given(
    *(st.floats(-89, 89) for _ in range(2)),
    *(st.floats(-180, 179) for _ in range(2)),
)
def test_distance_is_that_of_the_haversine(lat1: float, lat2: float, lon1: float, lon2: float) -> None:
    def unit(lat: float, lon: float) -> np.ndarray:
        a, b = np.radians(lat), np.radians(lon)
        return np.array([[np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)]])

    a, b, d = np.radians(lat1), np.radians(lat2), np.radians(lon2 - lon1)
    h = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(d / 2) ** 2
    expected = 2 * EARTH_RADIUS_M * np.arcsin(min(1.0, np.sqrt(h)))
    assert distance_m(unit(lat1, lon1), unit(lat2, lon2))[0] == pytest.approx(expected, rel=1e-6, abs=0.2)


def test_cell_areas_add_up_to_the_sphere() -> None:
    grid = Grid.of(np.arange(-89.5, 90.0), np.arange(-180.0, 180.0))
    assert grid.area.sum() == pytest.approx(4 * np.pi * EARTH_RADIUS_M**2, rel=1e-4)


def test_a_line_of_cells_is_refused() -> None:
    with pytest.raises(DataError, match="1 x 3"):
        Grid.of(np.array([30.0]), np.array([1.0, 2.0, 3.0]))
