"""Matrix functions: against scipy, where eigenvalues coincide, and in batches with a broken member."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pipeline_lib.assimilation.linear_algebra import covariance_root, solve_positive, symmetric_root


def positive(*shape: int) -> torch.Tensor:
    root = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return root @ root.mT + 0.1 * torch.eye(shape[-1])


def test_the_root_is_that_of_scipy():
    matrices = positive(3, 4, 4)
    expected = np.array([sqrtm(matrix) for matrix in matrices.numpy()])
    np.testing.assert_allclose(symmetric_root(matrices), expected, rtol=0, atol=1e-12)


def test_the_root_has_a_gradient_where_eigenvalues_coincide():
    symmetric = lambda half: symmetric_root(torch.eye(3).double() + half + half.mT)  # noqa: E731
    assert torch.autograd.gradcheck(symmetric, torch.zeros(3, 3, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_broken_matrix_is_nan_and_alone(broken):
    matrices = positive(3, 4, 4)
    spoilt = matrices.clone()
    spoilt[1, 2, 3] = spoilt[1, 3, 2] = broken
    right = torch.ones(3, 4, 2, dtype=torch.float64)
    for work in (symmetric_root, lambda matrix: solve_positive(matrix, right)):
        found = work(spoilt)
        assert found[1].isnan().all()
        torch.testing.assert_close(found[::2], work(matrices)[::2], rtol=0, atol=1e-13)


def test_a_matrix_that_is_not_positive_has_no_solution():
    matrices = torch.stack([torch.eye(2), -torch.eye(2)])
    assert solve_positive(matrices, torch.ones(2, 2, 1)).isnan().flatten().tolist() == [False, False, True, True]


@pytest.mark.parametrize("given", [0.3, torch.tensor([0.3, 0.0, 2.0]), torch.ones(3, 3)])
def test_the_root_of_a_covariance_may_be_singular(given):
    expected = torch.as_tensor(given, dtype=torch.float64)
    expected = expected if expected.ndim == 2 else torch.diag(expected.expand(3))
    root = covariance_root(given, 3, torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(root @ root.mT, expected, rtol=0, atol=1e-14)
