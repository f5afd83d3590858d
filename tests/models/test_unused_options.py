"""Options without effect beside others are refused, at their defaults they pass."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.dynamics.options import TrainingOptions as DynamicsTraining
from pipeline_lib.tasks.site_forecast.options import TrainingOptions as SiteTraining
from pipeline_lib.train.options import LoopOptions

OF_TRAINING = {"training": LoopOptions, "site training": SiteTraining, "dynamics training": DynamicsTraining}
"""Options classes that are no model's."""
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
    "weights of the other flow": ("optical_flow", {"method": "farneback"}, {"deviation": 3.0}),
    "a square of the other flow": ("optical_flow", {"method": "lucas_kanade"}, {"window": 31}),
    "cells of the other flow": ("optical_flow", {"method": "lucas_kanade"}, {"poly_n": 3}),
    "a deviation of the other flow": ("optical_flow", {"method": "lucas_kanade"}, {"poly_sigma": 2.0}),
    "the middle of no stretch": ("rover", {"response": "linear"}, {"centre": 20.0}),
    "the width of no stretch": ("rover", {}, {"sharpness": 2.0}),
    "the bottom of no stretch": ("rover", {}, {"lowest": 0.0}),
    "the top of no stretch": ("rover", {}, {"highest": 70.0}),
    "a kernel of vectors": ("deeprain", {"cells": "dense"}, {"kernel": 5}),
    "patches of vectors": ("deeprain", {"cells": "dense"}, {"patch": 2}),
    "a middle of vectors": ("deeprain", {"cells": "dense"}, {"crop": 99}),
    "momentum of squares": ("training", {"optimizer": "rmsprop"}, {"momentum": 0.5}),
    "memory of adam": ("training", {"optimizer": "adam"}, {"memory": 0.5}),
    "memory of descent": ("training", {"optimizer": "sgd"}, {"memory": 0.5}),
    "steps of a constant rate": ("training", {"schedule": "constant"}, {"milestones": [0.1]}),
    "a factor of a smooth rate": ("training", {"schedule": "cosine"}, {"factor": 0.5}),
    "momentum of least squares": ("dynamics training", {"optimizer": "levenberg_marquardt"}, {"momentum": 0.5}),
    "runs of no prediction": ("site training", {}, {"nwp_run_hours": 6.0}),
    "delay of no prediction": ("site training", {}, {"nwp_delay_hours": 4.0}),
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
    "polynomials": ("optical_flow", {"method": "farneback", "window": 31, "poly_n": 3, "poly_sigma": 2.0}),
    "weights of neighbours": ("optical_flow", {"method": "lucas_kanade", "deviation": 3.0}),
    "a stretch": (
        "rover",
        {"response": "nonlinear", "centre": 20.0, "sharpness": 2.0, "lowest": 0.0, "highest": 70.0},
    ),
    "cells of frames": ("deeprain", {"kernel": 5, "patch": 2, "crop": 7}),
    "momentum": ("training", {"optimizer": "adam", "momentum": 0.5}),
    "momentum of descent": ("training", {"optimizer": "sgd", "momentum": 0.5}),
    "memory": ("training", {"optimizer": "rmsprop", "memory": 0.5}),
    "steps": ("training", {"schedule": "steps", "milestones": (0.1,), "factor": 0.5}),
    "runs of a prediction": ("site training", {"nwp": ("u",), "nwp_run_hours": 6.0, "nwp_delay_hours": 4.0}),
}


def options_of(name):
    """The options class of a model, or of a training."""
    return OF_TRAINING[name] if name in OF_TRAINING else MODELS.get(name).Options


@pytest.mark.parametrize("name", UNUSED)
def test_an_option_without_effect_is_refused(name):
    model, others, unused = UNUSED[name]
    options = options_of(model)
    # Stored options hold the defaults of all.
    options.model_validate(options.model_validate(others).model_dump(mode="json"))
    with pytest.raises(ValidationError, match=f"{next(iter(unused))} has no effect: .*; leave it out"):
        options.model_validate({**others, **unused})


@pytest.mark.parametrize("name", USED)
def test_an_option_with_an_effect_is_taken(name):
    model, given = USED[name]
    options = options_of(model).model_validate(given)
    assert {key: getattr(options, key) for key in given} == given
