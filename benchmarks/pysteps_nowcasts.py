"""What pysteps forecasts from given frames; run by an environment of its own, see ``pysteps_reference.py``."""

from __future__ import annotations

import sys

import numpy as np
from pysteps.extrapolation.semilagrangian import extrapolate
from pysteps.motion.lucaskanade import dense_lucaskanade
from pysteps.nowcasts import sprog, steps

LEAST, NO_RAIN = -10.0, -15.0
"""dB of 0.1 mm/h, from which on it rains, and of no rain: the defaults of pysteps' ``dB_transform``."""
PAST = 3
"""Frames for the flow and for autoregression of second order, as in pysteps' examples."""


def decibels(rate):
    """Rain rates in dB."""
    return np.where(rate >= 10 ** (LEAST / 10), 10 * np.log10(np.maximum(rate, 1e-9)), NO_RAIN)


def rates(decibel):
    """Rain rates [mm/h]; where nothing is known, which came in from beyond the frames, there is none."""
    return np.where(decibel >= LEAST, 10 ** (np.nan_to_num(decibel, nan=NO_RAIN) / 10), 0.0).astype(np.float32)


def main(given: str, found: str) -> None:
    """Read rain rates (start, seen, rows, columns), write forecasts (start, [member,] lead, rows, columns)."""
    with np.load(given) as stored:
        seen, leads, members = stored["seen"].astype(np.float64), int(stored["leads"]), int(stored["members"])
        kilometres, minutes = float(stored["kilometres"]), float(stored["minutes"])
    made = {"lucas_kanade": [], "sprog": [], "steps": []}
    for number, frames in enumerate(seen):
        past = decibels(frames[-PAST:])
        flow = dense_lucaskanade(past)
        made["lucas_kanade"].append(extrapolate(frames[-1], flow, leads, outval=0.0).astype(np.float32))
        made["sprog"].append(rates(sprog.forecast(past, flow, leads, precip_thr=LEAST)))
        options = {"n_ens_members": members, "precip_thr": LEAST, "kmperpixel": kilometres, "timestep": minutes}
        made["steps"].append(rates(steps.forecast(past, flow, leads, seed=number, **options)))
    np.savez(found, **{name: np.stack(forecasts) for name, forecasts in made.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
