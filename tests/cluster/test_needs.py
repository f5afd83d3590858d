"""What jobs ask a cluster for: more at each attempt, more for larger periods, and always a number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline_lib.cluster.needs import NEEDS, memory_mb, minutes

ROOT = Path(__file__).parents[2]
SNAKEMAKE_MB = 400
"""Below this a job is killed before its stage begins."""


def dataset(folder: Path, period: str, *, times: int, shape: tuple[int, int], form: str = "maps") -> str:
    path = folder / f"{period}.json"
    path.write_text(json.dumps({"content": {"period": period, "times": times, "shape": shape, "form": form}}))
    return str(path)


@pytest.mark.parametrize("stage", NEEDS)
def test_each_attempt_asks_for_as_much_again(stage):
    for measure in (memory_mb, minutes):
        first = measure(stage)
        assert [measure(stage, attempt=n) for n in (2, 3)] == [2 * first, 3 * first]
    assert memory_mb(stage) >= SNAKEMAKE_MB


@pytest.mark.parametrize("stage", [name for name, need in NEEDS.items() if need.memory_growth])
def test_larger_periods_ask_for_more(stage, tmp_path):
    small = dataset(tmp_path, "2005-04", times=30, shape=(100, 200))
    large = dataset(tmp_path, "2005-05", times=31, shape=(1440, 2880))
    assert memory_mb(stage) < memory_mb(stage, [small]) < memory_mb(stage, [large]) < memory_mb(stage, [small, large])


def test_a_longer_record_of_frames_asks_for_no_more_but_larger_frames_do(tmp_path):
    floor = memory_mb("train")
    months = [dataset(tmp_path, f"2016-0{i}", times=8928, shape=(480, 480), form="frames") for i in (1, 2, 3)]
    asked = memory_mb("train", months)
    assert asked == memory_mb("train", months[:1]) == floor + round(8 * 200 * 480 * 480 * 4 / 1e6)
    small = dataset(tmp_path, "2016-04", times=8928, shape=(64, 64), form="frames")
    few = dataset(tmp_path, "2016-05", times=20, shape=(64, 64), form="frames")
    assert floor < memory_mb("train", [few]) < memory_mb("train", [small]) < asked
    assert memory_mb("train", [dataset(tmp_path, "2016-06", times=0, shape=(64, 64), form="frames")]) == floor


def test_a_period_that_is_not_made_yet_or_not_readable_counts_nothing(tmp_path):
    broken = tmp_path / "2005-06.json"
    broken.write_text("{")
    assert memory_mb("train", [str(tmp_path / "2005-04.json"), str(broken)]) == memory_mb("train")


def test_a_period_that_was_made_again_is_read_again(tmp_path):
    before = memory_mb("train", [dataset(tmp_path, "2005-04", times=30, shape=(1440, 2880))])
    (tmp_path / "2005-04.json").unlink()
    assert memory_mb("train", [dataset(tmp_path, "2005-04", times=15, shape=(1440, 2880))]) < before


def test_every_rule_with_a_command_asks(tmp_path):
    text = "".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    assert {f'needs("{stage}"' in text for stage in NEEDS} == {True}
