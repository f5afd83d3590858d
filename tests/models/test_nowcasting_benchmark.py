"""The benchmark of networks over frames: that it runs, and that its numbers are those of the work."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from benchmarks.nowcasting_networks import arguments, compare, operations, throughput

SMALL = ("--size", "8", "--batch", "1", "--seen", "2", "--leads", "2", "--turns", "1")
NUMBER = r"([\d.e+-]+)"
LINE = re.compile(rf"convgru +(\w+) +{NUMBER} frames/s, {NUMBER} GFLOP, {NUMBER} TFLOP/s, {NUMBER}% of 2 TFLOP/s")


def test_operations_are_two_for_each_product_that_is_added_up_forwards_and_backwards():
    layer, image = nn.Conv2d(3, 5, 3, padding=1), torch.rand(2, 3, 8, 8)
    forwards = 2 * (2 * 8 * 8) * (3 * 3 * 3) * 5
    assert operations(lambda: layer(image)) == forwards
    assert operations(lambda: layer(image).sum().backward()) == 2 * forwards  # the image needs no gradient
    with torch.inference_mode():
        assert operations(lambda: layer(image)) == forwards


def test_throughput_is_work_over_time_and_its_share_of_a_peak():
    assert throughput(6, 3 * 10**12, 1.5, 8.0) == "4 frames/s, 3000 GFLOP, 2 TFLOP/s, 25.00% of 8 TFLOP/s"
    assert throughput(6, 3 * 10**12, 1.5, None).endswith("2 TFLOP/s")


def test_it_runs_and_says_what_a_step_does(capsys):
    compare("convgru", arguments([*SMALL, "--model", "convgru", "--peak-tflops", "2"]))
    lines = capsys.readouterr().out.splitlines()
    spent = {line.split()[1]: float(line.split()[2]) for line in lines if " ms, plain" in line}
    told = {found[1]: [float(number) for number in found.groups()[1:]] for line in lines if (found := LINE.match(line))}
    assert set(spent) == set(told) == {"train", "forecast"}
    for task, (frames, count, rate, share) in told.items():
        assert frames == pytest.approx(4 / (spent[task] / 1e3), rel=0.1)
        assert rate == pytest.approx(count / spent[task], rel=0.1)
        assert share == pytest.approx(100 * rate / 2, abs=0.01)
    assert told["train"][1] > 2 * told["forecast"][1]
