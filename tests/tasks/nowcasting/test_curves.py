"""Spectra of forecasts of known blur: which share of the power is drawn at which wavelength."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.report.context import Competitor, Run
from pipeline_lib.tasks.nowcasting.curves import draw_spectra
from pipeline_lib.tasks.nowcasting.options import ScoringOptions
from pipeline_lib.tasks.nowcasting.score import score_stores

ROWS, COLUMNS, LEADS = 24, 32, 2
FRAMES, FIRST_ROW, FIRST_COLUMN = 8, 3, 5
INTERIOR = {"rows": (FIRST_ROW, FIRST_ROW + ROWS), "columns": (FIRST_COLUMN, FIRST_COLUMN + COLUMNS)}
CUT = 4.0
"""Wavelength [cells] up to which waves are damped."""
DAMPED = (0.5, 0.3)
"""Amplitude that a seed leaves of them with every lead."""
TIMES = np.datetime64("2010-08-26", "ns") + np.arange(FRAMES) * np.timedelta64(300, "s")


@pytest.fixture(scope="module")
def frames() -> xr.DataArray:
    """Noise, of which a part is scored."""
    values = np.random.default_rng(0).random((FRAMES, ROWS + 9, COLUMNS + 10)).astype(np.float32)
    return xr.DataArray(values, {"time": TIMES}, ("time", "y", "x"), attrs={"units": "1"})


def damped(frames: np.ndarray, left: float) -> np.ndarray:
    """Frames in which short waves have so much of their amplitude."""
    wavenumber = np.hypot(np.fft.fftfreq(ROWS)[:, None], np.fft.fftfreq(COLUMNS))
    return np.fft.ifft2(np.fft.fft2(frames) * np.where(wavenumber * CUT >= 1, left, 1.0)).real


def forecasts(frames: xr.DataArray, left: float) -> xr.Dataset:
    """The true frames, blurred more and more in the part that is scored; what is outside has power of its own."""
    made = np.full((FRAMES, LEADS, *frames.shape[1:]), 1e3, np.float32)
    for start in range(FRAMES - LEADS):
        for lead in range(1, LEADS + 1):
            inner = (slice(FIRST_ROW, FIRST_ROW + ROWS), slice(FIRST_COLUMN, FIRST_COLUMN + COLUMNS))
            made[start, lead - 1][inner] = damped(frames.values[start + lead][inner], left**lead)
    told = {"forecast_of": "echo", "step_minutes": 5.0, "missing": 0.1, "seen": 1}
    return xr.Dataset({"forecast": (("time", "lead", "y", "x"), made, told)}, {"time": TIMES, "lead": [1, 2]})


@pytest.mark.parametrize("told", [True, False], ids=["with frames", "of counts alone"])
def test_what_is_drawn_is_the_share_of_the_power_that_is_left_at_each_wavelength(frames, told):
    scoring = {"metrics": ["power_left_4"], "interior": INTERIOR}
    ds, options = xr.Dataset({"echo": frames}), ScoringOptions.model_validate(scoring)
    runs = tuple(
        Run(seed, counts=score_stores(forecasts(frames, left), None, ds, options, where="blurs")[0])
        for seed, left in enumerate(DAMPED)
    )
    spec = SimpleNamespace(inputs=["echo"], scoring=scoring)
    blurs = Competitor("blurs", "Blurs", "red", runs, card={})
    drawn = draw_spectra(SimpleNamespace(valid=[blurs], dataset=ds if told else None, spec=spec))
    assert [ax.get_title() for ax in drawn.figure.axes] == ["1 frame ahead", "2 frames ahead"]
    for lead, ax in enumerate(drawn.figure.axes, start=1):
        (line,) = (line for line in ax.lines if line.get_label() == "Blurs")
        wavelengths, shares = line.get_data()
        # Of the part that is scored, whose shorter side holds so many waves.
        np.testing.assert_allclose(wavelengths, ROWS / np.arange(1, ROWS // 2 + 1))
        left = np.square(DAMPED) ** lead
        band = ax.collections[0].get_paths()[0].vertices
        # The window that frames fade by mixes waves whose number differs by one across either side.
        long, short = wavelengths >= ROWS / 4, wavelengths <= ROWS / 8
        assert long.sum() == 4
        assert short.sum() == 5
        np.testing.assert_allclose(shares[long], 1, rtol=1e-5)
        np.testing.assert_allclose(shares[short], left.mean(), rtol=1e-5)
        for wavelength in wavelengths[short]:
            at = band[np.isclose(band[:, 0], wavelength), 1]
            np.testing.assert_allclose((at.min(), at.max()), (left.min(), left.max()), rtol=1e-5)
        start, end = ax.get_xlim()
        assert start > end > 0  # long waves on the left
        assert (ax.get_xlabel(), ax.get_xscale(), ax.get_yscale()) == ("Wavelength [cells]", "log", "log")
        assert [line.get_ydata()[0] for line in ax.lines if line is not ax.lines[0]] == [1]
    assert drawn.figure.axes[0].get_ylabel() == "Power / power of the truth"
    assert [text.get_text() for text in drawn.figure.legends[0].texts] == ["Blurs"]


def test_without_a_score_there_is_no_spectrum():
    drawn = draw_spectra(SimpleNamespace(valid=[]))
    assert drawn.caption == "No model has a score."
