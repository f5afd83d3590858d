"""The taper of Gaspari and Cohn: its formula in exact fractions, and what makes it a correlation on a ring."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from pipeline_lib.assimilation.localisation import gaspari_cohn, ring_distance, ring_taper


def exact(r: Fraction) -> Fraction:
    """Equation 4.10 of Gaspari & Cohn (1999), as printed."""
    if r <= 1:
        return -(r**5) / 4 + r**4 / 2 + Fraction(5, 8) * r**3 - Fraction(5, 3) * r**2 + 1
    if r <= 2:
        return r**5 / 12 - r**4 / 2 + Fraction(5, 8) * r**3 + Fraction(5, 3) * r**2 - 5 * r + 4 - Fraction(2, 3) / r
    return Fraction(0)


@pytest.mark.parametrize("quarter", range(-2, 11))
def test_the_formula(quarter):
    expected = float(exact(abs(Fraction(quarter, 4))))
    assert float(gaspari_cohn(torch.tensor(quarter / 4, dtype=torch.float64))) == pytest.approx(expected, abs=1e-15)


def test_it_is_the_self_convolution_of_a_tent_in_space():
    """In three dimensions a tent of half-width c, convolved with itself, over its value at 0 (section 4.3)."""
    spacing = 1 / 16
    axis = np.arange(-17, 18) * spacing
    radius = np.sqrt(sum(np.meshgrid(axis**2, axis**2, axis**2, indexing="ij")))
    tent = np.clip(1 - radius, 0, None)
    through_centre = fftconvolve(tent, tent)[34:, 34, 34]
    found = gaspari_cohn(torch.arange(35, dtype=torch.float64) * spacing).numpy()
    np.testing.assert_allclose(found, through_centre / through_centre[0], rtol=0, atol=5e-3)


@given(sites=st.integers(2, 24), share=st.floats(0.05, 1.0))
def test_a_taper_on_a_ring_is_a_correlation(sites, share):
    taper = ring_taper(sites, share * sites / 4)
    assert torch.equal(taper, taper.mT)
    assert torch.equal(taper.diagonal(), torch.ones(sites, dtype=torch.float64))
    assert float(torch.linalg.eigvalsh(taper)[0]) > -1e-12
    assert 0 <= float(taper.min()) <= float(taper.max()) <= 1
    torch.testing.assert_close(taper.roll((3, 3), (0, 1)), taper, rtol=0, atol=0)


def test_distances_go_the_shorter_way_round():
    assert ring_distance(5)[0].tolist() == [0, 1, 2, 2, 1]
    assert ring_distance(4)[1].tolist() == [1, 0, 1, 2]


@pytest.mark.parametrize("half_width", [0.0, -1.0, 10.1])
def test_a_taper_that_meets_itself_is_refused(half_width):
    with pytest.raises(ValueError, match="quarter of the 40 sites"):
        ring_taper(40, half_width)
    assert ring_taper(40, 10.0).shape == (40, 40)


def test_gradients_exist_at_zero_and_at_the_seams():
    at = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.5], dtype=torch.float64, requires_grad=True)
    gaspari_cohn(at).sum().backward()
    assert torch.isfinite(at.grad).all()
    inner = torch.tensor([0.3, 0.8, 1.2, 1.9, 2.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gaspari_cohn, inner)
