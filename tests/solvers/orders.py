"""Orders of the global error of the schemes in the step, as textbooks have them."""

from __future__ import annotations

from pipeline_lib.solvers.schemes import SCHEMES

_BY_NAME = {
    "euler": 1,
    "midpoint": 2,
    "heun": 2,
    "ssp3": 3,
    "rk4": 4,
    "rk38": 4,
    "dormand_prince": 5,
    "backward_euler": 1,
    "ab2": 2,
    "ab3": 3,
    "ab4": 4,
}
ORDER = {scheme: _BY_NAME[name] for name, scheme in SCHEMES.items()}
