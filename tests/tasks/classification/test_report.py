"""Figures of the report: error rates by depth and size, and the images that most runs got wrong."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.report.context import Competitor, Run
from pipeline_lib.tasks.classification.report import draw_errors, draw_examples
from pipeline_lib.tasks.classification.score import score_stores
from tests.tasks.classification.stores import stores


def competitor(block: str, blocks: int, wrong: list[int], normalisation: str = "group") -> Competitor:
    """One run for each number of wrong answers in a hundred."""
    manifest = SimpleNamespace(
        options={"model_options": {"block": block, "blocks": blocks, "normalisation": normalisation}},
        content={"spec": {"parameters": 1000 * blocks}},
    )
    counts = [
        xr.Dataset({"images": ("time", np.ones(100)), "wrong": ("time", np.arange(100) < number)}) for number in wrong
    ]
    runs = tuple(Run(seed=i, model=manifest, counts=found) for i, found in enumerate(counts))
    return Competitor(name=f"{block}_{blocks}", title=block, colour="#000000", runs=runs, card={})


def test_each_kind_is_a_line_over_depth_and_over_size_through_the_means_of_its_seeds():
    found = [competitor("plain", 8, [30, 50]), competitor("euler", 8, [0]), competitor("plain", 4, [2, 4, 6])]
    figure = draw_errors(SimpleNamespace(valid=found)).figure
    left, right = figure.axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in left.lines if line.get_label()[0] != "_"}
    assert draw_errors(SimpleNamespace(valid=found)).name == "error_by_size"
    assert drawn == {"plain": [[4, 4], [8, 40]], "euler": [[8, 0.5]]}  # half an image for none
    assert [line.get_xdata().tolist() for line in right.lines if line.get_label() == "plain"] == [[4000, 8000]]
    band = next(c.get_paths()[0].vertices for c in left.collections if len(c.get_paths()[0].vertices) > 5)
    assert band[:, 1].min() == 2
    assert band[:, 1].max() == 50


def test_lines_name_the_normalisation_where_it_differs():
    found = [competitor("euler", 8, [3]), competitor("euler", 8, [5], "batch")]
    left, _ = draw_errors(SimpleNamespace(valid=found)).figure.axes
    labels = {line.get_label() for line in left.lines if line.get_label()[0] != "_"}
    assert labels == {"euler, group", "euler, batch"}


def test_the_hardest_images_come_first_with_the_answer_given():
    """Three runs: all wrong on image 5, two on image 8, one on image 2; always the class after the true one."""
    product, dataset = stores(count=20)
    truth = dataset.label.values.astype(int)
    found = []
    for missed in ([5], [5, 8], [5, 8, 2]):
        answer = truth.copy()
        answer[missed] = (answer[missed] + 1) % 4
        logs = np.where(np.arange(4) == answer[:, None], 0.0, -200.0).astype("float32")
        store = product.assign(log_probability=product.log_probability.copy(data=logs))
        counts, _ = score_stores(store, None, dataset, None, where="model")
        found.append((Run(seed=len(found), counts=counts), store))
    model = SimpleNamespace(runs=tuple(run for run, _ in found))
    by_seed = {run.seed: store for run, store in found}
    context = SimpleNamespace(
        valid=[model], dataset=dataset, product=lambda run: by_seed[run.seed], spec=SimpleNamespace(inputs=["image"])
    )
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in draw_examples(context).figure.axes]
    expected = [f"{truth[i]}, not {(truth[i] + 1) % 4}\n{n} of 3 runs" for i, n in ((5, 3), (8, 2), (2, 1))]
    assert [title for title in titles if title] == expected


@pytest.mark.parametrize("draw", [draw_errors, draw_examples])
def test_nothing_to_draw_is_said(draw):
    figure = draw(SimpleNamespace(valid=[], dataset=None))
    assert figure.caption.startswith(("No model", "There are no"))
