"""Generated equations as a model: its steps, its learning, what it refuses."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.forecaster import Rollout
from pipeline_lib.models.generated_pde import GeneratedPde
from pipeline_lib.netgen.description import find_system
from pipeline_lib.netgen.source import build
from pipeline_lib.netgen.system_file import read_system
from pipeline_lib.solvers.schemes import RK4, integrate
from pipeline_lib.tasks.dynamics.least_squares import fit_least_squares
from pipeline_lib.train.problem import Batch

N, STEP, MEAN, SCALE = 48, 0.002, 3.0, 5.0
SCALES = {"u": 0.5, "V": 2.5e-5, "nu": 2e-3}
HEAT = {
    "name": "heat",
    "coordinates": {"x": 1.0},
    "grid": [9],
    "trainable": {"k": 0.5},
    "equations": {"u": "k * Derivative(u, x, 2)"},
}
BOX = {
    "name": "box",
    "coordinates": {"y": 1.0, "x": 2.0},
    "grid": [5, 6],
    "closures": ["C"],
    "walls": {"y": {"u": 0.0}},
    "equations": {"u": "Derivative(u, x, 2) + C(u, Derivative(u, y))"},
}


def made(options=None, shape=(3, N), step=STEP, mean=MEAN, scale=SCALE, seed=0, **more):
    torch.manual_seed(seed)
    given = {"points": "states", **({"scales": SCALES} if options is None else options), **more}
    options = GeneratedPde.Options(**given)
    return GeneratedPde.build(options, shape=shape, step=step, mean=mean, scale=scale)


def start(batch=2):
    """Smooth fields of mean, variance and nu (batch, 3, n), in the units of the equations."""
    x = torch.arange(N, dtype=torch.float64) / N
    phase = torch.arange(batch, dtype=torch.float64).unsqueeze(-1)
    wave = [torch.cos(2 * math.pi * (x + 0.1 * number) + phase) for number in range(3)]
    return torch.stack([0.25 + 0.2 * wave[0], 2.5e-5 * (1 + 0.4 * wave[1]), 2e-3 * (1 + 0.3 * wave[2])], dim=1)


def stored(fields):
    """The same as the task sees them: scaled, normalised, flat."""
    scales = torch.tensor(list(SCALES.values()), dtype=torch.float64).unsqueeze(-1)
    return ((fields / scales - MEAN) / SCALE).flatten(-2)


def test_forecasts_are_those_of_the_generated_module():
    system = build(read_system(find_system("burgers_uncertainty"))[0], (N,), order=4, kappa=0.001, a=0.9)
    with torch.no_grad():
        truth = integrate(system, start(), dt=STEP / 2, steps=6, scheme=RK4, every=2)[1:]
        found = Rollout(made(values={"kappa": 0.001, "a": 0.9}, order=4, substeps=2), 3)(stored(start()))
    assert float((found - stored(truth).movedim(0, 1)).abs().max()) < 1e-12


def test_a_state_without_an_axis_of_fields_and_another_length():
    with torch.no_grad():
        net = made({"system": HEAT, "lengths": {"x": 2 * math.pi}, "scheme": "rk38"}, shape=(N,), step=0.001)
        x = 2 * math.pi * torch.arange(N, dtype=torch.float64) / N
        found = Rollout(net, 10)(torch.sin(x)[None])[0, -1] * SCALE + MEAN
        decay = 2 * (1 - math.cos(2 * math.pi / N)) / (2 * math.pi / N) ** 2  # of a wave on the grid
        expected = MEAN + SCALE * torch.sin(x) * math.exp(-0.5 * decay * 0.01)
    assert float((found - expected).abs().max()) < 1e-10


@pytest.mark.parametrize(
    ("system", "shape"), [("burgers_uncertainty_network", (3, N)), (BOX, (5, 6)), (BOX, (1, 5, 6))]
)
@pytest.mark.parametrize("width", [1, 3])
def test_a_network_starts_from_nothing_and_every_value_has_a_gradient(system, shape, width):
    scales = SCALES if isinstance(system, str) else {}
    net = made({"system": system, "scales": scales}, shape=shape, width=width)
    state = stored(start()) if isinstance(system, str) else torch.randn(2, 30, dtype=torch.float64)
    others = {"values": {"a": 0.0, "b": 0.0, "c": 0.0}, "scales": SCALES, "learn": False}
    if isinstance(system, str):
        assert torch.equal(Rollout(net, 1)(state), Rollout(made(others), 1)(state))
    torch.nn.init.normal_(net.tendency.C.net[-1].weight)
    Rollout(net, 2)(state).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in net.parameters())


def test_a_network_can_be_the_published_closure():
    net = made({"system": "burgers_uncertainty_network", "scales": SCALES}, hidden=2, layers=1)
    small = 1e-4  # where tanh is linear
    first, last = net.tendency.C.net[0], net.tendency.C.net[-1]
    with torch.no_grad():
        first.weight.zero_(), first.bias.zero_()
        first.weight[0, 0], first.weight[1, 1] = small, small
        last.weight[0, :, 0] = torch.tensor([1 / small, -2 / small])
        last.bias.fill_(0.75)
        found, expected = (Rollout(n, 3)(stored(start())) for n in (net, made()))
    assert float((found - expected).abs().max()) < 1e-6 * float((expected[:, -1] - stored(start())).abs().max())


def test_known_numbers_are_found_again_from_what_they_made():
    truth = {"a": 0.93, "b": 0.76, "c": -1.8}
    with torch.no_grad():
        forecasts = Rollout(made(values=truth), 30)(stored(start()))
    batch = Batch(forecasts[:, :-1].flatten(0, 1), forecasts[:, 1:].flatten(0, 1).unsqueeze(1), torch.zeros(58, 1))
    net = made(draw=0.1, seed=3)
    drawn = [p.item() for p in net.parameters()]
    assert drawn == [p.item() for p in made(draw=0.1, seed=3).parameters()]
    assert drawn != [p.item() for p in made(draw=0.1, seed=4).parameters()]
    fit_least_squares(Rollout(net, 1), batch, batch, iterations=20, scale=1.0)
    assert {name: getattr(net.tendency, name).item() for name in truth} == pytest.approx(truth, abs=1e-8)


def test_gradients_are_right_and_single_precision_works():
    net = made()
    state = stored(start(1)).requires_grad_()
    names = list(dict(net.named_parameters()))

    def forecast(state, *values):
        return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (state, None), strict=False)[0]

    net.forward = net.advance
    values = [p.detach().clone().requires_grad_() for p in net.parameters()]
    assert torch.autograd.gradcheck(forecast, (state, *values), eps=1e-6, atol=1e-5, fast_mode=True)
    exact = Rollout(made(), 3)(stored(start())).detach()
    rough = Rollout(made().float(), 3)(stored(start()).float()).detach()
    assert rough.dtype == torch.float32
    assert float((rough - exact).abs().max()) < 1e-4


def test_what_is_stored_is_the_system_and_not_its_name(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(find_system("burgers").read_text())
    options = GeneratedPde.Options(system=str(file))
    file.unlink()
    plain = options.model_dump(mode="json")
    assert plain["system"]["equations"] == {"u": "kappa * Derivative(u, x, 2) - u * Derivative(u, x)"}
    assert GeneratedPde.Options.model_validate(plain) == options == GeneratedPde.Options(system="burgers")


def test_a_file_that_sorts_its_keys_does_not_sort_the_fields_of_a_state():
    for name, shape in (("burgers_uncertainty", (3, N)), ("shallow_water", (3, 6, 8))):
        options = GeneratedPde.Options(system=name, points="states")
        again = GeneratedPde.Options.model_validate(
            json.loads(json.dumps(options.model_dump(mode="json"), sort_keys=True))
        )
        assert list(again.system.equations) != list(options.system.equations)
        torch.manual_seed(0)
        state = 1 + 0.1 * torch.rand(1, math.prod(shape), dtype=torch.float64)
        sizes = {"shape": shape, "step": 1e-5, "mean": 0.0, "scale": 1.0}
        first, second = (Rollout(GeneratedPde.build(o, **sizes), 1)(state) for o in (options, again))
        assert torch.equal(first, second)
    with pytest.raises(ValidationError, match="fields are u, not u, f in some order"):
        GeneratedPde.Options(system={**HEAT, "equations": {"u": "f", "f": "u"}, "fields": ["u"]})


def test_reading_the_options_loads_neither_torch_nor_sympy():
    import subprocess

    code = (
        "import sys; from pipeline_lib.models.generated_pde import GeneratedPde; GeneratedPde.Options();"
        "print([m for m in ('torch', 'sympy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"system": "burger"}, "burger: no such file or example; did you mean 'burgers'?"),
        ({"system": "gone.yaml"}, "gone.yaml"),
        ({"width": 2}, "2 is not an odd number of points"),
        ({"scales": {"u": 0.0}}, "the scale 0 of u is not positive"),
    ],
)
def test_options_that_say_nothing_are_one_line(options, line):
    with pytest.raises(ValidationError, match=line.replace("?", r"\?")) as caught:
        GeneratedPde.Options(**options)
    (error,) = caught.value.errors()
    assert "\n" not in error["msg"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"system": "burgers"}, r"burgers: states \(3, 48\) do not hold the fields u along x; choose a system"),
        ({"system": "diffusion"}, "diffusion: no state tells the field k_xx; make it a constant"),
        (
            {"system": {**HEAT, "equations": {"u": "sin(t) * u"}}},
            "heat: no state tells the time t; write the equations",
        ),
        ({"values": {"kapa": 1.0}}, "generated_pde.values: kapa is no part of the system; did you mean 'kappa'"),
        ({"lengths": {"y": 1.0}}, "generated_pde.lengths: y is no part of the system; known: x"),
        ({"scales": {"v": 1.0}}, "generated_pde.scales: v is no part of the system"),
        ({"order": 3}, "order 3 of accuracy is not available"),
        ({"system": {**HEAT, "equations": {"u": "m * u"}}}, "equations.u: the symbol m is not declared; known"),
    ],
)
def test_systems_that_do_not_fit_are_one_line(options, line):
    with pytest.raises(ConfigError, match=line) as caught:
        made(options)
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize(
    ("options", "shape", "line"),
    [
        (
            {"system": "burgers"},
            (3,),
            "burgers: states lie on 3 points, the system on 241 points; choose the system of",
        ),
        ({"system": "shallow_water"}, (3, 100, 50), "states lie on 100 x 50 points, the system on 50 x 100 points"),
        ({"system": BOX, "width": 7}, (5, 6), "generated_pde.width: is 7, and states lie on 5 x 6 points; take a"),
    ],
)
def test_states_on_other_points_than_the_system_are_refused(options, shape, line):
    with pytest.raises(ConfigError, match=line):
        made({**options, "points": "system"}, shape=shape)


def test_a_system_on_its_own_points_needs_no_word_about_them():
    made({"system": BOX, "points": "system"}, shape=(5, 6))
    made({"system": "burgers", "points": "states"}, shape=(3,))


def test_a_closure_is_called_alike_everywhere():
    system = {**HEAT, "closures": ["C"], "equations": {"u": "k * C(u) + C(u, Derivative(u, x))"}}
    with pytest.raises(ConfigError, match="C is called with 1, 2 arguments; call it with the same number"):
        made({"system": system}, shape=(N,))


def test_other_sources_have_their_equations_too():
    """Velocity and a force that stands still, as one state."""
    system = {
        "name": "pushed",
        "coordinates": {"x": 2 * math.pi},
        "grid": [32],
        "constants": {"viscosity": 0.04},
        "equations": {"u": "viscosity * Derivative(u, x, 2) - u * Derivative(u, x) + f", "f": "0 * f"},
    }
    net = made({"system": system}, shape=(2, 32), mean=0.0, scale=1.0, step=0.05)
    assert not list(net.parameters())
    x = np.arange(32) * 2 * np.pi / 32
    state = np.stack([np.sin(x), 0.3 * np.cos(2 * x)])
    found = Rollout(net, 1)(torch.from_numpy(state).reshape(1, -1)).reshape(2, 32).numpy()

    def tendency(u):
        around, dx = (np.roll(u, -1), np.roll(u, 1)), 2 * np.pi / 32
        return 0.04 * (around[0] - 2 * u + around[1]) / dx**2 - u * (around[0] - around[1]) / (2 * dx) + state[1]

    stages = [tendency(state[0])]
    for share in (0.5, 0.5, 1.0):
        stages.append(tendency(state[0] + share * 0.05 * stages[-1]))
    expected = state[0] + 0.05 * (stages[0] + 2 * stages[1] + 2 * stages[2] + stages[3]) / 6
    np.testing.assert_allclose(found, [expected, state[1]], atol=1e-13)


def test_numbers_that_are_not_learned_are_not_drawn():
    """They are not among the weights: a stored model would predict with others."""
    with pytest.raises(ValidationError, match=r"draw 0.1 with learn: false: leave draw out, or give numbers in values"):
        GeneratedPde.Options(learn=False, draw=0.1)
    first, second = (made(learn=False, seed=seed) for seed in (0, 1))
    second.load_state_dict(first.state_dict())
    state = stored(start())
    assert torch.equal(first.advance(state, None)[0], second.advance(state, None)[0])
