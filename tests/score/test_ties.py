"""Ranks and ties."""

import numpy as np
import pytest

from pipeline_lib.score.ties import Standing, rank_groups

GENERATOR = np.random.default_rng(0)
SHARED = GENERATOR.standard_normal(2000)


def draws(value: float, own: float = 0.01, shared: float = 0.0) -> np.ndarray:
    return value + shared * SHARED + own * np.random.default_rng(int(1000 * value)).standard_normal(2000)


def ranks(values: dict[str, float], draws: dict[str, np.ndarray], direction: str = "higher") -> dict[str, int]:
    found = rank_groups(values, draws, direction=direction, confidence=0.95)  # type: ignore[arg-type]
    return {standing.model: standing.rank for standing in found}


def test_identical_competitors_tie() -> None:
    same = draws(0.7)
    found = rank_groups({"a": 0.7, "b": 0.7}, {"a": same, "b": same}, direction="higher", confidence=0.95)
    assert found == [Standing(name, 1, "a", *[0.0] * 6) for name in ("a", "b")]


def test_groups_count_those_before_them() -> None:
    values = {"a": 0.80, "b": 0.79, "c": 0.60, "d": 0.59, "e": 0.1}
    found = ranks(values, {name: draws(v, own=0.02) for name, v in values.items()})
    assert found == {"a": 1, "b": 1, "c": 3, "d": 3, "e": 5}


def test_pairing_separates_what_overlapping_intervals_do_not() -> None:
    """Both share the noise of the dates, far wider than their difference; the difference itself is sure."""
    values = {"a": 0.72, "b": 0.70}
    paired = {name: draws(v, own=0.001, shared=0.1) for name, v in values.items()}
    assert ranks(values, paired) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("direction", "order"), [("higher", ["c", "b", "a"]), ("lower", ["a", "b", "c"]), ("zero", ["b", "c", "a"])]
)
def test_directions(direction: str, order: list[str]) -> None:
    values = {"a": -3.0, "b": 0.1, "c": 2.0}
    made = {name: value + 0.01 * SHARED for name, value in values.items()}
    found = ranks(values, made, direction)
    assert list(found) == order
    assert list(found.values()) == [1, 2, 3]


def test_worse_by_is_a_distance_in_every_direction() -> None:
    values = {"a": 1.0, "b": 3.0}
    made = {name: value + np.zeros(2000) for name, value in values.items()}
    for direction in ("higher", "lower", "zero"):
        found = rank_groups(values, made, direction=direction, confidence=0.95)  # type: ignore[arg-type]
        assert [s.worse_by for s in found] == [0.0, 0.0]  # each leads its own group
        assert [s.rank for s in found] == [1, 2]
    made = {"a": 1.0 + 0.01 * SHARED, "b": 1.001 - 0.01 * SHARED}
    tied = rank_groups({"a": 1.0, "b": 1.001}, made, direction="lower", confidence=0.95)
    assert [s.model for s in tied] == ["a", "b"]
    assert tied[1].worse_by == pytest.approx(0.001)
    assert tied[1].ci_low == pytest.approx(0.001 - 2 * 0.01 * 1.96, abs=0.003)
    assert tied[1].ci_high == pytest.approx(0.001 + 2 * 0.01 * 1.96, abs=0.003)


def test_the_leader_of_a_later_group_is_compared_with_the_first_of_all() -> None:
    """Where its own group compares it with itself; the interval is that of the differences, draw by draw."""
    values = {"a": 0.8, "b": 0.6, "c": 0.59}
    made = {name: draws(v, own=0.02, shared=0.1) for name, v in values.items()}
    found = {s.model: s for s in rank_groups(values, made, direction="higher", confidence=0.9)}
    assert [found[name].leader for name in values] == ["a", "b", "b"]
    assert (found["b"].worse_by, found["b"].ci_low, found["b"].ci_high) == (0.0, 0.0, 0.0)
    assert (found["a"].behind, found["a"].behind_low, found["a"].behind_high) == (0.0, 0.0, 0.0)
    for name in ("b", "c"):
        low, high = np.quantile(made["a"] - made[name], [0.05, 0.95])
        expected = [values["a"] - values[name], low, high]
        assert [found[name].behind, found[name].behind_low, found[name].behind_high] == pytest.approx(expected)
        assert low > 0


def test_no_interval_separates_nobody() -> None:
    nothing = np.full(2000, np.nan)
    assert ranks({"a": 0.9, "b": 0.1}, {"a": nothing, "b": nothing}) == {"a": 1, "b": 1}


def test_without_a_value_or_a_direction_there_is_no_rank() -> None:
    made = {"a": draws(0.5), "b": np.full(2000, np.nan)}
    assert ranks({"a": 0.5, "b": np.nan}, made) == {"a": 1}
    assert ranks({"a": 0.5}, made, "none") == {}
