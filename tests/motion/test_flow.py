"""Optical flow: all methods on motions that are known, and against other programs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import spsolve
from skimage.registration import optical_flow_ilk

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.motion.depth import deepest_level
from pipeline_lib.motion.farneback import FarnebackSettings, farneback_flow, polynomials
from pipeline_lib.motion.lucas_kanade import lucas_kanade_flow
from pipeline_lib.motion.variational import VariationalSettings, variational_flow
from tests.motion.scenes import blobs, interior, root_mean_square, rotation


def linear(first, second):
    return variational_flow(first, second, VariationalSettings(max_level=5))


def warping(first, second):
    return variational_flow(first, second, VariationalSettings(max_level=5, sigma=2.0, alpha=500.0, warps=3))


METHODS = {
    "linear": linear,
    "warping": warping,
    "farneback": farneback_flow,
    "lucas_kanade": lucas_kanade_flow,
}
EXACT = [name for name in METHODS if name != "linear"]
methods = pytest.mark.parametrize("name", METHODS)


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=8)
@given(speed=st.floats(0.05, 3), angle=st.floats(0, 2 * math.pi))
def test_a_moving_field_has_its_velocity(name, speed, angle):
    velocity = speed * math.cos(angle), speed * math.sin(angle)
    flow = interior(METHODS[name](blobs(), blobs(velocity)))
    error = flow - torch.tensor(velocity)[:, None, None]
    assert root_mean_square(error) < 0.06
    assert error.mean(dim=(0, 2, 3)).abs().max() < 0.03


@settings(max_examples=8)
@given(speed=st.floats(0.1, 2), angle=st.floats(0, 2 * math.pi))
def test_the_linear_method_finds_slow_motion_to_a_few_per_cent(speed, angle):
    velocity = speed * math.cos(angle), speed * math.sin(angle)
    flow = interior(linear(blobs(), blobs(velocity)))
    assert root_mean_square(flow - torch.tensor(velocity)[:, None, None]) < 0.08 * speed


@pytest.mark.parametrize(("name", "share"), [("warping", 0.12), ("farneback", 0.4), ("lucas_kanade", 0.4)])
def test_a_turning_field_has_a_turning_flow(name, share):
    """The two that take one displacement for a whole neighbourhood are the less exact ones, as published."""
    true = interior(rotation((64, 72), 0.04))
    flow = interior(METHODS[name](blobs(count=150), blobs(turn=0.04, count=150)))
    assert root_mean_square(flow - true) < share * root_mean_square(true)


@methods
def test_no_motion_is_no_flow(name):
    flow = METHODS[name](blobs(), blobs())
    assert flow.shape == (1, 2, 64, 72)
    assert flow.abs().max() < 1e-9


@methods
def test_dry_frames_have_no_flow_and_echoes_that_appear_no_missing_one(name):
    dry = torch.zeros(1, 64, 72)
    assert (METHODS[name](dry, dry) == 0).all()
    assert torch.isfinite(METHODS[name](dry, blobs().float())).all()
    assert torch.isfinite(METHODS[name](blobs().float(), dry)).all()


@methods
def test_a_batch_is_each_by_itself_and_single_precision_is_enough(name):
    first = torch.cat([blobs(seed=s) for s in range(3)])
    second = torch.cat([blobs((1.2, -0.7), seed=s) for s in range(3)])
    together = METHODS[name](first, second)
    alone = torch.cat([METHODS[name](a[None], b[None]) for a, b in zip(first, second, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)
    torch.testing.assert_close(METHODS[name](first.float(), second.float()).double(), together, rtol=0, atol=2e-2)


@methods
def test_mirrored_frames_have_the_mirrored_flow(name):
    first, second = blobs(size=(64, 64)), blobs((1.5, 0.5), size=(64, 64))
    flow = METHODS[name](first, second)
    close = 1e-6 if name in ("farneback", "lucas_kanade") else 2e-2  # where the colours of the relaxation swap
    swapped = METHODS[name](first.mT, second.mT)
    torch.testing.assert_close(swapped, flow.mT.flip(1), rtol=0, atol=close)
    mirrored = METHODS[name](first.flip(-1), second.flip(-1)).flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None]
    torch.testing.assert_close(mirrored, flow, rtol=0, atol=close)


def test_multigrid_solves_the_equations_of_the_energy():
    """Against a sparse direct solution of the energy's equations, put together with numpy and scipy alone."""
    first, second = blobs(size=(47, 62)), blobs((0.8, -0.5), size=(47, 62))
    first, second = (torch.where(torch.arange(62) < 35, frame, 0) for frame in (first, second))  # the rest is dry
    alpha, rho, sigma = 300.0, 1.5, 2.0
    seen = [gaussian_filter(frame[0].numpy(), sigma, mode="nearest") for frame in (first, second)]
    d_rows, d_columns = np.gradient((seen[0] + seen[1]) / 2)
    d_time = seen[1] - seen[0]
    xx, xy, yy, xt, yt = (
        gaussian_filter(product, rho, mode="nearest").ravel()
        for product in (d_columns**2, d_columns * d_rows, d_rows**2, d_columns * d_time, d_rows * d_time)
    )

    def differences(n):
        return sparse.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))

    along = sparse.vstack(
        [sparse.kron(sparse.eye_array(47), differences(62)), sparse.kron(differences(47), sparse.eye_array(62))]
    )
    stiff = alpha * (along.T @ along)
    matrix = sparse.block_array(
        [
            [sparse.diags_array(xx) + stiff, sparse.diags_array(xy)],
            [sparse.diags_array(xy), sparse.diags_array(yy) + stiff],
        ]
    )
    direct = spsolve(matrix.tocsc(), -np.concatenate((xt, yt))).reshape(1, 2, 47, 62)
    found = variational_flow(first, second, VariationalSettings(max_level=4, alpha=alpha, rho=rho, sigma=sigma)).numpy()
    assert np.abs(direct).max() > 0.5
    assert np.abs(found - direct).max() < 0.02 * np.abs(direct).max()
    many = VariationalSettings(max_level=4, alpha=alpha, rho=rho, sigma=sigma, n1=40, n2=40)
    assert np.abs(variational_flow(first, second, many).numpy() - direct).max() < 3e-3 * np.abs(direct).max()


def test_a_coarser_finest_grid_finds_the_same_flow_within_a_tenth():
    first, second = blobs(), blobs((1.0, 0.6))
    fine = interior(linear(first, second))
    coarse = interior(variational_flow(first, second, VariationalSettings(start_level=1, max_level=5)))
    assert root_mean_square(coarse - fine) < 0.1 * root_mean_square(fine)


def test_polynomials_are_those_of_weighted_least_squares():
    frame = np.random.default_rng(0).normal(size=(13, 14))
    found = polynomials(torch.from_numpy(frame)[None], 3, 1.2)[0, :, 6, 7].numpy()
    y, x = np.mgrid[-3:4, -3:4]
    weight = np.exp(-0.25 * (x**2 + y**2) / 1.2**2).ravel()  # of a residual, the root of that of its square
    basis = np.stack((np.ones_like(x), x, y, x**2, 2 * x * y, y**2), axis=-1).reshape(-1, 6)
    around = frame[3:10, 4:11].ravel()
    least, *_ = np.linalg.lstsq(basis * weight[:, None], around * weight, rcond=None)
    np.testing.assert_allclose(found, least[1:], atol=1e-12)


def test_lucas_kanade_agrees_with_scikit_image():
    first, second = blobs(widths=(2, 4), count=200), blobs((1.4, -0.9), widths=(2, 4), count=200)
    theirs = optical_flow_ilk(first[0].numpy(), second[0].numpy(), radius=7, gaussian=True, dtype=np.float64)
    ours = lucas_kanade_flow(first, second)[0].flip(0)  # rows first there
    assert root_mean_square(interior(ours - torch.from_numpy(theirs))) < 0.05


@pytest.mark.parametrize(("size", "level"), [((2, 9), 0), ((3, 9), 1), ((480, 480), 8), ((1, 9), -1), ((40, 48), 5)])
def test_the_deepest_level_leaves_two_cells(size, level):
    assert deepest_level(*size) == level


def test_what_frames_do_not_allow_is_said_in_one_line():
    small = torch.zeros(1, 20, 20)
    with pytest.raises(ConfigError, match=r"20 x 20 cells cannot be halved 6 times.*at most 4"):
        variational_flow(small, small)
    with pytest.raises(ConfigError, match="start_level"):
        variational_flow(small, small, VariationalSettings(max_level=2, start_level=3))
    with pytest.raises(ConfigError, match="cannot be halved 7 times"):
        farneback_flow(small, small, FarnebackSettings(levels=7))
    with pytest.raises(ConfigError, match="no middle"):
        farneback_flow(small, small, FarnebackSettings(window=4))
    with pytest.raises(DataError, match="are no pairs"):
        lucas_kanade_flow(small, torch.zeros(1, 20, 21))
    with pytest.raises(DataError, match="gradient"):
        lucas_kanade_flow(torch.zeros(1, 1, 20), torch.zeros(1, 1, 20))
    with pytest.raises(DataError, match="missing"):
        lucas_kanade_flow(small, small + torch.nan)
