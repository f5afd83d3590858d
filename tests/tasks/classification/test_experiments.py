"""The experiment on schemes: each of them is a curve over depth."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from pipeline_lib.config.loader import load_experiment
from pipeline_lib.models.scheme_resnet import BlockKind

FILE = Path(__file__).parents[3] / "config/experiments/ode-schemes.yaml"


def test_every_kind_of_block_is_tried_at_the_same_depths():
    loaded = load_experiment(FILE)
    options = [loaded.model_options(name) for name in loaded.spec.names]
    depths = {kind: [o.blocks for o in options if o.block == kind] for kind in get_args(BlockKind)}
    assert depths == {kind: [4, 8, 16] for kind in get_args(BlockKind)}
    assert len({o.model_dump_json(exclude={"block", "blocks"}) for o in options}) == 1
