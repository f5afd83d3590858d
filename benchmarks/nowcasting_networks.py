"""What recurrent networks over frames cost beside the same networks written gate by gate and step by step.

    PYTHONPATH=. python benchmarks/nowcasting_networks.py --size 32 --batch 2 --seen 4 --leads 4

Prints milliseconds of a training step (forecast, gradients, Adam) and of a forecast, and how many times as long the
plain way takes; it is that of ``tests/models/plain_nowcasters.py`` and gives the same numbers, which is checked. The
two ways take turns on the same parameters, and the best turn counts. ``--also`` sets ours in another memory format, or
compiled, beside them; the first call, which compiles, does not count and is told. On a CPU times are of the processor,
so that other work on the machine counts little; on a GPU they are of the clock, and peak memory is printed too.

A second line says what ours does: frames per second, those seen and those forecast; the operations of matrix products
and convolutions, two for each product that is added up (``torch.utils.flop_counter``; what is done cell by cell is not
counted); and with ``--peak-tflops``, what the hardware could do at best in this precision, the share of it.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import spent
from pipeline_lib.learning.precision import autocast
from pipeline_lib.models.registry import MODELS
from tests.models.plain_nowcasters import conv_lstm, ladder

PLAIN: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {"convlstm": conv_lstm, "convgru": ladder, "trajgru": ladder}
TERA = 1e12


def operations(work: Callable[[], object]) -> int:
    """Return the floating-point operations of the matrix products and convolutions of a piece of work."""
    counter = FlopCounterMode(display=False)
    with counter:
        work()
    return int(counter.get_total_flops())


def throughput(frames: int, count: int, seconds: float, peak: float | None) -> str:
    """Say what a piece of work of so many frames and operations does in a second, and of which share of a peak."""
    rate = count / seconds
    share = "" if peak is None else f", {rate / (peak * TERA):.2%} of {peak:g} TFLOP/s"
    return f"{frames / seconds:.4g} frames/s, {count / 1e9:.4g} GFLOP, {rate / TERA:.4g} TFLOP/s{share}"


def variants(net: nn.Module, names: list[str]) -> dict[str, nn.Module]:
    """Return copies of a network that compute the same in other ways."""
    made = {
        "channels_last": lambda: copy.deepcopy(net).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        "compiled": lambda: torch.compile(copy.deepcopy(net)),
    }
    return {name: made[name]() for name in names}


def compare(name: str, args: argparse.Namespace) -> None:
    """Measure one model both ways and print a line for each."""
    device = torch.device(args.device)
    model = MODELS.get(name)
    torch.manual_seed(0)
    sizes = {"seen": args.seen, "leads": args.leads, "channels": 1, "height": args.size, "width": args.size}
    net = model.build(model.Options(), **sizes).to(device)
    frames = torch.rand(args.batch, args.seen, 1, args.size, args.size, device=device)
    target = torch.rand(args.batch, args.leads, args.size, args.size, device=device)
    ways = {"ours": net, "plain": lambda frames: PLAIN[name](net, frames), **variants(net, args.also)}
    # Adam with a rate of 0: the work of a step, the same parameters after.
    optimizers = {
        way: torch.optim.Adam((way if isinstance(way, nn.Module) else net).parameters(), lr=0.0, fused=True)
        for way in ways.values()
    }

    def train(way: Callable[[Tensor], Tensor]) -> None:
        optimizer = optimizers[way]
        with autocast(device, args.precision):
            loss = (way(frames).float() - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def forecast(way: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.inference_mode(), autocast(device, args.precision):
            return way(frames).float()

    for label, way in ways.items():
        begun = time.perf_counter()
        found = forecast(way)
        train(way)
        if label == "compiled":
            print(f"{name:9s} compiling took {time.perf_counter() - begun:.0f} s")
        if args.precision == "float32":
            torch.testing.assert_close(found, forecast(net), rtol=1e-3, atol=1e-3)
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for _ in range(args.turns):
        for label, way in ways.items():
            for task, work in (("train", train), ("forecast", forecast)):
                now = spent(device, lambda work=work, way=way: work(way))
                best[label, task] = min(best.get((label, task), now), now)
    for task in ("train", "forecast"):
        (ours, ours_mib), (plain, plain_mib) = best["ours", task], best["plain", task]
        memory = f"   {ours_mib:8.0f} MiB beside {plain_mib:8.0f}" if device.type == "cuda" else ""
        print(f"{name:9s} {task:9s} {1e3 * ours:9.1f} ms, plain {1e3 * plain:9.1f} ms: {plain / ours:5.2f} x{memory}")
        work = train if task == "train" else forecast
        count = operations(lambda work=work: work(net))
        told = throughput(args.batch * (args.seen + args.leads), count, ours, args.peak_tflops)
        print(f"{name:9s} {task:9s} {told}")
        for way in args.also:
            print(f"{name:9s} {task:9s} {way}: {ours / best[way, task][0]:5.2f} times as fast as ours as it is")


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=PLAIN, nargs="+", default=list(PLAIN))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    for option, default in (("size", 32), ("batch", 2), ("seen", 4), ("leads", 4), ("turns", 3)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--also", choices=("channels_last", "compiled"), nargs="+", default=[], help="ours otherwise")
    parser.add_argument("--deterministic", action="store_true", help="as trainings on a GPU are; the plain way is not")
    parser.add_argument("--peak-tflops", type=float, help="of the hardware in this precision, for the share of it")
    return parser.parse_args(words)


def main() -> None:
    """Measure, print."""
    args = arguments()
    torch.use_deterministic_algorithms(args.deterministic, warn_only=True)
    torch.set_num_threads(args.threads)
    print(
        f"{args.precision} on {args.device}, {args.threads} threads, batch {args.batch}, {args.seen} frames of"
        f" {args.size} x {args.size} cells to {args.leads}"
    )
    for name in args.model:
        compare(name, args)


if __name__ == "__main__":
    main()
