"""The leaderboard from counts: every number can be computed again, ties and invalid runs are shown as such."""

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import ScoreError
from pipeline_lib.metrics import METRICS
from pipeline_lib.score.leaderboard import PublishedNumber, leaderboard
from pipeline_lib.score.options import IntervalOptions
from pipeline_lib.tasks.segmentation.score import date_scores
from pipeline_lib.tasks.segmentation.scoring_options import DEFAULT_METRICS, PatchOptions, ScoringOptions
from tests.eddy_maps import label_maps, sea_of, spoilt
from tests.tasks.metrics_of import segmentation_metrics

OPTIONS = ScoringOptions(patches=PatchOptions(sets=5, size=16))
INTERVALS = IntervalOptions(block_days=5, resamples=500)
LABELS = label_maps(30)
SEA = sea_of(LABELS)


def counts(share: float, seed: int) -> xr.Dataset:
    return date_scores(spoilt(LABELS, share, seed=seed), LABELS, SEA, OPTIONS)


RUNS = {
    ("good", 0): counts(0.05, 1),
    ("good", 1): counts(0.05, 2),
    ("good", 2): counts(0.06, 3),
    ("twin", 0): counts(0.05, 1),
    ("bad", 0): counts(0.5, 4),
    ("bad", 1): counts(0.5, 5),
}


def board(runs: dict = RUNS, metrics: list[str] = DEFAULT_METRICS, **more: object):
    return leaderboard(runs, metrics=metrics, options=INTERVALS, **more)


def value_of(table: object, model: str, metric: str, column: str = "value") -> object:
    row = table[(table.model == model) & (table.metric == metric)]  # type: ignore[index]
    assert len(row) == 1
    return row[column].iloc[0]


def test_every_value_is_the_mean_over_seeds_of_the_metric_on_all_dates() -> None:
    names = segmentation_metrics()
    table = board(metrics=names).table
    for name in names:
        for model in ("good", "twin", "bad"):
            expected = np.mean(
                [
                    METRICS.get(name).from_counts({k: v.sum("time").values[None].astype(float) for k, v in c.items()})[
                        0
                    ]
                    for (m, _), c in RUNS.items()
                    if m == model
                ]
            )
            np.testing.assert_allclose(value_of(table, model, name), expected, rtol=1e-12)
    assert value_of(table, "good", "mean_dice", "seed_count") == 3
    assert set(table.n) == {30}


def test_dice_of_the_table_is_dice_of_the_maps() -> None:
    """From the maps to the table by another way: only NumPy on the whole stack of dates."""
    predicted, truth, sea = spoilt(LABELS, 0.05, seed=1).values, LABELS.values, SEA.values
    dice = [
        2
        * np.sum((predicted == c) & (truth == c) & sea)
        / (np.sum((predicted == c) & sea) + np.sum((truth == c) & sea))
        for c in range(3)
    ]
    table = board().table
    assert value_of(table, "twin", "mean_dice") == pytest.approx(np.mean(dice), rel=1e-12)
    assert value_of(table, "twin", "dice_cyclonic") == pytest.approx(dice[2], rel=1e-12)


def test_intervals_hold_the_value_and_stay_in_the_metric_s_range() -> None:
    table = board().table
    sure = table[table.ci_low.notna() & (table.metric != "centre_error_km")]
    assert (sure.ci_low <= sure.value).all()
    assert (sure.value <= sure.ci_high).all()
    for row in sure.itertuples():
        low, high = METRICS.get(str(row.metric)).bounds
        assert low <= row.ci_low <= row.ci_high <= high


def test_identical_runs_tie_and_a_clear_loser_does_not() -> None:
    ranking = board({("twin", 0): RUNS["twin", 0], ("same", 0): RUNS["twin", 0], ("bad", 0): RUNS["bad", 0]}).ranking
    dice = ranking[ranking.metric == "mean_dice"].set_index("model")
    assert dice["rank"].to_dict() == {"same": 1, "twin": 1, "bad": 3}
    assert dice.loc["twin", ["worse_by", "ci_low", "ci_high"]].tolist() == [0.0, 0.0, 0.0]
    bias = ranking[ranking.metric == "accuracy_all_background"]
    assert bias.empty  # ranks nobody


def test_two_alone_differ_as_they_do_among_all() -> None:
    """The resamples and the seeds' part are those of the dates and of a model, whoever else competes."""
    among_all = board(metrics=["mean_dice"]).ranking.set_index("model")
    alone = board({run: c for run, c in RUNS.items() if run[0] != "good"}, ["mean_dice"]).ranking.set_index("model")
    first = alone.index[0]
    assert among_all.index[0] == first == "twin"
    columns = ["behind", "behind_low", "behind_high"]
    assert alone.loc["bad", columns].tolist() == among_all.loc["bad", columns].tolist()
    assert 0 < alone.loc["bad", "behind_low"] < alone.loc["bad", "behind"] < alone.loc["bad", "behind_high"]


def test_what_seeds_do_to_both_alike_is_no_part_of_a_difference() -> None:
    """Two of the same three networks tie without any width; on other seeds, nobody knows what they share."""
    good = [RUNS["good", seed] for seed in range(3)]
    same = {(name, seed): found for name in ("one", "other") for seed, found in enumerate(good)}
    assert board(same, ["mean_dice"]).ranking["behind_high"].tolist() == [0.0, 0.0]
    apart = {(name, seed + 3 * (name == "other")): found for (name, seed), found in same.items()}
    assert board(apart, ["mean_dice"]).ranking["behind_high"].max() > 0.001


def test_rows_go_by_metric_and_then_best_first() -> None:
    table = board().table
    assert list(dict.fromkeys(table.metric)) == DEFAULT_METRICS
    assert table[table.metric == "mean_dice"].model.iloc[-1] == "bad"


def test_an_invalid_run_makes_its_model_invalid_and_gives_no_number() -> None:
    table = board(invalid={"good": "values are missing"}).table
    rows = table[table.model == "good"]
    assert set(rows.status) == {"invalid"}
    assert rows[["value", "ci_low", "ci_high"]].isna().all(axis=None)
    assert set(rows.n) == {0}
    assert set(table[table.model == "twin"].status) == {"ok"}


def test_undefined_is_neither_0_nor_1() -> None:
    nothing = LABELS.copy(data=np.zeros_like(LABELS.values))
    empty = {("none", 0): date_scores(nothing, nothing, SEA, OPTIONS)}
    table = board(empty).table
    for name in ("dice_cyclonic", "mean_dice", "object_recall", "object_f1", "centre_error_km"):
        assert value_of(table, "none", name, "status") == "undefined"
        assert np.isnan(value_of(table, "none", name))
        assert np.isnan(value_of(table, "none", name, "ci_low"))
    assert value_of(table, "none", "dice_none") == 1.0


def test_adding_a_competitor_changes_no_other_row() -> None:
    alone = board({key: run for key, run in RUNS.items() if key[0] != "bad"}).table
    together = board().table
    shared = together[together.model != "bad"].reset_index(drop=True)
    assert alone.equals(shared)


def test_the_order_of_runs_does_not_matter() -> None:
    assert board(dict(reversed(RUNS.items()))).table.equals(board().table)


def test_published_numbers_stand_beside() -> None:
    published = {"good": {"mean_dice": PublishedNumber(0.772, False), "accuracy": PublishedNumber(0.886, True)}}
    table = board(published=published).table
    assert value_of(table, "good", "mean_dice", "published") == 0.772
    assert value_of(table, "good", "mean_dice", "comparable") == "no"
    assert value_of(table, "good", "accuracy", "comparable") == "yes"
    assert np.isnan(value_of(table, "bad", "mean_dice", "published"))
    assert value_of(table, "bad", "mean_dice", "comparable") == ""


def test_few_dates_give_values_without_intervals_and_ties() -> None:
    short = {key: run.isel(time=slice(0, 6)) for key, run in RUNS.items()}
    found = board(short)
    assert found.blocks == pytest.approx(1.2)
    assert found.table.value.notna().any()
    assert found.table.ci_low.isna().all()
    assert set(found.ranking["rank"]) == {1}


def free_runs(valid: list[float], dates: int) -> xr.Dataset:
    """Counts of runs that follow the truth for so many steps, evenly spread over the dates."""
    starts = np.arange(len(valid)) * (dates // len(valid))
    counts = {name: np.zeros(dates) for name in ("runs", "steps_valid")}
    counts["runs"][starts], counts["steps_valid"][starts] = 1, valid
    times = np.datetime64("2000-01-01", "ns") + np.arange(dates) * np.timedelta64(1, "D")
    return xr.Dataset({name: ("time", values) for name, values in counts.items()}, {"time": times})


def test_a_few_runs_give_the_spread_between_seeds_and_no_more() -> None:
    few = {
        ("a", 0): free_runs([5, 9], 100),
        ("b", 0): free_runs([50, 30], 100),
        ("b", 1): free_runs([52, 31], 100),
        ("b", 2): free_runs([50, 33], 100),
    }
    table = board(few, metrics=["valid_steps"]).table
    assert value_of(table, "a", "valid_steps") == 7
    assert np.isnan(value_of(table, "a", "valid_steps", "ci_low"))
    values = np.array([40, 41.5, 41.5])
    reach = 4.303 * values.std(ddof=1) / np.sqrt(3)  # quantile of Student's distribution with two degrees of freedom
    assert value_of(table, "b", "valid_steps", "ci_low") == pytest.approx(values.mean() - reach, abs=0.25 * reach)
    assert value_of(table, "b", "valid_steps", "ci_high") == pytest.approx(values.mean() + reach, abs=0.25 * reach)
    many = {(model, 0): free_runs([5.0, 9, 6, 8, 4, 9, 7, 3], 100) for model in "ab"}
    assert np.isfinite(value_of(board(many, metrics=["valid_steps"]).table, "a", "valid_steps", "ci_low"))


def test_other_dates_are_refused() -> None:
    with pytest.raises(ScoreError, match="bad: has other dates"):
        board(RUNS | {("bad", 0): RUNS["bad", 0].isel(time=slice(1, None))})
    with pytest.raises(ScoreError, match="no run is valid"):
        board({}, invalid={"good": "all is missing"})
