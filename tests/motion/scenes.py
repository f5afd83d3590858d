"""Frames whose motion is known."""

from __future__ import annotations

import numpy as np
import torch


def blobs(shift=(0.0, 0.0), size=(64, 72), *, count=40, widths=(3.0, 7.0), turn=0.0, seed=0, top=200.0):
    """Gaussians at the same random places, moved by (columns, rows) and turned about the middle; float64 (1, h, w)."""
    height, width = size
    rows, columns = np.mgrid[:height, :width].astype(float)
    draw = np.random.default_rng(seed)
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    frame = np.zeros(size)
    for x, y, w, a in zip(
        draw.uniform(-10, width + 10, count),
        draw.uniform(-10, height + 10, count),
        draw.uniform(*widths, count),
        draw.uniform(0.3, 1, count),
        strict=True,
    ):
        dx, dy = x - centre_x, y - centre_y
        there_x = centre_x + np.cos(turn) * dx - np.sin(turn) * dy + shift[0]
        there_y = centre_y + np.sin(turn) * dx + np.cos(turn) * dy + shift[1]
        frame += a * np.exp(-((columns - there_x) ** 2 + (rows - there_y) ** 2) / (2 * w**2))
    return torch.from_numpy(top * frame / 3)[None]


def rotation(size, turn):
    """Displacements (1, 2, h, w) by which a field turns about the middle."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(float)
    dx, dy = columns - (size[1] - 1) / 2, rows - (size[0] - 1) / 2
    moved = np.stack((np.cos(turn) * dx - np.sin(turn) * dy - dx, np.sin(turn) * dx + np.cos(turn) * dy - dy))
    return torch.from_numpy(moved)[None]


def interior(flow, margin=14):
    return flow[..., margin:-margin, margin:-margin]


def root_mean_square(values):
    return float(values.square().mean().sqrt())
