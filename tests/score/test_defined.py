"""What tells two runs apart: every option that both know, down to the keys of a mapping."""

from __future__ import annotations

import pytest

from pipeline_lib.score.defined import difference

RUN = {"model": "m", "training": {"loss": "mse", "inner": {"a": 1}}, "model_options": {"values": {}}, "seed": 0}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, None),
        ({"seed": 1}, ("seed", 0, 1)),
        ({"model": "other"}, ("model", "m", "other")),
        ({"training": {"loss": "mae", "inner": {"a": 1}}}, ("training.loss", "mse", "mae")),
        ({"training": {"loss": "mse", "inner": {"a": 1}, "new": 3}}, None),
        ({"training": {"loss": "mse"}}, ("training.inner", {"a": 1}, None)),
        ({"model_options": {"values": {"a": 0.0}}}, ("model_options.values", {}, {"a": 0.0})),
    ],
)
def test_the_first_option_that_differs_is_named(change, found):
    assert difference(RUN, {**RUN, **change}) == found
