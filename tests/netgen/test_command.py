"""The command: a file or the screen, and one line when it cannot be."""

from __future__ import annotations

import runpy
import textwrap
from pathlib import Path

import pytest
import torch

from pipeline_lib.cli.app import main
from pipeline_lib.netgen.description import example_names, find_system
from pipeline_lib.netgen.examples import FOLDER
from pipeline_lib.netgen.source import build, generate
from pipeline_lib.netgen.system_file import read_system
from pipeline_lib.solvers.schemes import integrate


def test_an_example_is_shown(capsys):
    assert main(["netgen", "burgers"]) == 0
    assert capsys.readouterr().out == generate(*read_system(find_system("burgers")))


def test_a_file_is_written_that_runs(tmp_path, capsys):
    output = tmp_path / "made" / "diffusion.py"
    file = str(FOLDER / "diffusion.yaml")
    assert main(["netgen", file, "--output", str(output), "--order", "4", "--grid", "6", "8"]) == 0
    assert capsys.readouterr().out == ""
    field = torch.ones(6, 8, dtype=torch.float64)
    module = runpy.run_path(str(output))["Diffusion"](k_xx=field, k_xy=field, k_yy=field)
    assert module(torch.ones(1, 6, 8, dtype=torch.float64), 0.0).abs().max() < 1e-10
    assert module.kernel_x.numel() == 5
    assert sorted(path.name for path in output.parent.iterdir()) == ["diffusion.py"]


def test_help_names_every_example(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["netgen", "--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(name in shown for name in example_names())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["burger"], "burger: no such file or example; did you mean 'burgers'?"),
        (["gone.yaml"], "gone.yaml: no such file"),
        (["burgers", "--order", "3"], "order 3 of accuracy is not available"),
        (["burgers", "--grid", "2"], "Derivative(u(t, x), (x, 2)) at order 2 needs 3 points along x; the grid has 2"),
        (["burgers", "--grid", "9", "9"], "the grid (9, 9) has 2 axes, the system 1"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["netgen", *arguments, "--output", "made.py"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_the_page_shows_a_system_that_works(tmp_path):
    """The example of docs/how-to/netgen.md."""
    page = (Path(__file__).parents[2] / "docs/how-to/netgen.md").read_text(encoding="utf-8")
    lines = page.split("\n    name: ")[1].split("\n\n")[0]
    path = tmp_path / "heat.yaml"
    path.write_text("name: " + textwrap.dedent(f"    {lines}").strip())
    system, grid = read_system(path)
    field = torch.ones(grid, dtype=torch.float64)
    network = torch.nn.Conv1d(2, 1, 3, padding=1, padding_mode="circular").double()
    module = build(system, grid, f=field, C=network)
    assert integrate(module, torch.ones(2, 1, 100, dtype=torch.float64), dt=1e-5, steps=3).shape == (4, 2, 1, 100)


HEAT = """\
name: heat
coordinates: {x: 1.0}
grid: [9]
equations: {u: "Derivative(u, x, 2)"}
"""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ('equations: {u: "Derivative(u, t)"}', "Derivative(u(t, x), t)"),
        ('equations: {u: "diff(Abs(u), x)"}', "diff(Abs(u), x) has a jump"),
        ("walls: {x: {u: dirichlet}}", "walls.x.u: give a number or zero_gradient"),
        ("walls: {x: {u: [0, 1, 2]}}", "walls.x.u: give a number or zero_gradient"),
        ("walls: {x: {}}", "in a file zero_gradient"),
    ],
)
def test_a_mistake_in_a_system_s_file_is_one_line_in_its_own_words(changed, message, capsys, tmp_path):
    kept = [line for line in HEAT.splitlines() if not line.startswith(changed.split(":")[0])]
    path = tmp_path / "heat.yaml"
    path.write_text("\n".join([*kept, changed]))
    assert main(["netgen", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert "True" not in line


def test_a_system_is_not_replaced_by_its_source(capsys, tmp_path):
    path = tmp_path / "heat.yaml"
    path.write_text(HEAT)
    assert main(["netgen", str(path), "--output", str(tmp_path / "." / "heat.yaml")]) == 2
    assert "is the system itself" in capsys.readouterr().err
    assert path.read_text() == HEAT
