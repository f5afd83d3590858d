"""Options without effect beside others are refused, at their defaults they pass."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline_lib.models.registry import MODELS

TABLEAU = {"stages": [[0.5]], "weights": [0, 1]}
UNUSED = {
    "features of equations": ("fourdvarnet", {"prior": "lorenz96"}, {"features": 20}),
    "a kernel of equations": ("fixed_point_network", {"prior": "lorenz63"}, {"kernel": 7}),
    "a ring of three components": ("fourdvarnet", {"prior": "lorenz63"}, {"ring": True}),
    "a ring without convolutions": ("fixed_point_network", {"prior": "lorenz96"}, {"ring": True}),
    "groups of batches": ("scheme_resnet", {"normalisation": "batch"}, {"groups": 4}),
    "groups of nothing": ("scheme_resnet", {"normalisation": "none"}, {"groups": 4}),
    "iterations of one step": ("scheme_resnet", {"block": "euler"}, {"iterations": 3}),
    "a scheme of leapfrog steps": ("known_dynamics", {"system": "shallow_water"}, {"scheme": "euler"}),
    "a scheme beside a tableau": ("bilinear", {"tableau": TABLEAU}, {"scheme": "euler"}),
    "windows of whole states": ("analog", {}, {"shared": True}),
    "on a ring": ("bilinear_stencil", {"tableau": TABLEAU}, {"scheme": "euler"}),
    "of a network": ("ode_network", {"tableau": TABLEAU}, {"scheme": "euler"}),
    "cells of no closure": ("burgers_closure", {"closure": "none"}, {"width": 6}),
    "cells of a formula": ("burgers_closure", {"closure": "smagorinsky"}, {"width": 6}),
    "channels of a linear flux": ("burgers_closure", {"closure": "linear"}, {"hidden": 8}),
    "layers of a formula": ("quasigeostrophic_closure", {"closure": "leith"}, {"layers": 2}),
    "channels on a plane": ("quasigeostrophic_closure", {"closure": "linear"}, {"hidden": 8}),
    "points of a formula": ("turbulence_closure", {"closure": "linear"}, {"width": 5}),
    "layers of a published network": ("turbulence_closure", {"closure": "invariant_network"}, {"layers": 2}),
    "channels in a box": ("turbulence_closure", {"closure": "linear_stencil"}, {"hidden": 8}),
}
USED = {
    "a ring of sites": ("fourdvarnet", {"prior": "lorenz96", "ring": True}),
    "a two-scale prior": ("fixed_point_network", {"features": 20, "kernel": 7, "ring": True}),
    "groups": ("scheme_resnet", {"normalisation": "group", "groups": 4}),
    "iterations": ("scheme_resnet", {"block": "implicit", "iterations": 3}),
    "a scheme": ("known_dynamics", {"system": "lorenz96", "scheme": "euler"}),
    "windows of a ring": ("analog", {"reach": 2, "shared": True}),
    "no tableau": ("bilinear", {"scheme": "euler"}),
    "a stencil": ("burgers_closure", {"closure": "linear", "width": 6}),
    "a wide stencil": ("quasigeostrophic_closure", {"closure": "linear", "width": 5, "layers": 2}),
    "a network": ("turbulence_closure", {"closure": "network", "width": 5, "layers": 2, "hidden": 8}),
    "a stencil in a box": ("turbulence_closure", {"closure": "linear_stencil", "width": 5, "layers": 2}),
}


@pytest.mark.parametrize("name", UNUSED)
def test_an_option_without_effect_is_refused(name):
    model, others, unused = UNUSED[name]
    options = MODELS.get(model).Options
    # Stored options hold the defaults of all.
    options.model_validate(options.model_validate(others).model_dump(mode="json"))
    with pytest.raises(ValidationError, match=f"{next(iter(unused))} has no effect: .*; leave it out"):
        options.model_validate({**others, **unused})


@pytest.mark.parametrize("name", USED)
def test_an_option_with_an_effect_is_taken(name):
    model, given = USED[name]
    options = MODELS.get(model).Options.model_validate(given)
    assert {key: getattr(options, key) for key in given} == given
