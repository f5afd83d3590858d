"""Runs DAPPER on given twins: ``python dapper_reference.py IN.npz OUT.npz``, with the interpreter that has DAPPER.

In: for each twin the observations, the first members, the covariance of 3D-Var and, as JSON, the system and the
methods. Out: the means of each method after (``a``) or, for smoothers, with (``s``) all observations, at the times of
the observations.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

import numpy as np


def main(given: str, result: str) -> None:
    """Run all methods of all twins on all repeats."""
    from dapper.da_methods.baseline import Var3D
    from dapper.da_methods.ensemble import LETKF, EnKF, EnKS, EnRTS
    from dapper.tools import progressbar
    from dapper.tools.seeding import set_seed

    progressbar.disable_progbar = True
    set_seed(1)
    makers = {"EnKF": EnKF, "LETKF": LETKF, "EnKS": EnKS, "EnRTS": EnRTS, "Var3D": Var3D}
    data, found = np.load(given), {}
    for name, twin in json.loads(str(data["twins"])).items():
        for label, method in twin["methods"].items():
            means = []
            members, values = data[f"{name}/{label}/members"], data[f"{name}/values"]
            for first, seen in zip(members, values, strict=True):
                own = {"B": data[f"{name}/{label}/covariance"]} if method["class"] == "Var3D" else {"N": len(first)}
                method_of = makers[method["class"]](**own, **method["options"])
                problem = model(twin["system"], twin["dt"], twin["every"], twin["variance"], first, len(seen))
                # Only scores use the truth, and 3D-Var to tell how large its errors are.
                truth = np.vstack([seen[:1], np.repeat(seen, twin["every"], axis=0)])
                method_of.assimilate(problem, truth, seen)
                means.append(getattr(method_of.stats.mu, "s" if "S" in label else "a"))
            found[f"{name}/{label}"] = np.array(means)
    np.savez(result, **found)


def model(system: str, dt: float, every: int, variance: float, first: np.ndarray, count: int):
    """All components observed; the first members are the given ones, a single one the mean that 3D-Var starts from."""
    import dapper.mods as modelling
    from dapper.tools.localization import nd_Id_localization
    from dapper.tools.randvars import RV, GaussRV

    size = first.shape[-1]
    dynamics = {"M": size, "model": import_module(f"dapper.mods.{system}").step, "noise": 0}
    observation = modelling.partial_Id_Obs(size, np.arange(size))
    observation["noise"] = variance
    observation["localizer"] = nd_Id_localization((size,))
    times = modelling.Chronology(dt, dko=every, Ko=count - 1, BurnIn=0)
    start = GaussRV(mu=first[0], C=1.0) if len(first) == 1 else RV(M=size, func=lambda _: first.copy())
    return modelling.HiddenMarkovModel(dynamics, observation, times, start)


if __name__ == "__main__":
    main(*sys.argv[1:])
