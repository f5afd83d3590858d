"""A small segmentation problem that trains in a second, for the tests of the loop."""

from __future__ import annotations

import numpy as np

from pipeline_lib.models.base import ModelCard, NetworkModel
from pipeline_lib.tasks.segmentation.arrays import TrainingArrays
from pipeline_lib.tasks.segmentation.train import SegmentationProblem
from pipeline_lib.tasks.segmentation.training_options import TrainingOptions


class Tiny(NetworkModel):
    """Convolution, batch normalisation, dropout, convolution: all that carries state between steps."""

    card = ModelCard(title="Tiny", summary="For tests.", task="segmentation")

    @classmethod
    def build(cls, options, *, in_channels, classes):
        from torch import nn

        from pipeline_lib.models.dropout import Dropout

        return nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            Dropout(0.2),
            nn.Conv2d(8, classes, 3, padding=1),
        )


def arrays(dates: int = 6, *, rows: int = 24, columns: int = 40, seed: int = 0) -> TrainingArrays:
    """Smooth random maps whose class is the sign of their large values; a strip of land in the south."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((dates, rows, columns)))
    ky, kx = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None]
    field = np.fft.irfft2(spectrum * np.exp(-60 * (kx**2 + ky**2)), s=(rows, columns))
    field /= field.std()
    sea = np.ones((rows, columns), bool)
    sea[:3] = False
    classes = np.where(field > 0.7, 1, np.where(field < -0.7, 2, 0)).astype(np.int8)
    return TrainingArrays(
        inputs=np.where(sea, field, 0)[:, None].astype(np.float32),
        classes=np.where(sea, classes, 0).astype(np.int8),
        sea=sea,
        times=np.datetime64("2005-04-01", "ns") + np.arange(dates) * np.timedelta64(1, "D"),
        variables=("adt_high_pass",),
    )


def options(**changes) -> TrainingOptions:
    """Options of a training that takes a second on one core."""
    return TrainingOptions(
        **{"patch": 16, "batch_size": 4, "steps_per_epoch": 5, "max_epochs": 6, "patience": None, **changes}
    )


class Disturbed(SegmentationProblem):
    """A problem during which something happens: ``act()`` before a batch of an epoch, or of a validation."""

    def __init__(self, *arguments, at, act, **named):
        super().__init__(*arguments, **named)
        self.at, self.act, self._validations = at, act, 0

    def training_batches(self, epoch, share):
        return _Watched(super().training_batches(epoch, share), self, ("train", epoch))

    def validation_batches(self, share):
        self._validations += 1
        return _Watched(super().validation_batches(share), self, ("validation", self._validations - 1))


class _Watched:
    def __init__(self, batches, problem, name):
        self._batches, self._problem, self._name = batches, problem, name

    def __len__(self):
        return len(self._batches)

    def __iter__(self):
        for i, batch in enumerate(self._batches):
            if self._problem.act is not None and (*self._name, i) == self._problem.at:
                self._problem.act()
            yield batch


def run(
    folder,
    *,
    at=None,
    act=None,
    seed=0,
    device="cpu",
    devices=1,
    end=None,
    model=Tiny,
    train=None,
    validation=None,
    identity=None,
    **changes,
):
    """Run the loop on the small problem in ``folder``; ``act()`` happens before the batch ``at``."""
    from pathlib import Path

    from pipeline_lib.train.loop import run_training
    from pipeline_lib.train.outcome import fresh_network

    chosen = options(**changes)
    split = train or arrays(seed=1), validation or arrays(dates=2, seed=2)
    return run_training(
        network=fresh_network(model, model.Options(), seed=seed, in_channels=1, classes=3),
        problem=Disturbed(chosen, *split, seed=seed, at=at, act=act),
        options=chosen,
        seed=seed,
        folder=Path(folder),
        device=device,
        devices=devices,
        end=end,
        run=identity,
    )


def weights_hash(weights) -> str:
    """SHA-256 over a state dict."""
    import hashlib

    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def train_and_report(folder, seed, changes, connection) -> None:
    """Train in a process of its own and send back a hash of the weights and the number of epochs."""
    import torch

    torch.set_num_threads(1)
    result = run(folder, seed=seed, **changes)
    connection.send((weights_hash(result.weights), result.stopped_epoch, result.best_epoch))
