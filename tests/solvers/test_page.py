"""The example of docs/how-to/solvers.md runs and gives the shapes that it says; the page names what there is."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import torch

from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.solvers import schemes

PAGE = (Path(__file__).parents[2] / "docs/how-to/solvers.md").read_text(encoding="utf-8")


def test_the_example_runs_and_a_batch_is_what_its_members_are():
    names: dict[str, object] = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(PAGE.split("```python\n")[1].split("```")[0], names)  # noqa: S102 - our own page
    states, slow, fast = names["states"], names["slow"], names["fast"]
    assert f"# {tuple(states.shape)}:" in PAGE
    assert f"# {tuple(slow.shape)}, {tuple(fast.shape)}" in PAGE
    one = type(names["system"])(8, forcing=float(names["forcing"][3]))
    alone = schemes.integrate(one, names["start"][3], dt=0.001, steps=100, every=10)
    torch.testing.assert_close(states[:, 3], alone, rtol=1e-12, atol=1e-12)


def test_what_the_page_names_is_there():
    module, named = "", []
    for first, second in re.findall(r"^\| (`\w+`)? ?\| `(\w+)` \|", PAGE, flags=re.MULTILINE):
        module = first.strip("`") or module
        named.append(getattr(importlib.import_module(f"pipeline_lib.solvers.{module}"), second))
    assert len(named) == 11
    for name in re.findall(r"`([A-Z][A-Z_0-9]+)`", PAGE):
        assert isinstance(getattr(schemes, name), schemes.RungeKutta)
    simulations = PAGE.split("make data of them: ")[1].split("(")[0]
    assert all(SIMULATIONS.get(name) for name in re.findall(r"`(\w+)`", simulations))
