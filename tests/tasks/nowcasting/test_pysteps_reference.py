"""The comparison with pysteps: forecasts of its environment, and scores of what it hands back."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from benchmarks.pysteps_reference import brier_rows, by_pysteps, scored
from pipeline_lib.tasks.nowcasting.options import ScoringOptions
from tests.motion.scenes import blobs
from tests.scales import HKO7

SEEN, LEADS, SIDE, MEMBERS = 3, 4, 64, 6
VELOCITY = (1.5, -1.0)
RULES = {"seen": SEEN, "step_minutes": 5.0, "missing": 0.0}
STARTS = np.array([2, 3])


def rain(frames: int) -> np.ndarray:
    """Rain rates (time, rows, columns) that move."""
    moved = [blobs((VELOCITY[0] * i, VELOCITY[1] * i), (SIDE, SIDE), widths=(3, 6), count=40) for i in range(frames)]
    return np.maximum(np.stack([frame[0].numpy() for frame in moved]) / 8 - 1, 0)


def stored(rate: np.ndarray) -> xr.Dataset:
    times = np.datetime64("2010-08-26", "ns") + np.arange(len(rate)) * np.timedelta64(300, "s")
    share = HKO7.to_share(rate).astype(np.float32)
    return xr.Dataset({"echo": (("time", "y", "x"), share, {"units": "1", **HKO7.attributes()})}, {"time": times})


def test_scores_are_those_of_loops_over_members_and_cells():
    rng = np.random.default_rng(0)
    ds = stored(rng.exponential(1.0, (8, 6, 6)))
    shapes = {"lucas_kanade": (2, 4, 6, 6), "sprog": (2, 4, 6, 6), "steps": (2, 5, 4, 6, 6)}
    made = {name: rng.exponential(1.0, shape).astype(np.float32) for name, shape in shapes.items()}
    options = ScoringOptions(metrics=["csi_0.5", "csi_2", "frame_mse"], interior={"rows": (1, 5)})
    counts, _, brier = scored(made, ds, "echo", STARTS, options, RULES)
    for threshold in (0.5, 2.0):
        errors, halves = [], 0
        for i, start in enumerate(STARTS):
            for lead in range(LEADS):
                for row in range(1, 5):
                    for column in range(6):
                        truth = HKO7.to_rate(float(ds.echo.values[start + 1 + lead, row, column])) >= threshold
                        share = (made["steps"][i, :, lead, row, column] >= threshold).mean()
                        errors.append((share - truth) ** 2)
                        halves += truth and share >= 0.5
        assert brier[threshold] == pytest.approx(np.mean(errors), rel=1e-6)
        # Of five members at least half are three: the median says the same.
        assert counts["pysteps_steps_median", 0][f"hits_{threshold:g}"].sum() == halves
    table = brier_rows(counts, brier, 2).set_index(["metric", "model"])["value"]
    wrong = (made["sprog"] >= 2) != (HKO7.to_rate(ds.echo.values[STARTS[:, None] + np.arange(1, 5)]) >= 2)
    assert table["brier_2", "pysteps_sprog"] == pytest.approx(wrong[:, :, 1:5].mean(), abs=1e-6)
    assert table["brier_0.5", "pysteps_steps"] < table["brier_0.5", "pysteps_steps_median"]


@pytest.mark.pysteps
def test_pysteps_follows_rain_that_moves():
    rate = rain(8)
    seen = rate[STARTS[:, None] + np.arange(1 - SEEN, 1)]
    options = {"leads": LEADS, "members": MEMBERS, "kilometres": 4.0, "minutes": 5.0}
    made, again = (by_pysteps(seen, **options) for _ in range(2))
    for name, found in made.items():
        assert found.shape == (2, *((MEMBERS,) if name == "steps" else ()), LEADS, SIDE, SIDE)
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        np.testing.assert_array_equal(found, again[name])
    ds = stored(rate)
    inner = {"rows": (0, 56), "columns": (8, SIDE)}  # what comes in over the border nobody knows
    scoring = ScoringOptions(metrics=["csi_2", "frame_mse"], interior=inner)
    counts, samples, brier = scored(made, ds, "echo", STARTS, scoring, RULES)
    shown = ds.echo.values[:, :56, 8:]
    still = ((shown[STARTS][:, None] - shown[STARTS[:, None] + np.arange(1, LEADS + 1)]) ** 2).mean()
    for (name, _), part in counts.items():
        error = float(part.squared_error.sum() / part.cells.sum())
        assert error < 0.5 * still, (name, error, still)
    assert not np.array_equal(made["sprog"], made["lucas_kanade"])
    apart = made["steps"].std(axis=1).mean(axis=(0, 2, 3))
    assert (np.diff(apart) > 0).all()  # members know less and less of each other
    assert 0 < brier[2.0] < 0.25
    assert len({sample.truths for sample in samples.values()}) == 1
