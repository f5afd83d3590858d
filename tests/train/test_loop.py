"""The loop: stops loudly, leaves a history, does not believe Slurm's variables."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline_lib.errors import TrainingError
from pipeline_lib.learning.precision import resolve_device, resolve_precision
from pipeline_lib.tasks.segmentation.train import SegmentationProblem
from pipeline_lib.train.module import TrainingModule, learning_rate
from pipeline_lib.train.options import LoopOptions
from pipeline_lib.train.outcome import fresh_network
from tests.train import tiny_problem
from tests.train.tiny_problem import run


def test_training_learns_and_keeps_the_best_epoch(tmp_path):
    result = run(tmp_path, max_epochs=20, learning_rate=0.02)
    history = result.history
    assert list(history.epoch) == list(range(1, 21))
    assert list(history.step) == [5 * e for e in history.epoch]
    assert history.val_mean_dice.max() > 0.8
    assert result.best_epoch == int(history.epoch[history.val_loss.idxmin()])
    assert (tmp_path / "history.csv").read_text() == history.to_csv(index=False)


def test_history_holds_no_clock(tmp_path):
    texts = []
    for name in "ab":
        run(tmp_path / name, max_epochs=2)
        texts.append((tmp_path / name / "history.csv").read_bytes())
    assert texts[0] == texts[1]


def test_early_stopping_waits_for_patience(tmp_path):
    result = run(tmp_path, max_epochs=60, patience=3, learning_rate=0.05)
    loss = result.history.val_loss.to_numpy()
    assert result.stopped_epoch == len(loss) < 60
    best = int(loss.argmin()) + 1
    assert (result.best_epoch, result.stopped_epoch) == (best, best + 3)
    # It never waited longer than that before.
    since = [e - 1 - int(loss[:e].argmin()) for e in range(1, len(loss))]
    assert max(since, default=0) < 3


class InABox(tiny_problem.Tiny):
    """A layer for maps and one for boxes, whose weights have a dimension more."""

    @classmethod
    def build(cls, options, *, in_channels, classes):
        from torch import nn

        box = nn.Sequential(nn.Unflatten(1, (-1, 1)), nn.Conv3d(4, 4, 3, padding=1), nn.Tanh(), nn.Flatten(1, 2))
        return nn.Sequential(nn.Conv2d(in_channels, 4, 3, padding=1), box, nn.Conv2d(4, classes, 1))


def test_convolutions_over_boxes_are_trained(tmp_path):
    history = run(tmp_path, model=InABox, max_epochs=3, learning_rate=0.01).history
    assert history.train_loss.iloc[-1] < history.train_loss.iloc[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_value_stops_training_and_names_the_samples(bad, tmp_path):
    arrays = tiny_problem.arrays(seed=1)
    inputs = arrays.inputs.copy()
    inputs[3, 0, 10, 16] = bad  # in every patch that covers the middle of the fourth date
    with pytest.raises(TrainingError, match=r"not finite in epoch \d+, step \d+.*2005-04-04 row \d+ column \d+"):
        run(tmp_path, train=replace(arrays, inputs=inputs))


def test_exploding_training_stops(tmp_path):
    with pytest.raises(TrainingError, match="not finite in epoch"):
        run(tmp_path, learning_rate=1e38, max_epochs=20)


def test_missing_gpu_is_an_error_unless_auto(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match=r"device: cuda.*GPU.*set device: auto"):
        run(tmp_path, device="cuda")
    assert resolve_device("auto") == torch.device("cpu")


def test_auto_precision_is_bfloat16_only_where_it_is_native():
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert resolve_precision("auto", torch.device("cpu")) == ("bfloat16" if native else "float32")
    assert resolve_precision("float32", torch.device("cpu")) == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_stay_float32_in_any_precision(precision, tmp_path):
    result = run(tmp_path, max_epochs=1, precision=precision)
    assert result.precision == precision
    assert {v.dtype for v in result.weights.values() if v.is_floating_point()} == {torch.float32}


class Hungry(tiny_problem.Tiny):
    """Asks for more memory than any machine has."""

    @classmethod
    def build(cls, options, *, in_channels, classes):
        class Net(torch.nn.Conv2d):
            def forward(self, x):
                return super().forward(x) + torch.empty(1 << 60)[0]

        return Net(in_channels, classes, 1)


def test_out_of_memory_gives_advice(tmp_path):
    with pytest.raises(TrainingError, match=r"not enough memory.*reduce batch_size"):
        run(tmp_path, model=Hungry)


def test_training_passes_under_deterministic_algorithms(tmp_path):
    torch.use_deterministic_algorithms(True)
    try:
        strict = run(tmp_path / "a", max_epochs=1)
    finally:
        torch.use_deterministic_algorithms(False)
    free = run(tmp_path / "b", max_epochs=1)
    assert strict.history.equals(free.history)


def test_slurm_variables_do_not_make_it_wait_for_other_tasks(tmp_path, monkeypatch):
    variables = {"JOB_ID": "1", "NTASKS": "4", "PROCID": "3", "LOCALID": "3", "NODEID": "1", "NNODES": "2"}
    variables |= {"JOB_NAME": "train", "NTASKS_PER_NODE": "2", "NODELIST": "node[1-2]", "STEP_ID": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert run(tmp_path, max_epochs=1).stopped_epoch == 1


def test_one_plain_line_per_epoch(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="pipeline_lib"):
        run(tmp_path, max_epochs=3)
    lines = [r.message for r in caplog.records if r.message.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


def test_learning_rate_of_every_step():
    def rates(total=100, **changes):
        options = LoopOptions(learning_rate=2.0, **changes)
        return np.array([learning_rate(options, step, total) for step in range(total)])

    assert (rates() == 2.0).all()
    cosine = rates(schedule="cosine", warm_up=0.1)
    np.testing.assert_allclose(cosine[:10], 0.2 * np.arange(1, 11))
    np.testing.assert_allclose(cosine[10:], 1 + np.cos(np.pi * np.arange(90) / 90), atol=1e-12)
    assert (np.diff(cosine[10:]) < 0).all()
    assert cosine[-1] < 0.002
    steps = rates(schedule="steps", warm_up=0.1, milestones=(0.75, 0.5))
    np.testing.assert_allclose(steps[10:], np.repeat([2.0, 0.2, 0.02], [40, 25, 25]))
    np.testing.assert_allclose(rates(total=8, schedule="steps"), [2.0] * 4 + [0.2] * 2 + [0.02] * 2)
    np.testing.assert_allclose(rates(total=4, schedule="steps", factor=0.7), [2.0, 2.0, 1.4, 0.98])
    with pytest.raises(ValidationError, match="less than 1"):
        LoopOptions(milestones=[0.5, 1.0])


def sgd(x, g, v, s, step):
    """v <- m v + g + w x, x <- x - r v."""
    v.mul_(0.8).add_(g + 0.1 * x)
    return x - 0.5 * v


def adam(x, g, v, s, step):
    """v <- m v + (1 - m) g, s <- 0.999 s + 0.001 g^2, x <- x (1 - r w) - r v / sqrt(s), both without bias."""
    v.mul_(0.8).add_(0.2 * g)
    s.mul_(0.999).add_(0.001 * g**2)
    return x * (1 - 0.5 * 0.1) - 0.5 * (v / (1 - 0.8**step)) / ((s / (1 - 0.999**step)).sqrt() + 1e-8)


def rmsprop(x, g, v, s, step):
    """s <- a s + (1 - a) (g + w x)^2, x <- x - r (g + w x) / sqrt(s)."""
    g = g + 0.1 * x
    s.mul_(0.7).add_(0.3 * g**2)
    return x - 0.5 * g / (s.sqrt() + 1e-8)


@pytest.mark.parametrize("formula", [sgd, adam, rmsprop])
def test_optimizers_take_the_steps_of_their_formulas(formula):
    share = {"memory": 0.7} if formula is rmsprop else {"momentum": 0.8}
    options = LoopOptions(optimizer=formula.__name__, learning_rate=0.5, weight_decay=0.1, **share)
    network = torch.nn.Linear(3, 2).double()
    module = TrainingModule(
        network, SegmentationProblem(tiny_problem.options(), *[tiny_problem.arrays()] * 2, seed=0), options, 0
    )
    optimizer = module.configure_optimizers()
    expected = [p.detach().clone() for p in network.parameters()]
    means = [(torch.zeros_like(p), torch.zeros_like(p)) for p in expected]
    for step in range(1, 5):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, step - 2.5)
        expected = [formula(x, step - 2.5, *m, step) for x, m in zip(expected, means, strict=True)]
        optimizer.step()
    torch.testing.assert_close([p.detach() for p in network.parameters()], expected)


def test_average_of_weights_is_the_exponential_mean_of_their_history():
    options = tiny_problem.options(averaging=0.6)
    data = tiny_problem.arrays()
    network = fresh_network(tiny_problem.Tiny, tiny_problem.Tiny.Options(), seed=0, in_channels=1, classes=3)
    module = TrainingModule(network, SegmentationProblem(options, data, data, seed=0), options, 0)
    expected = network[0].weight.detach().clone()
    for step in range(1, 12):
        with torch.no_grad():
            network[0].weight.normal_()
        module.on_train_batch_end()
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
    torch.testing.assert_close(module.average[0].weight, expected)


def test_planning_imports_no_torch():
    code = (
        "import sys; from pipeline_lib.models.registry import MODELS; import pipeline_lib.tasks.segmentation;"
        "import pipeline_lib.tasks.segmentation.training_options;"
        "[(MODELS.get(n).card, MODELS.get(n).Options()) for n in MODELS.names()];"
        "assert len(MODELS.names()) >= 4, MODELS.names(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
