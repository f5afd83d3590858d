"""Which frames a network has learned from when it forecasts online."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch

from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.learning.online import Loss, OnlineTraining
from pipeline_lib.tasks.nowcasting.options import OnlineOptions
from pipeline_lib.tasks.nowcasting.sequences import Index
from pipeline_lib.tasks.nowcasting.windows import FrameWindows


def follow(
    network: Nowcaster, windows: FrameWindows, before: Index, options: OnlineOptions, loss: Loss, device: torch.device
) -> Iterator[slice]:
    """Give the starts in groups, in time; the network has by then the weights that their forecasts are made with.

    An episode is a row of frames. Its frames arrive in blocks, and after each block one step is made on the window
    that ends with it, as soon as the row is long enough for one (Shi et al. 2017, arXiv:1706.03458). A forecast
    is made with the weights after all blocks that are complete at its start. At the start of each episode the weights
    are those of the training again.

    Parameters
    ----------
    network
        Trained, on ``device``; its weights are changed.
    windows
        Frames, and the starts of forecasts in ascending order.
    before
        How many frames precede each frame in its row (time,).
    options
        Blocks and steps.
    loss
        That of the training.
    """
    training = OnlineTraining(network, loss, learning_rate=options.learning_rate, gradient_clip=options.gradient_clip)
    length = windows.seen + windows.leads
    first = windows.starts - before[windows.starts]
    blocks = (before[windows.starts] + 1) // options.block
    changes = np.flatnonzero((np.diff(first) != 0) | (np.diff(blocks) != 0)) + 1
    edges = [0, *changes.tolist(), windows.windows]
    episode, done = -1, 0
    for begin, end in pairwise(edges):
        if first[begin] != episode:
            episode, done = int(first[begin]), 0
            training.restart()
        ends = options.block * np.arange(done + 1, blocks[begin] + 1)
        for arrived in ends[ends >= length]:
            past = dataclasses.replace(windows, starts=np.array([episode + arrived - windows.leads - 1]))
            batch = past.cut(np.array([0]))
            training.step(batch.inputs.to(device), batch.target.to(device))
        done = int(blocks[begin])
        yield slice(begin, end)
