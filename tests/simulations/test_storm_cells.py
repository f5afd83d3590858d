"""Storms: born where and when the boundary layer tells, and nowhere else; each followed on its way by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from pipeline_lib.simulations.storm_cells import StormCells

SMALL = {"length": 10, "side": 32, "levels": 3, "patch_radius": (2, 3), "updrafts": 4, "buoyant": 4}
MANY = {"updrafts": 10, "buoyant": 10, "spin_up": 0}


def run(times, **options):
    return StormCells.run(StormCells.Options(**{**SMALL, **options}), times=times)


def triggers(ds, threshold=0.03):
    """How far the trigger is above the threshold (time, row, column), in thresholds."""
    rising, buoyancy = ds.vertical_velocity.values, ds.buoyancy.values
    product = np.where(rising > 0, rising * buoyancy, 0)
    return np.where(product > threshold, product / threshold - 1, 0)


def test_equal_options_give_equal_bytes_and_an_earlier_end_the_beginning():
    ds, again = run(25), run(25)
    assert ds.reflectivity.values.tobytes() == again.reflectivity.values.tobytes()
    assert run(13).identical(ds.isel(time=slice(13)))
    assert not ds.identical(run(25, seed=1))
    assert ds.age.values.tolist() == [*range(10), *range(10), *range(5)]
    assert ds.reflectivity.dims == ("time", "level", "row", "column")
    assert ds.reflectivity.shape == (25, 3, 32, 32)
    assert ds.buoyancy.shape == ds.vertical_velocity.shape == (25, 32, 32)
    units = {name: ds[name].units for name in ("reflectivity", "vertical_velocity", "buoyancy")}
    assert units == {"reflectivity": "dBZ", "vertical_velocity": "m s-1", "buoyancy": "m s-2"}
    for variable in ds.values():
        assert variable.dtype == np.float64
        assert set(variable.attrs) == {"units", "long_name"}
        assert np.isfinite(variable).all()


def followed(over, flow, *, lags, growth, decay, radius):
    """Young and mature echo of each frame: what each birth has become, moved the whole way at once."""
    frames = len(over)
    young, mature = np.zeros_like(over), np.zeros_like(over)
    for trigger in range(frames):
        wave = ndimage.fourier_gaussian(np.fft.fft2(over[trigger]), radius)
        for lag in range(lags[0], lags[1] + 1):
            fresh, old = 1 / (lags[1] - lags[0] + 1), 0.0
            for frame in range(trigger + lag, frames):
                moved = np.fft.ifft2(ndimage.fourier_shift(wave, flow[trigger + lag : frame].sum(axis=0))).real
                young[frame] += fresh * moved
                mature[frame] += old * moved
                fresh, old = fresh - fresh / growth, old - old / decay + fresh / growth
    return young, mature


@settings(max_examples=6)
@given(seed=st.integers(0, 1000), lags=st.sampled_from([(1, 1), (2, 4), (3, 12)]), turn=st.sampled_from([0, 10]))
def test_reflectivity_is_that_of_each_birth_followed_on_its_way(seed, lags, turn):
    law = {"growth": 2.5, "decay": 5.0}
    ds = run(10, seed=seed, lags=lags, turn=turn, **MANY, storm_radius=2.5, echo=45, floor=5, **law)
    flow = np.stack([ds.flow_rows, ds.flow_columns], axis=1)
    young, mature = followed(triggers(ds), flow, lags=lags, radius=2.5, **law)
    for level, height in enumerate((0, 0.5, 1)):
        aloft, below = np.exp(-(((height - 0.7) / 0.3) ** 2)), np.exp(-((height / 0.7) ** 2))
        amount = aloft * young + below * mature
        expected = 45 + 10 * np.log10(np.maximum(amount, 10**-4))
        np.testing.assert_allclose(ds.reflectivity.values[:, level], expected, atol=1e-5)


def test_storms_are_born_where_and_when_the_boundary_layer_tells():
    ds = run(400, **MANY, seed=5)
    over = triggers(ds).reshape(40, 10, 32, 32)
    echo = ds.reflectivity.values.max(axis=1).reshape(40, 10, 32, 32)
    born = 0
    for trigger, sequence in zip(over, echo, strict=True):
        first = np.flatnonzero(trigger.max(axis=(1, 2)) > 0.5)
        if not len(first) or first[0] + 2 >= 10:
            continue
        start = first[0]
        before = np.flatnonzero(trigger.max(axis=(1, 2)) > 0)[0] + 2
        assert (sequence[:before] == 0).all()
        seen = sequence[start + 2]
        assert seen.max() > 10
        place = np.array(np.unravel_index(seen.argmax(), seen.shape))
        triggered = np.argwhere(trigger[: start + 1].max(axis=0) > 0)
        apart = np.abs((triggered - place + 16) % 32 - 16)
        assert np.hypot(*apart.T).min() <= 2 * 2.0
        born += 1
    assert born >= 10


def test_the_first_echo_is_aloft_and_the_last_one_below():
    ds = run(200, **MANY, length=20)
    loudest = ds.reflectivity.values.max(axis=(2, 3)).reshape(10, 20, 3)
    firsts = [sequence[np.flatnonzero(sequence.max(axis=1) > 0)[0]] for sequence in loudest if sequence.max() > 20]
    assert len(firsts) >= 5
    for levels in firsts:
        assert levels.argmax() > 0
    # Where no trigger follows, the mature echo is what stays.
    quiet = [
        sequence[-1]
        for sequence, over in zip(loudest, triggers(ds).reshape(10, 20, -1), strict=True)
        if over[-8:].max() == 0 and sequence[-1].max() > 0
    ]
    assert quiet
    for levels in quiet:
        assert levels.argmax() == 0


def test_after_the_spin_up_storms_are_there_from_the_start():
    spun, fresh = run(200, spin_up=12), run(200, spin_up=0)
    assert fresh.reflectivity.values.reshape(20, 10, -1)[:, :2].max() == 0
    assert (spun.reflectivity.values.reshape(20, 10, -1)[:, 0].max(axis=1) > 20).mean() > 0.3


def test_air_that_rises_comes_down_elsewhere():
    ds = run(20)
    np.testing.assert_allclose(ds.vertical_velocity.mean(("row", "column")), 0, atol=1e-12)
    assert ds.vertical_velocity.max() > 0.5
    assert ds.buoyancy.min() >= -0.005


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lags": (4, 2)}, "lags are 4 to 2: the smaller one comes first"),
        ({"floor": 50}, "floor is 50 dBZ, not below echo, 50"),
        ({"patch_radius": (3, 9)}, "cells of radius 13.5 meet themselves in a periodic frame of 32 pixels"),
        ({"lags": (0, 2)}, "greater than 0"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        StormCells.Options(**{**SMALL, **options})
