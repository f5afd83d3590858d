"""Arguments that several commands share: a mistake in them is told before anything is read."""

from __future__ import annotations

import pytest

from pipeline_lib.cli.app import build_parser

INPUTS = {
    "score": ["e.yaml", "--model", "m", "--seed", "0", "--products", "p.json", "--datasets", "d.json"],
    "report": [
        "e.yaml",
        "--leaderboard",
        "l.json",
        "--models",
        "m.json",
        "--products",
        "p.json",
        "--datasets",
        "d.json",
    ],
}


@pytest.mark.parametrize("command", INPUTS)
def test_a_manifest_ends_in_json(command, capsys):
    parser = build_parser()
    assert parser.parse_args([command, *INPUTS[command], "--output", "new/r.json"]).output.name == "r.json"
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args([command, *INPUTS[command], "--output", "report.html"])
    assert "'report.html' is no manifest: its name ends in .json" in capsys.readouterr().err


SEEDS = {
    "train": ["e.yaml", "--model", "m", "--datasets", "d.json", "--statistics", "s.json", "--output", "m.json"],
    "score": ["e.yaml", "--model", "m", "--products", "p.json", "--datasets", "d.json", "--output", "s.json"],
    "publish": ["e"],
}


@pytest.mark.parametrize("command", SEEDS)
@pytest.mark.parametrize("seed", ["-1", "1.5", "one"])
def test_a_seed_is_a_whole_number_of_at_least_0(command, seed, capsys):
    parser = build_parser()
    assert parser.parse_args([command, *SEEDS[command], "--seed", "0"]).seed == 0
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args([command, *SEEDS[command], f"--seed={seed}"])
    assert f"'{seed}' is not a seed: write a whole number of at least 0" in capsys.readouterr().err
