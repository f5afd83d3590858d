"""A tiny radar through all stages: networks with the loss of HKO-7 beside an optical flow, offline and online."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from pipeline_lib.io.manifest import read_manifest
from tests.fetch.helpers import sha256
from tests.readers.layouts import MISSING, knmi
from tests.tasks.nowcasting.projects import Finished, futures, starts_within, write_frames_project

SEEN, LEADS, BLOCK = 3, 2, 4
STEP = np.timedelta64(5, "m")
RAW, REDUCE = 40, 2
ROWS, COLUMNS = (2, 14), (4, 16)
INNER = (..., slice(*ROWS), slice(*COLUMNS))
NOISE = 0.27647
RELATION, OTHER = (200.0, 1.6), (58.53, 1.56)
"""Factor and exponent of Z = a R^b: that of the data, and that of HKO-7."""
VALIDATION = ("2010-08-26T02:00", "2010-08-26T02:35")
TEST = ("2010-08-26T03:00", "2010-08-26T04:15")
STRETCHES = (("2010-08-26T00:05", 14), (VALIDATION[0], 8), (TEST[0], 16))
"""First frame, and how many follow each other."""
LADDER = {
    "stem": 2,
    "widths": [2, 3],
    "down": [{"kernel": 3, "stride": 2}, {"kernel": 3, "stride": 2}],
    "up": [{"kernel": 4, "stride": 2}, {"kernel": 4, "stride": 2}],
}
GRU = {**LADDER, "kernel_state": [3, 3], "dilation": [1, 1]}
EXPERIMENT = {
    "title": "Tiny radar",
    "task": "nowcasting",
    "source": "tiny-radar",
    "inputs": ["echo"],
    "split": {
        "train": ["2010-08-26 00:00", "2010-08-26 01:30"],
        "validation": [time.replace("T", " ") for time in VALIDATION],
        "test": [time.replace("T", " ") for time in TEST],
        "gap_days": 0,
    },
    "training": {
        "seen": SEEN,
        "leads": LEADS,
        "step_minutes": 5,
        "loss": "balanced",
        "batch_size": 4,
        "windows": 4,
        "max_epochs": 1,
        "patience": None,
        "precision": "float32",
    },
    "scoring": {
        "metrics": ["csi_0.5", "b_mse", "b_mae", "rain_mse", "frame_mse_lead_2"],
        "interior": {"rows": list(ROWS), "columns": list(COLUMNS)},
        "intervals": {"block_days": 0.01, "resamples": 200},
    },
    "models": [
        {"name": "rover1", "model": "rover", "options": {"max_level": 1}},
        {"name": "unet", "model": "frame_unet", "options": {"widths": [3, 4], "residual": True}},
        {"name": "cnn_3d", "model": "frame_cnn", "options": {"kind": "3d", "width": 2}},
        {"name": "convgru", "model": "convgru", "options": GRU},
        {"name": "trajgru", "model": "trajgru", "options": {**LADDER, "links": [2, 2], "flow_hidden": 2}},
        {
            "name": "convgru_online",
            "model": "convgru",
            "options": GRU,
            "training": {"online": {"block": BLOCK, "learning_rate": 0.01}},
        },
    ],
    "seeds": [0],
}
MODELS = [entry["name"] for entry in EXPERIMENT["models"]]


def counts(number: int) -> np.ndarray:
    """Hundredths of a millimetre: a heavy shower that moves over drizzle; no radar sees a corner."""
    y, x = np.mgrid[:RAW, :RAW]
    shower = 500 * np.exp(-((y - 16) ** 2 + ((x - 2 * number + 8) % RAW - 16) ** 2) / 30)
    drizzle = (np.random.default_rng(number).random((RAW // REDUCE,) * 2) < 0.2).astype(int)
    fell = np.maximum(shower.astype(int), np.kron(drizzle, np.ones((REDUCE, REDUCE), int)))
    fell[:4, :4] = MISSING
    return fell


@pytest.fixture(scope="module")
def radar(tmp_path_factory) -> Finished:
    folder = tmp_path_factory.mktemp("radar")
    (folder / "incoming").mkdir()
    ends = [
        datetime.fromisoformat(first) + number * timedelta(minutes=5)
        for first, length in STRETCHES
        for number in range(length)
    ]
    files = [knmi(folder / "incoming", counts(i), end=f"{end:%Y-%m-%dT%H:%M}") for i, end in enumerate(ends)]
    a, b = RELATION
    write_frames_project(
        folder,
        EXPERIMENT,
        entry={
            "driver": "pipeline_lib.readers.intake_driver.Files",
            "args": {"urlpath": "{{ data_dir }}/tiny-radar/raw/*.h5"},
        },
        reader="knmi_radar",
        variables={"rain_rate": {"name": "rain_rate", "units": "mm h-1", "valid_min": 0.0, "valid_max": 200.0}},
        time={"start": "2010-08-26", "end": "2010-08-26", "step_hours": 1 / 12},
        fetch={
            "driver": "file",
            "path": str(folder / "incoming/{file}"),
            "sha256": {file.name: sha256(file.read_bytes()) for file in files},
        },
        preparation={
            "name": "rain_frames",
            "options": {
                "variable": "rain_rate",
                "a": a,
                "b": b,
                "lowest_dbz": -10.0,
                "highest_dbz": 60.0,
                "reduce": REDUCE,
                "noise_below": NOISE,
            },
        },
    )
    return Finished.of(folder, "tiny-radar", "2010-08")


def rates(share: np.ndarray, relation: tuple[float, float] = RELATION) -> np.ndarray:
    """Rain rates in mm/h of shares between -10 and 60 dBZ."""
    factor, exponent = relation
    wet = 10 ** ((70 * share - 10 - 10 * np.log10(factor)) / (10 * exponent))
    return np.where(share > 0, wet, 0.0)


def asked(truth: np.ndarray) -> np.ndarray:
    """Cells that are asked about: those with a value that is no noise."""
    return np.isfinite(truth) & ~((truth > 0) & (truth < NOISE))


def weights(truth: np.ndarray, relation: tuple[float, float] = RELATION) -> np.ndarray:
    return np.choose(np.digitize(rates(truth, relation), [2, 5, 10, 30]), [1, 2, 5, 10, 30])


def test_scores_are_those_of_the_products_and_frames_of_the_interior(radar):
    ds, found = radar.dataset(), radar.scores()
    starts = starts_within(ds.time.values, *TEST, seen=SEEN, leads=LEADS, step=STEP)
    truth = futures(ds.echo.values, starts, LEADS)[INNER]
    known = asked(truth)
    assert 0 < (~known).sum() < known.size / 2
    rain = rates(truth)
    assert set(np.unique(weights(truth)[known])) == {1, 2, 5, 10, 30}
    for model in MODELS:
        forecast = radar.product(model).forecast.sel(time=ds.time.values[starts])
        guess = forecast.values.astype(float)[INNER].clip(0, 1)
        error, guessed = np.where(known, guess - truth, 0), rates(guess)
        cells, across = known.sum(axis=(0, 2, 3)), (0, 2, 3)
        expected = {
            "b_mse": np.where(known, weights(truth) * error**2, 0).sum() / (len(starts) * LEADS),
            "b_mae": np.where(known, weights(truth) * abs(error), 0).sum() / (len(starts) * LEADS),
            "rain_mse": (np.where(known, guessed - rain, 0) ** 2).sum(axis=across) / cells,
            "frame_mse_lead_2": (error**2).sum(axis=across)[1] / cells[1],
        }
        yes, event = known & (guessed >= 0.5), known & (rain >= 0.5)
        expected["csi_0.5"] = (yes & event).sum(axis=across) / (yes | event).sum(axis=across)
        given = {name: float(np.mean(values)) for name, values in expected.items()}
        assert {name: found[model, name] for name in given} == pytest.approx(given, rel=5e-6), model  # six digits


def test_all_competitors_are_scored_on_the_same_starts(radar):
    times = radar.dataset().time.values
    starts = starts_within(times, *TEST, seen=SEEN, leads=LEADS, step=STEP)
    assert len(starts) == 12
    for model in MODELS:
        np.testing.assert_array_equal(radar.counts(model).time, times[starts])
    board = read_manifest(radar.results / "leaderboard.json", kind="leaderboard").content
    assert (board["date_count"], board["invalid"]) == (12, {})


@pytest.mark.parametrize("model", ["unet", "convgru", "trajgru"])
def test_the_loss_is_that_of_the_rain_rates_of_the_data(radar, model):
    ds = radar.dataset()
    starts = starts_within(ds.time.values, *VALIDATION, seen=SEEN, leads=LEADS, step=STEP)
    assert len(starts) == 4
    truth = futures(ds.echo.values, starts, LEADS)
    error = radar.forecast(model, ds.echo.values, starts, SEEN) - truth

    def loss(cells: np.ndarray, relation: tuple[float, float]) -> float:
        costs = np.where(cells, weights(truth, relation) * (error**2 + abs(error)), 0)
        return 1e-5 * costs.sum(axis=(2, 3)).mean()

    (told,) = radar.history(model)["val_loss"]
    assert told == pytest.approx(loss(asked(truth), RELATION), rel=1e-5)
    # Another relation between reflectivity and rain would be another loss, and so would noise.
    assert abs(loss(asked(truth), OTHER) / told - 1) > 0.01
    assert abs(loss(np.isfinite(truth), RELATION) / told - 1) > 0.01


def test_an_online_network_leaves_the_other_one_a_block_after_the_first_that_ends_a_window(radar):
    weights = [radar.model(name).file("best.pt").read_bytes() for name in ("convgru", "convgru_online")]
    assert weights[0] == weights[1]
    still, follows = (radar.product(name) for name in ("convgru", "convgru_online"))
    np.testing.assert_array_equal(still.time, follows.time)
    times, arrived = radar.dataset().time.values, {}
    for number, time in enumerate(times):
        row = number and times[number] - times[number - 1] == STEP
        arrived[time] = arrived[times[number - 1]] + 1 if row else 1
    # More: batches of other sizes round otherwise.
    changed = abs(still.forecast - follows.forecast).max(("lead", "y", "x")) > 1e-5
    # The step on a window is made before the next block comes.
    expected = [(arrived[time] // BLOCK - 1) * BLOCK >= SEEN + LEADS for time in still.time.values]
    assert set(expected) == {True, False}
    np.testing.assert_array_equal(changed, expected)


def test_the_report_shows_every_competitor(radar):
    read_manifest(radar.results / "report.json", kind="report", verify="deep")
    page = (radar.results / "report.html").read_text()
    for title in ("ROVER", "U-Net", "CNN", "ConvGRU", "TrajGRU"):
        assert title in page
    assert page.count("data:image/gif;base64,") == 1
