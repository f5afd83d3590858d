"""Processes for training tests: forked from a clean server that has torch loaded already."""

from __future__ import annotations

import multiprocessing

import pytest

from tests.train import tiny_problem


class Training:
    """One training in a process of its own, which can be killed."""

    def __init__(self, context, folder, seed, changes):
        self._receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=tiny_problem.train_and_report, args=(folder, seed, changes, sender))
        self.process.start()
        sender.close()

    def result(self, kill_after=60.0):
        """(hash of the weights, epochs, best epoch), or ``None`` if it died or was killed before it could tell."""
        try:
            return self._receiver.recv() if self._receiver.poll(kill_after) else None
        except EOFError:
            return None
        finally:
            self.process.kill()  # SIGKILL; nothing happens to a process that has ended
            self.process.join()


@pytest.fixture(scope="session")
def start_training():
    """``start_training(folder, seed=0, **training options)`` starts a process and returns its :class:`Training`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline_lib.tasks.segmentation.train", "pipeline_lib.train.loop"])
    warm = context.Process(target=print)  # starts the server, so that the first training is timed alone
    warm.start()
    warm.join()
    started = []

    def start(folder, *, seed=0, **changes):
        training = Training(context, str(folder), seed, changes)
        started.append(training)
        return training

    yield start
    for training in started:
        if training.process.is_alive():
            training.process.kill()
            training.process.join()
