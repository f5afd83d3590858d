"""Spectra against Parseval's theorem, plane waves and white noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.signal import periodogram

from pipeline_lib.skill.spectra import radial_spectrum, rings


def periodic(frames):
    """The spectrum of frames that go on beyond their borders."""
    return rings(frames - frames.mean(axis=(-2, -1), keepdims=True))


sizes = st.tuples(st.integers(1, 3), st.integers(2, 17), st.integers(2, 17))


@given(st.integers(0, 2**32 - 1), sizes)
def test_parseval(seed, shape):
    frames = np.random.default_rng(seed).normal(3, 2, shape)
    spectrum = periodic(frames)
    np.testing.assert_allclose(spectrum.power @ spectrum.modes, frames.var(axis=(1, 2)), rtol=1e-10)
    assert spectrum.modes.sum() == shape[1] * shape[2]
    if max(shape[1:]) < 2 * min(shape[1:]):
        np.testing.assert_allclose(spectrum.power[..., 0], 0, atol=1e-20)


@given(st.integers(0, 2**32 - 1), sizes)
def test_parseval_of_tapered_frames(seed, shape):
    frames = np.random.default_rng(seed).normal(3, 2, shape)
    valid = np.random.default_rng(seed + 1).random(shape) < 0.9
    valid[:, 0, 0] = True
    spectrum = radial_spectrum(frames, valid)
    rows, columns = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n) for n in shape[1:])
    weight = rows[:, None] ** 2 * columns**2
    for frame, mask, power in zip(frames, valid, spectrum.power, strict=True):
        anomaly = np.where(mask, frame - frame[mask].mean(), 0)
        assert power @ spectrum.modes == pytest.approx((anomaly**2 * weight).sum() / weight.sum(), rel=1e-10)


@pytest.mark.parametrize(("along_rows", "along_columns"), [(3, 0), (0, 5), (3, 4), (6, 8), (16, 16)])
def test_a_plane_wave_lies_in_its_ring(along_rows, along_columns):
    n = 32
    i, j = np.mgrid[:n, :n]
    wave = 2 * np.cos(2 * np.pi * (along_rows * i + along_columns * j) / n)
    spectrum = periodic(wave)
    ring = round(np.hypot(along_rows, along_columns))
    assert spectrum.wavenumber[ring] == ring / n
    variance = spectrum.power * spectrum.modes
    assert variance[ring] == pytest.approx(wave.var(), rel=1e-12)
    assert np.delete(variance, ring) == pytest.approx(0, abs=1e-20)


def test_cells_are_as_wide_as_high_in_frames_that_are_not_square():
    rows, columns = 16, 48
    i, j = np.mgrid[:rows, :columns]
    for wave in (np.cos(2 * np.pi * i / 8), np.cos(2 * np.pi * j / 8)):
        spectrum = periodic(wave)
        assert spectrum.wavenumber[spectrum.power.argmax()] == 1 / 8


def test_a_row_of_equal_lines_has_the_spectrum_of_the_line():
    line = np.random.default_rng(0).normal(size=32)
    _, power = periodogram(line, detrend="constant", scaling="spectrum")
    spectrum = periodic(np.tile(line, (32, 1)))
    np.testing.assert_allclose((spectrum.power * spectrum.modes)[:17], power, atol=1e-14)


@pytest.mark.parametrize("spectrum_of", [radial_spectrum, periodic])
def test_noise_is_white(spectrum_of):
    noise = np.random.default_rng(0).normal(0, 2, (400, 24, 24))
    spectrum = spectrum_of(noise)
    mean = spectrum.power.mean(axis=0)[2:13] * 24 * 24
    np.testing.assert_allclose(mean, 4, rtol=0.06)


def test_blur_takes_the_small_scales():
    frames = np.random.default_rng(0).normal(size=(20, 32, 32))
    blurred = np.stack([gaussian_filter(frame, 1.0, mode="wrap") for frame in frames])
    before, after = (periodic(x) for x in (frames, blurred))
    share = after.power.sum(axis=0)[1:] / before.power.sum(axis=0)[1:]
    expected = np.exp(-((2 * np.pi * before.wavenumber[1:]) ** 2))
    np.testing.assert_allclose(share[:10], expected[:10], rtol=0.15)


def test_a_taper_keeps_a_slope_out_of_the_small_scales():
    slope = np.add.outer(np.arange(32.0), np.arange(32.0))
    plain, tapered = periodic(slope), radial_spectrum(slope)
    high = (plain.wavenumber >= 0.25) & (plain.wavenumber <= 0.5)
    assert (tapered.power[high] < 2e-4 * plain.power[high]).all()
