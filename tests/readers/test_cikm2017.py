"""CIKM 2017: lines of text to frames at four heights and the rain that followed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.readers.cikm2017 import Cikm2017
from tests.readers.layouts import cikm

SHAPE = (15, 4, 101, 101)
RNG = np.random.default_rng(0)
VALUES = [RNG.integers(-1, 256, SHAPE) for _ in range(2)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cikm")
    return cikm(folder / "train.txt", [("train_1", "13.4", VALUES[0]), ("train_2", "", VALUES[1])])


def test_frames_and_rain_of_each_sample(file: Path) -> None:
    Cikm2017.check(file, ["reflectivity_500m", "rain"])
    [ds] = Cikm2017.open([file]).values()
    stored = np.concatenate(VALUES)
    for place, height in enumerate((500, 1500, 2500, 3500)):
        expected = np.where(stored[:, place] < 0, np.nan, stored[:, place] * 95 / 255 - 10)
        np.testing.assert_allclose(ds[f"reflectivity_{height}m"], expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(ds.rain, [np.nan] * 14 + [13.4] + [np.nan] * 15)
    steps = np.diff(ds.time.values) / np.timedelta64(1, "m")
    np.testing.assert_array_equal(steps, [6] * 14 + [36] + [6] * 14)
    assert ds.time.values[15] == np.datetime64("2000-01-01T02:00")
    assert (float(ds.x[50]), float(ds.y[0]), float(ds.y[-1])) == (0.0, 50.0, -50.0)


def test_blocks_of_reading_and_the_last_line_break_change_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [whole] = Cikm2017.open([file]).values()
    monkeypatch.setattr("pipeline_lib.readers.cikm2017._READ_BYTES", 1_000_003)
    other = tmp_path / "train.txt"
    other.write_bytes(file.read_bytes().rstrip(b"\n"))
    [again] = Cikm2017.open([other]).values()
    np.testing.assert_array_equal(again.time, whole.time)
    np.testing.assert_array_equal(again.reflectivity_500m[29], whole.reflectivity_500m[29])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no sample"),
        ("train_1,3.0\n", "byte 0: is not <sample>,<rain>,<values>"),
        ("train_1,3.0,1 2 3\n", "train_1: has 3 values, not 612060"),
        ("train_1,3.0,1 x 3\n", "train_1: holds what is no number"),
        ("train_1,3.0," + "256 " * 612060, "train_1: holds values beyond -1"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "train.txt").write_text(text)
    with pytest.raises(DataError, match=told):
        Cikm2017.check(tmp_path / "train.txt", [])


@pytest.mark.parametrize("rain", ["-1.0", "much"])
def test_rain_that_cannot_be_is_refused(tmp_path: Path, rain: str) -> None:
    (tmp_path / "train.txt").write_text(f"train_1,{rain},1 2 3\n")
    with pytest.raises(DataError, match="train_1: rain is"):
        Cikm2017.open([tmp_path / "train.txt"])


def test_a_damaged_sample_in_the_middle_is_told_when_it_is_read(file: Path, tmp_path: Path) -> None:
    first, second = file.read_bytes().splitlines()
    damaged = tmp_path / "train.txt"
    damaged.write_bytes(b"\n".join([first, first[:1_000_000], second]))
    Cikm2017.check(damaged, [])
    [ds] = Cikm2017.open([damaged]).values()
    with pytest.raises(DataError, match="train_1: has"):
        ds.reflectivity_500m[15].load()


def test_two_files_and_unknown_variables_are_refused(file: Path) -> None:
    with pytest.raises(DataError, match="has 2 files"):
        Cikm2017.open([file, file])
    with pytest.raises(DataError, match="did you mean 'reflectivity_500m'"):
        Cikm2017.check(file, ["reflectivity_50m"])
