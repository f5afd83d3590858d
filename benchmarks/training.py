"""What a training step costs, and how much of it is not the network.

    PYTHONPATH=. python benchmarks/training.py [--model eddynet] [--steps 12] [--threads 2] [--precision auto]

Prints seconds per step of: a plain PyTorch loop on one batch held in memory; the same loop with torch's own dropout and
transposed convolution; our loop (patches, Lightning, checks, weight average off). Wall time and, robust on a shared
machine, processor time. The loops take turns, and the best of three turns counts.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline_lib.learning.precision import autocast, resolve_precision
from pipeline_lib.models.dropout import AlphaDropout, Dropout
from pipeline_lib.models.keras import UpConv2d
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.segmentation.arrays import TrainingArrays
from pipeline_lib.tasks.segmentation.losses import make_loss
from pipeline_lib.tasks.segmentation.train import SegmentationProblem
from pipeline_lib.tasks.segmentation.training_options import TrainingOptions
from pipeline_lib.train.loop import run_training
from pipeline_lib.train.outcome import fresh_network

TURNS = 3
CPU = torch.device("cpu")


class StockUp(nn.ConvTranspose2d):
    """Torch's transposed convolution, cut to the size of Keras."""

    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """Map (batch, in_channels, h, w) to (batch, out_channels, 2 h, 2 w)."""
        return super().forward(x)[..., :-1, :-1]


def with_stock_layers(network: nn.Module) -> nn.Module:
    """Return a copy of a network in which torch's own layers take the place of ours."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, AlphaDropout):
                setattr(parent, name, nn.AlphaDropout(child.share))
            elif isinstance(child, Dropout):
                setattr(parent, name, nn.Dropout(child.share))
            elif isinstance(child, UpConv2d):
                setattr(parent, name, StockUp(child.in_channels, child.out_channels, 3, stride=2))
    return network


def plain_steps(network: nn.Module, options: TrainingOptions, precision: str, steps: int) -> None:
    """Train on one batch, again and again."""
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    shape = (options.batch_size, 1, options.patch, options.patch)
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last)
    target = torch.randint(0, 3, (shape[0], *shape[2:]), dtype=torch.int8)
    loss_of = make_loss(options, None)
    for _ in range(steps):
        with autocast(CPU, precision):  # type: ignore[arg-type]
            loss = loss_of(network(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def arrays(dates: int) -> TrainingArrays:
    """Random maps of the size of the Mediterranean."""
    rng = np.random.default_rng(0)
    shape = (dates, 128, 344)
    return TrainingArrays(
        inputs=rng.standard_normal((dates, 1, *shape[1:])).astype(np.float32),
        classes=rng.integers(0, 3, shape).astype(np.int8),
        sea=np.ones(shape, bool),
        times=np.datetime64("2005-04-01", "ns") + np.arange(dates) * np.timedelta64(1, "D"),
        variables=("adt",),
    )


def measure(work, steps: int) -> np.ndarray:
    """Wall and processor seconds per step: ``work(steps + 1)`` less ``work(1)``, so that start-up costs drop out."""
    spent = []
    for count in (1, steps + 1):
        start = np.array([time.perf_counter(), time.process_time()])
        work(count)
        spent.append(np.array([time.perf_counter(), time.process_time()]) - start)
    return (spent[1] - spent[0]) / steps


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="eddynet")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = MODELS.get(args.model)
    precision = resolve_precision(args.precision, CPU)
    network = fresh_network(model, model.Options(), seed=0, in_channels=1, classes=3)
    train, validation = arrays(40), arrays(1)

    def options(steps: int) -> TrainingOptions:
        return TrainingOptions(max_epochs=1, steps_per_epoch=steps, validation_patches=1, precision=precision)

    def ours(steps: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            run_training(
                network=copy.deepcopy(network),
                problem=SegmentationProblem(options(steps), train, validation, seed=0),
                options=options(steps),
                seed=0,
                folder=Path(folder),
                device="cpu",
            )

    works = {
        "plain loop": lambda steps: plain_steps(copy.deepcopy(network), options(1), precision, steps),
        "plain loop, torch's layers": lambda steps: plain_steps(
            with_stock_layers(network), options(1), precision, steps
        ),
        "our loop": ours,
    }
    turns = {name: [measure(work, args.steps) for _ in range(1)] for name, work in works.items()}
    for _ in range(TURNS - 1):
        for name, work in works.items():
            turns[name].append(measure(work, args.steps))
    best = {name: np.min(values, axis=0) for name, values in turns.items()}
    print(f"{args.model}, {precision}, {args.threads} threads, batch 16 x 128 x 128")
    for name, (wall, cpu) in best.items():
        ratio = best[name][1] / best["plain loop"][1]
        print(f"{name:28s} {wall:7.3f} s/step wall  {cpu:7.3f} s/step processor  ratio {ratio:5.3f}")


if __name__ == "__main__":
    main()
