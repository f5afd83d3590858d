"""The leaderboard figure: the metric that ranks is always there, then those that can be compared with a paper."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline_lib.report.board import Board, Cell
from pipeline_lib.report.context import Competitor, MetricInfo
from pipeline_lib.report.figures.leaderboard import draw_leaderboard

DICE = ["mean_dice", "dice_none", "dice_anticyclonic", "dice_cyclonic", "mean_iou", "object_f1", "mean_dice_patches"]
CLASSES = ("mean_dice", "dice_anticyclonic", "dice_cyclonic", "object_f1")
LEADS = ("explained_variance_1", "explained_variance_28", "rmse_28")


def drawn(metrics: list[str], chosen: tuple[str, ...], published: set[str], undefined: set[str]) -> list[str]:
    rows = [
        {
            "value": "undefined" if name in undefined else "0.5",
            "published": "0.6" if name in published else "",
            "ci_low": "",
            "ci_high": "",
        }
        for name in metrics
    ]
    board = Board(tuple(Cell("a", name, row) for name, row in zip(metrics, rows, strict=True)))
    told = SimpleNamespace(
        board=board, valid=[Competitor("a", "A", "k", (), {})], metrics={name: MetricInfo(name) for name in metrics}
    )
    return [ax.get_title().replace("\n", "") for ax in draw_leaderboard(told, metrics=chosen).figure.axes]


@pytest.mark.parametrize(
    ("metrics", "chosen", "published", "undefined", "shown"),
    [
        # The metric that ranks is no choice of the task, and the papers' numbers are at other leads.
        (
            ["rmse_1", "rmse_4", "rmse_8", "rmse_28", "valid_steps"],
            LEADS,
            {"rmse_1", "rmse_4", "rmse_8"},
            set(),
            ["rmse_1", "rmse_4", "rmse_8", "rmse_28"],
        ),
        (["rmse_8", "rmse_1", "explained_variance_1"], LEADS, set(), set(), ["rmse_8", "explained_variance_1"]),
        # Of many published numbers the choice of the task comes first, and has a place besides.
        (DICE, CLASSES, set(DICE) - {"mean_iou", "object_f1"}, set(), list(CLASSES)),
        (DICE, CLASSES, set(), set(), list(CLASSES)),
        (DICE, (), set(), set(), DICE[:4]),
        (["nrmse_1", "nrmse_4"], LEADS, set(), set(), ["nrmse_1", "nrmse_4"]),
        (["rmse_1", "rmse_4", "rmse_28"], LEADS, {"rmse_4"}, {"rmse_1"}, ["rmse_4", "rmse_28"]),
    ],
)
def test_the_metric_that_ranks_is_drawn_then_published_ones_and_the_choice_of_the_task(
    metrics, chosen, published, undefined, shown
):
    assert drawn(metrics, chosen, published, undefined) == shown


def test_a_name_of_one_long_word_leaves_a_figure():
    told = SimpleNamespace(
        board=Board((Cell("a", "rmse_1", {"value": "0.5", "published": "", "ci_low": "", "ci_high": ""}),)),
        valid=[Competitor("a", "x" * 120, "k", (), {})],
        metrics={"rmse_1": MetricInfo("rmse_1")},
    )
    assert draw_leaderboard(told).figure.axes
