"""Storms through all stages: boxes, 3D-SCN beside extrapolation, scores where storms are and where none are yet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pandas import read_csv

from pipeline_lib.io.manifest import read_manifest
from tests.workflow.project import make_in_forks, simulated, write_files

SIMULATION = {"length": 8, "side": 24, "levels": 2, "patch_radius": [2, 2.5], "updrafts": 6, "buoyant": 6, "seed": 1}
"""Storms all over the place: scores are defined at each lead of a short test."""
FIELDS = {"reflectivity": "dBZ", "vertical_velocity": "m s-1", "buoyancy": "m s-2"}
EXPERIMENT = {
    "title": "Tiny storms",
    "task": "nowcasting",
    "source": "storms",
    "inputs": ["storm", *FIELDS],
    "split": {
        "train": ["2000-01-01", "2000-01-04"],
        "validation": ["2000-01-05", "2000-01-06"],
        "test": ["2000-01-07", "2000-01-10"],
        "gap_days": 0,
    },
    "training": {
        "seen": 2,
        "leads": 3,
        "step_minutes": 180,
        "loss": "cross_entropy",
        "batch_size": 4,
        "max_epochs": 1,
        "patience": None,
    },
    "scoring": {
        "metrics": [
            "csi_0.5",
            "pod_0.5_initiation",
            "pod_0.5_continuation",
            "csi_0.5_growth_lead_3",
        ],
        "intervals": {"block_days": 1.0},
    },
    "models": [
        "last_frame",
        {
            "name": "radar",
            "model": "storm_cnn",
            "options": {"levels": 2, "variables": [1], "widths": [4], "window": 5, "hidden": 4},
        },
    ],
}


@pytest.fixture(scope="module")
def storms(tmp_path_factory) -> Path:
    catalog = simulated(
        EXPERIMENT,
        simulation="storm_cells",
        step_hours=3.0,
        options=SIMULATION,
        preparation={"name": "storm_boxes", "options": {"box": 3, "keep": [*FIELDS, "age"]}},
    )
    units = {**FIELDS, "age": "1"}
    catalog["sources"]["storms"]["metadata"]["gyre"]["variables"] = {
        name: {"name": name, "units": unit} for name, unit in units.items()
    }
    folder = write_files(tmp_path_factory.mktemp("storms"), "storms", EXPERIMENT, catalog, device="cpu")
    make_in_forks(folder, "scores")
    return folder


def near(storm: np.ndarray, row: int, column: int) -> float:
    """Highest value up to three cells, a box, away."""
    return storm[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4].max()


def test_where_no_storm_is_near_the_last_frame_foresees_none(storms):
    table = read_csv(storms / "results/storms/leaderboard.csv").set_index(["model", "metric"])["value"]
    manifest = read_manifest(storms / "data/storms/dataset/2000-01.json", kind="dataset", verify="deep")
    ds = xr.open_zarr(manifest.file("2000-01.zarr"))
    assert ds.storm.attrs["box_cells"] == 3
    storm = ds.storm.sel(time=slice("2000-01-07", "2000-01-10")).values.reshape(4, 8, 24, 24)
    there = np.zeros((2, 3))
    for sequence in storm:
        for start in range(1, 5):
            for row, column in np.ndindex(24, 24):
                if near(sequence[start], row, column):
                    event = sequence[start + 1 : start + 4, row, column] == 1
                    there += [event & (sequence[start, row, column] == 1), event]
    assert table["last_frame", "pod_0.5_initiation"] == 0
    assert table["last_frame", "pod_0.5_continuation"] == pytest.approx((there[0] / there[1]).mean(), rel=1e-6)
    assert np.isfinite(table["radar", "csi_0.5_growth_lead_3"])
