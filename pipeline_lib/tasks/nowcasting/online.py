"""Which frames a network has learned from when it forecasts online."""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch

from pipeline_lib.learning.nowcaster import Nowcaster
from pipeline_lib.learning.online import Loss, OnlineTraining
from pipeline_lib.learning.precision import number_format
from pipeline_lib.tasks.nowcasting.options import OnlineOptions
from pipeline_lib.tasks.nowcasting.sequences import Index
from pipeline_lib.tasks.nowcasting.windows import FrameWindows


def follow(
    network: Nowcaster, windows: FrameWindows, before: Index, options: OnlineOptions, loss: Loss, device: torch.device
) -> Iterator[slice]:
    """Give the starts in groups, in time; the network has by then the weights that their forecasts are made with.

    An episode is a row of frames, which arrive in blocks. As in the public code of HKO-7 (Shi et al. 2017,
    arXiv:1706.03458) a block is stored and forecast from, and before the next one comes a step is made on the window
    that ends with it, as soon as the row is long enough for one. So no forecast has learned from the newest block that
    is complete at its start. Unlike there, the weights are those of the training again at the start of each episode.

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
    length, exact = windows.seen + windows.leads, number_format(network)
    first, blocks = _learned(windows, before, options)
    episode, done = -1, 0
    for begin, end in pairwise(_changes(first, blocks)):
        if first[begin] != episode:
            episode, done = int(first[begin]), 0
            training.restart()
        ends = options.block * np.arange(done + 1, blocks[begin] + 1)
        for arrived in ends[ends >= length]:
            past = dataclasses.replace(windows, starts=np.array([episode + arrived - windows.leads - 1]))
            batch = past.cut(np.array([0]))
            training.step(batch.inputs.to(device, exact), batch.target.to(device, exact))
        done = int(blocks[begin])
        yield slice(begin, end)


def _learned(windows: FrameWindows, before: Index, options: OnlineOptions) -> tuple[Index, Index]:
    """Return the first frame of the episode of each start, and how many blocks came before its newest complete one."""
    complete = (before[windows.starts] + 1) // options.block
    return windows.starts - before[windows.starts], np.maximum(complete - 1, 0)


def _changes(first: Index, blocks: Index) -> list[int]:
    """Return where groups of starts begin that have the same weights, and where the last one ends."""
    changes = np.flatnonzero((np.diff(first) != 0) | (np.diff(blocks) != 0)) + 1
    return [0, *changes.tolist(), len(first)]


class Follower:
    """Gives the weights of any forecast, whatever was asked for before; cheapest is to ask in order.

    Between two forecasts it makes the steps that lie between them. To go back it begins the episode anew, with the
    trained weights. One thread at a time is let in.

    Parameters
    ----------
    network, windows, before, options, loss, device
        As for :func:`follow`; there is a start. The network stays as it is.
    """

    def __init__(
        self,
        network: Nowcaster,
        windows: FrameWindows,
        before: Index,
        options: OnlineOptions,
        loss: Loss,
        device: torch.device,
    ) -> None:
        self._trained, self._windows = network, windows
        self._rest = before, options, loss, device
        self._first, blocks = _learned(windows, before, options)
        self._edges = _changes(self._first, blocks)
        self._lock = threading.Lock()
        self._restart(0)

    def _restart(self, begin: int) -> None:
        """Go to the first start of an episode."""
        self._network = copy.deepcopy(self._trained)
        windows = dataclasses.replace(self._windows, starts=self._windows.starts[begin:])
        groups = follow(self._network, windows, *self._rest)
        self._groups = (slice(begin + group.start, begin + group.stop) for group in groups)
        self._now = slice(begin, begin)

    def parts(self, most: int) -> list[tuple[int, int]]:
        """Return stretches of so many starts at most, first and end, that keep what :meth:`through` gives at once."""
        ends = [min(first + most, end) for begin, end in pairwise(self._edges) for first in range(begin, end, most)]
        edges = [0]
        for end, following in pairwise([*ends, ends[-1] + most + 1]):
            if following - edges[-1] > most:
                edges.append(end)
        return list(pairwise(edges))

    def through(self, first: int, end: int, most: int) -> Iterator[tuple[Nowcaster, slice]]:
        """Give the starts of a part, so many at once at most, each time with a network with the weights for them."""
        with self._lock:
            episode = int(np.searchsorted(self._first, self._first[first]))
            if first < self._now.start or episode > self._now.stop:
                self._restart(episode)
            while first < end:
                while first >= self._now.stop:
                    self._now = next(self._groups)
                stop = min(self._now.stop, end)
                for begin in range(first, stop, most):
                    yield self._network, slice(begin, min(begin + most, stop))
                first = stop
