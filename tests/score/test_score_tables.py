"""Leaderboard, ranking and counts as files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from pipeline_lib.errors import StoreError
from pipeline_lib.io.counts_table import read_counts, write_counts
from pipeline_lib.score.tables import (
    COLUMNS,
    RANKING_COLUMNS,
    leaderboard_csv,
    ranking_csv,
    read_leaderboard,
    read_ranking,
)

BOARD = pd.DataFrame(
    [
        ("unet", 3, "mean_dice", 0.75, 0.7, 0.8, 25, 0.772, "no", "ok"),
        ("okubo, weiss", 1, "radius_bias_km", -1e-12, -2.5, 3.0, 25, np.nan, "", "ok"),
        ("none", 1, "dice_cyclonic", np.nan, np.nan, np.nan, 25, np.nan, "", "undefined"),
        ("broken", 0, "mean_dice", np.nan, np.nan, np.nan, 0, np.nan, "", "invalid"),
    ],
    columns=[*COLUMNS, "status"],
)


def test_the_leaderboard_s_text_is_fixed() -> None:
    assert leaderboard_csv(BOARD) == (
        "model,seed_count,metric,value,ci_low,ci_high,n,published,comparable\n"
        "unet,3,mean_dice,0.750000,0.700000,0.800000,25,0.772000,no\n"
        '"okubo, weiss",1,radius_bias_km,-1e-12,-2.500000,3.000000,25,,\n'
        "none,1,dice_cyclonic,undefined,,,25,,\n"
        "broken,0,mean_dice,invalid,,,0,,\n"
    )


def test_the_leaderboard_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "leaderboard.csv"
    file.write_text(leaderboard_csv(BOARD))
    read = read_leaderboard(file)
    pd.testing.assert_frame_equal(read, BOARD, check_exact=False, atol=1e-6, check_dtype=False)
    assert leaderboard_csv(read) == file.read_text()


def test_the_ranking_comes_back(tmp_path: Path) -> None:
    ranking = pd.DataFrame(
        [
            ("mean_dice", 1, "a", "a", *[0.0] * 6),
            ("mean_dice", 1, "b", "a", *[0.125, np.nan, np.nan] * 2),
            ("mean_dice", 3, "c", "c", *[0.0] * 3, 0.25, 0.2, 0.3),
        ],
        columns=list(RANKING_COLUMNS),
    )
    file = tmp_path / "ranking.csv"
    file.write_text(ranking_csv(ranking))
    pd.testing.assert_frame_equal(read_ranking(file), ranking, check_dtype=False)


def test_an_empty_ranking_keeps_its_columns(tmp_path: Path) -> None:
    file = tmp_path / "ranking.csv"
    file.write_text(ranking_csv(pd.DataFrame(columns=list(RANKING_COLUMNS))))
    assert read_ranking(file).empty


@pytest.mark.parametrize("text", ["", "model,value\na,1\n", ",".join(COLUMNS) + "\na,many,m,1,1,1,1,1,no\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "leaderboard.csv"
    file.write_text(text)
    with pytest.raises(StoreError, match=r"leaderboard\.csv"):
        read_leaderboard(file)


def test_a_ranking_without_the_differences_to_the_first_is_to_be_made_again(tmp_path: Path) -> None:
    file = tmp_path / "ranking.csv"
    file.write_text("metric,rank,model,leader,worse_by,ci_low,ci_high\nmean_dice,1,a,a,0.0,0.0,0.0\n")
    with pytest.raises(StoreError, match=r"behind.*run the leaderboard stage again"):
        read_ranking(file)


def test_counts_come_back_to_the_digit(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    times = np.datetime64("2005-06-01", "ns") + np.arange(4) * np.timedelta64(1, "D")
    counts = xr.Dataset(
        {
            "pairs": (("time", "label", "predicted"), generator.integers(0, 2**40, (4, 3, 3))),
            "patches": (("time", "patch_set", "label"), generator.integers(0, 9, (4, 5, 3))),
            "matches": (("time",), generator.integers(-5, 9, 4)),
        },
        {"time": times, "label": [0, 1, 2], "predicted": [0, 1, 2], "patch_set": range(5)},
    )
    file = tmp_path / "counts.parquet"
    write_counts(counts, file)
    first = file.read_bytes()
    back = read_counts(file)
    for name, variable in counts.items():
        assert back[name].dims == variable.dims
        np.testing.assert_array_equal(back[name].values, variable.values)
        assert back[name].dtype.kind == "i"
    np.testing.assert_array_equal(back.time.values, times)
    write_counts(counts, file)
    assert file.read_bytes() == first


def test_a_damaged_table_of_counts_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "counts.parquet"
    for content in (b"", b"PAR1 nonsense"):
        file.write_bytes(content)
        with pytest.raises(StoreError, match=r"counts\.parquet"):
            read_counts(file)
    pd.DataFrame({"a": [1]}).to_parquet(file)
    with pytest.raises(StoreError, match=r"counts\.parquet"):
        read_counts(file)
