"""The digits: scikit-learn's images, each once, in an order that shares out the classes and never changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import datasets

from pipeline_lib.errors import FetchError
from pipeline_lib.simulations import digits
from pipeline_lib.simulations.digits import Digits, stratified_order

ALL = 1797


def run(times=ALL, **options):
    return Digits.run(Digits.Options(**options), times=times)


def test_all_images_are_there_once_with_their_own_class():
    ds, known = run(), datasets.load_digits()
    assert ds.image.dims == ("time", "row", "column")
    assert ds.image.dtype == ds.label.dtype == np.float64
    ours = sorted((*image.ravel() * 16, label) for image, label in zip(ds.image.values, ds.label.values, strict=True))
    theirs = sorted((*image.ravel(), label) for image, label in zip(known.images, known.target, strict=True))
    assert ours == theirs
    assert ds.image.values.min() == 0
    assert ds.image.values.max() == 1


def test_the_order_is_that_of_the_seed_and_its_beginning_is_the_same_for_any_number():
    assert run().identical(run())
    assert run(100).identical(run().isel(time=slice(100)))
    assert not run(100).identical(run(100, seed=1))


@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 200), min_size=2, max_size=8))
def test_every_beginning_of_the_order_holds_the_classes_by_their_share(seed, sizes):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    order = stratified_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    for label, size in enumerate(sizes):
        seen = np.cumsum(labels[order] == label)
        share = size * np.arange(1, len(labels) + 1) / len(labels)
        # One image of its own part, and the other classes' parts, by which the beginning is longer or shorter.
        assert np.abs(seen - share).max() <= 1 + len(sizes) * size / len(labels) + 1e-9


def test_more_images_than_there_are_and_other_images_are_refused(monkeypatch):
    with pytest.raises(FetchError, match="digits: has 1797 images, not 1798"):
        run(1798)
    monkeypatch.setattr(digits, "_SHA256", "0" * 64)
    with pytest.raises(FetchError, match="holds other images than"):
        run(10)
