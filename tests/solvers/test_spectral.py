"""What periodic solvers share, against numpy, scipy and single waves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample

from pipeline_lib.solvers import spectral

SHAPES = st.lists(st.integers(1, 9), min_size=2, max_size=3)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(coarse=SHAPES, data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_sharp_filter_is_resampling_along_each_axis(coarse, data):
    fine = [n + data.draw(st.integers(0, 6)) for n in coarse]
    field = noise(2, *fine)
    expected = field.numpy()
    for axis, n in enumerate(coarse, start=1):
        expected = resample(expected, n, axis=axis)
    np.testing.assert_allclose(spectral.cut_off(field, coarse).numpy(), expected, atol=1e-12)


@given(shape=SHAPES)
@settings(max_examples=25, deadline=None)
def test_a_filter_to_the_same_grid_is_the_identity(shape):
    field = noise(*shape)
    assert torch.equal(spectral.cut_off(field, shape), field)


def test_filtering_in_two_steps_is_filtering_in_one():
    field = noise(24, 18)
    torch.testing.assert_close(
        spectral.cut_off(spectral.cut_off(field, (16, 11)), (8, 6)), spectral.cut_off(field, (8, 6))
    )


@pytest.mark.parametrize("phase", [0.0, 0.4, math.pi, -2.0])
def test_the_nyquist_mode_is_what_the_coarse_grid_sees(phase):
    def wave(n: int) -> torch.Tensor:
        x = 2 * math.pi / n * torch.arange(n, dtype=torch.float64)
        return torch.cos(4 * x + phase) * torch.ones(5, 1) + torch.cos(3 * x)

    torch.testing.assert_close(spectral.cut_off(wave(32), (5, 8)), wave(8), rtol=0, atol=1e-13)


def test_filters_do_not_refine():
    with pytest.raises(ValueError, match="coarser"):
        spectral.cut_off(noise(8, 8), (8, 9))


def numpy_spectrum(field: np.ndarray) -> np.ndarray:
    """Full transform, both signs of every mode, one shell after the other."""
    power = np.abs(np.fft.fftn(field) / field.size) ** 2 / 2
    modes = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in field.shape), indexing="ij")
    shell = np.rint(np.sqrt(sum(m**2 for m in modes))).astype(int)
    return np.array([power[shell == k].sum() for k in range(shell.max() + 1)])


@given(shape=SHAPES)
@settings(max_examples=25, deadline=None)
def test_spectra_are_those_of_the_full_transform_and_sum_to_half_the_mean_square(shape):
    field = noise(2, *shape)
    found = spectral.spectrum(field, len(shape))
    for i in range(2):
        np.testing.assert_allclose(found[i], numpy_spectrum(field[i].numpy()), atol=1e-13)
    axes = tuple(range(1, field.ndim))
    torch.testing.assert_close(found.sum(-1), (field**2).mean(axes) / 2)


def test_a_wave_lies_in_one_shell():
    y, x = np.meshgrid(*(2 * np.pi / 16 * np.arange(16),) * 2, indexing="ij")
    found = spectral.spectrum(torch.from_numpy(np.cos(3 * x + 4 * y)), 2)
    expected = np.zeros(len(found))
    expected[5] = 1 / 4
    np.testing.assert_allclose(found, expected, atol=1e-14)


@given(size=st.integers(1, 500))
@settings(max_examples=25, deadline=None)
def test_products_on_the_finer_grid_do_not_alias_into_the_modes_kept(size):
    (fine,) = spectral.dealiased_sizes((size,))
    kept = (size - 1) // 2
    assert fine > 3 * kept
    assert 3 * size <= 2 * fine < 3 * size + 8


@given(shape=SHAPES, data=st.data())
@settings(max_examples=25, deadline=None)
def test_to_a_finer_grid_and_back_only_the_nyquist_modes_are_lost(shape, data):
    fine = [n + data.draw(st.integers(0, 5)) for n in shape]
    hat = spectral.resized(spectral.coefficients(noise(*shape), len(shape)), shape, shape)
    back = spectral.resized(spectral.resized(hat, shape, fine), fine, shape)
    torch.testing.assert_close(back, hat, rtol=0, atol=0)
    finer, coarser = spectral.values(spectral.resized(hat, shape, fine), fine), spectral.values(hat, shape)
    torch.testing.assert_close(finer.square().mean(), coarser.square().mean())


@given(shape=SHAPES)
@settings(max_examples=25, deadline=None)
def test_derivatives_of_waves(shape):
    """A derivative is real and exact for every mode below Nyquist, and 0 for the Nyquist mode."""
    for axis, n in enumerate(shape):
        wavenumber = spectral.wavenumbers(shape, 3.0, odd=True)[axis]
        x = 3.0 / n * torch.arange(n, dtype=torch.float64)
        for m in range(n // 2 + 1):
            k = 2 * math.pi * m / 3.0
            along = [n if i == axis else 1 for i in range(len(shape))]
            wave = torch.cos(k * x + 0.3).reshape(along).expand(shape)
            slope = -k * torch.sin(k * x + 0.3).reshape(along).expand(shape) * (2 * m != n)
            found = spectral.values(1j * wavenumber * spectral.coefficients(wave, len(shape)), shape)
            torch.testing.assert_close(found, slope, rtol=0, atol=1e-12)


def test_scaling_gives_the_spectrum_and_takes_the_mean_away():
    sizes = (12, 9)
    hat = spectral.coefficients(noise(3, *sizes) + 5, 2)
    scaled = spectral.scaled_to(hat, hat.abs() ** 2 / 2, lambda k: k**-3.0, sizes)
    found = spectral.spectrum(spectral.values(scaled, sizes), 2)
    wanted = torch.arange(found.shape[-1], dtype=torch.float64) ** -3.0
    wanted[0] = 0
    torch.testing.assert_close(found, wanted.expand(3, -1))


def test_in_single_precision_and_through_gradients():
    field = noise(2, 6, 8).float()
    assert spectral.cut_off(field, (4, 4)).dtype == torch.float32
    assert spectral.spectrum(field, 2).dtype == torch.float32
    field = noise(5, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: spectral.cut_off(x, (4, 3)), field)
    assert torch.autograd.gradcheck(lambda x: spectral.spectrum(x, 2), field)


@pytest.mark.parametrize("sizes", [(6, 8), (5, 7), (4, 6, 6)])
def test_the_truncated_field_holds_the_modes_below_nyquist_and_no_other(sizes):
    """Summed mode by mode; a second time nothing changes."""
    fine = tuple(size + 4 for size in sizes)
    field = noise(*fine)
    hat = np.fft.fftn(field.numpy(), norm="forward")
    axes = [np.arange(size) / size for size in sizes]
    limits = [(size - 1) // 2 for size in sizes]
    expected = np.zeros(sizes, dtype=complex)
    for mode in np.ndindex(*(2 * limit + 1 for limit in limits)):
        k = [number - limit for number, limit in zip(mode, limits, strict=True)]
        phase = sum(np.meshgrid(*(n * axis for n, axis in zip(k, axes, strict=True)), indexing="ij"))
        expected += hat[tuple(k)] * np.exp(2j * np.pi * phase)
    found = spectral.truncated(field, sizes)
    np.testing.assert_allclose(found, expected.real, atol=1e-12)
    torch.testing.assert_close(spectral.truncated(found, sizes), found)
