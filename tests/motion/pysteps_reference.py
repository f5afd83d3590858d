"""What pysteps and OpenCV make of given frames; run by an environment of their own, see ``test_pysteps.py``."""

from __future__ import annotations

import sys

import cv2
import numpy as np
from pysteps.extrapolation.semilagrangian import extrapolate
from pysteps.motion.lucaskanade import dense_lucaskanade


def main(given: str, found: str) -> None:
    """Read frames (2, rows, columns) of grey values and a flow, write flows and forecasts."""
    with np.load(given) as stored:
        frames, flow, leads = stored["frames"], stored["flow"], int(stored["leads"])
    images = [np.clip(frame, 0, 255).round().astype(np.uint8) for frame in frames]
    lucas_kanade = dense_lucaskanade(frames)
    np.savez(
        found,
        moved=extrapolate(frames[-1], flow, leads, outval=0.0),
        lucas_kanade=lucas_kanade,
        forecast=extrapolate(frames[-1], lucas_kanade, leads, outval=0.0),
        farneback=np.moveaxis(cv2.calcOpticalFlowFarneback(*images, None, 0.5, 3, 15, 3, 5, 1.2, 0), -1, 0),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
