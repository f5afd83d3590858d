"""Extrapolations that nothing learns: ROVER and optical flow, through their models."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_lib.errors import ConfigError
from pipeline_lib.models.extrapolations import ArctanResponse
from pipeline_lib.models.registry import MODELS
from pipeline_lib.motion.advection import follow_trajectories, warp_repeatedly
from pipeline_lib.motion.farneback import FarnebackSettings, farneback_flow
from pipeline_lib.motion.variational import VariationalSettings, variational_flow
from tests.motion.scenes import blobs, interior, root_mean_square

SIZE = (64, 72)
SEEN, LEADS = 4, 4
LEVELS = {"max_level": 5}
WAYS = {
    "rover1": ("rover", {**LEVELS, "variant": "rover1"}),
    "rover2": ("rover", {**LEVELS, "variant": "rover2"}),
    "rover3": ("rover", {**LEVELS, "variant": "rover3"}),
    "non-linear": ("rover", {**LEVELS, "response": "nonlinear"}),
    "trajectories": ("rover", {**LEVELS, "advection": "trajectories", "warps": 2}),
    "farneback": ("optical_flow", {"method": "farneback"}),
    "lucas_kanade": ("optical_flow", {"method": "lucas_kanade"}),
}
ways = pytest.mark.parametrize("way", WAYS)


def network(name, options, size=SIZE, seen=SEEN, leads=LEADS, channels=1, dbz=(-10.0, 60.0)):
    model = MODELS.get(name)
    sizes = {"seen": seen, "leads": leads, "channels": channels, "height": size[0], "width": size[1]}
    ends = {} if dbz is None else {"lowest_dbz": dbz[0], "highest_dbz": dbz[1]}
    return model.build(model.Options(**options), **sizes, **ends)


def moving(velocity, first, count):
    """Frames (1, count, 1, h, w) in [0, 1] of blobs that move, float32."""
    frames = [blobs((velocity[0] * k, velocity[1] * k), SIZE, top=220.0) / 255 for k in range(first, first + count)]
    return torch.stack(frames, dim=1).clamp(0, 1).float()[:, :, None]


@ways
def test_what_moves_is_forecast_far_better_than_by_the_last_frame(way):
    seen = moving((1.5, -0.8), -SEEN + 1, SEEN)
    truth = moving((1.5, -0.8), 1, LEADS)[:, :, 0]
    forecast = network(*WAYS[way]).forecast(seen)
    error = root_mean_square(interior(forecast - truth))
    share = 0.5 if way == "non-linear" else 0.1  # weak echoes are stretched to almost nothing, and their flow is slow
    assert error < share * root_mean_square(interior(seen[:, -1:, 0] - truth))


@ways
def test_dry_frames_have_a_dry_forecast(way):
    assert (network(*WAYS[way]).forecast(torch.zeros(2, SEEN, 1, *SIZE)) == 0).all()


@ways
def test_forecasts_stay_between_0_and_the_highest_value(way):
    frames = torch.rand(2, SEEN, 1, *SIZE, generator=torch.Generator().manual_seed(0))
    forecast = network(*WAYS[way]).forecast(frames)
    assert forecast.min() >= -1e-6
    assert forecast.max() <= frames.max() + 1e-5


@ways
def test_a_batch_is_each_by_itself_and_only_the_first_channel_counts(way):
    name, options = WAYS[way]
    seen = torch.cat((moving((1.0, 0.5), 0, SEEN), moving((-0.7, 1.1), 0, SEEN)))
    together = network(name, options).forecast(seen)
    other = torch.rand(2, SEEN, 1, *SIZE, generator=torch.Generator().manual_seed(1))
    alone = [
        network(name, options, channels=2).forecast(torch.cat((a, b), dim=1)[None])
        for a, b in zip(seen, other, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-4)


def test_a_mask_moves_as_the_echoes_beside_it():
    echoes = moving((1.5, -0.8), 0, SEEN)
    mask = torch.zeros_like(echoes)
    mask[:, :, :, 30:, 20:] = 1  # says nothing of how it moves: it stands still
    seen = torch.cat((mask, echoes / echoes.std()), dim=2)
    forecast = network("optical_flow", {"motion_of": 1, "grey": 64}, channels=2).forecast(seen)
    flow = farneback_flow(64 * seen[:, -2, 1], 64 * seen[:, -1, 1], FarnebackSettings())
    torch.testing.assert_close(forecast, follow_trajectories(mask[:, -1, 0], flow, LEADS, outside="zero"))
    still = network("optical_flow", {}, channels=2).forecast(seen)
    assert (forecast - still).abs().mean() > 0.01


def test_variants_weigh_the_last_flows():
    """Against flows that are added up one by one."""
    draw = np.random.default_rng(3)
    places = [(0.0, 0.0), *draw.uniform(-2, 2, (3, 2)).cumsum(axis=0)]
    seen = torch.stack([blobs(tuple(place), SIZE, top=100.0) / 255 for place in places], dim=1)
    flows = [variational_flow(255 * seen[:, k], 255 * seen[:, k + 1], VariationalSettings(**LEVELS)) for k in (2, 1, 0)]
    for variant, weights in (("rover1", [1]), ("rover2", [0.5, 0.5]), ("rover3", [0.7, 0.2, 0.1])):
        flow = sum(w * f for w, f in zip(weights, flows, strict=False))
        expected = warp_repeatedly(seen[:, -1], flow, LEADS)
        found = network(*WAYS[variant]).forecast(seen[:, :, None])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_weak_values_count_as_none():
    seen = moving((1.0, 0.5), 0, SEEN)
    clean = torch.where(seen < 71 / 255, 0, seen)
    masking = network("rover", {**LEVELS, "weakest": 71 / 255}).forecast(seen)
    torch.testing.assert_close(masking, network("rover", LEVELS).forecast(clean))


def test_values_below_zero_move_like_those_above():
    """Reflectivity in dBZ, or anomalies; ROVER takes weak values for none where it is asked to."""
    seen = moving((1.5, -0.8), 0, SEEN)
    options = {"outside": "edge"}
    forecast = network("optical_flow", options).forecast(seen)
    below = network("optical_flow", options).forecast(seen - 10)
    torch.testing.assert_close(below, forecast - 10, rtol=0, atol=2e-3)
    forecast, below = (network("rover", LEVELS).forecast(values) for values in (seen, seen - 10))
    # Zeros come from beyond the border.
    torch.testing.assert_close(interior(below), interior(forecast) - 10, rtol=0, atol=2e-3)
    assert (network("rover", {**LEVELS, "weakest": 0.0}).forecast(seen - 10) == 0).all()


def test_the_stretch_follows_the_scale_of_the_frames():
    """The same reflectivities as shares of another range make the same forecast in dBZ."""
    dbz = 70 * moving((1.5, -0.8), 0, SEEN).clamp(min=0.3) - 10  # no weaker than 11 dBZ
    found = []
    for lowest, highest in ((-10.0, 60.0), (0.0, 70.0)):
        options = {**LEVELS, "response": "nonlinear", "advection": "trajectories"}
        net = network("rover", options, dbz=(lowest, highest))
        span = highest - lowest
        assert net.response == ArctanResponse((33 - lowest) / span, 4 / span)
        found.append(net.response.undo(net.response.stretch((dbz - lowest) / span)) * span + lowest)
    torch.testing.assert_close(*found, rtol=0, atol=1e-3)
    own = network("rover", {**LEVELS, "response": "nonlinear", "lowest": 0.0, "highest": 70.0}, dbz=None)
    assert own.response == net.response


def test_edges_are_continued_where_asked():
    frames = torch.full((1, SEEN, 1, *SIZE), 0.7)
    frames = frames + 0.1 * moving((2.0, 0.0), 0, SEEN)
    forecast = network("optical_flow", {"outside": "edge"}).forecast(frames)
    assert forecast.min() > 0.69
    assert network("optical_flow", {}).forecast(frames).min() < 0.69


@given(value=st.floats(0, 1), centre=st.floats(0, 1), sharpness=st.floats(0.02, 2))
def test_the_response_keeps_its_ends_grows_and_is_undone(value, centre, sharpness):
    response = ArctanResponse(centre, sharpness)
    values = torch.tensor([0.0, value, 1.0], dtype=torch.float64)
    stretched = response.stretch(values)
    torch.testing.assert_close(stretched[[0, 2]], values[[0, 2]], rtol=0, atol=1e-12)
    assert stretched[1] >= -1e-12
    assert stretched[1] <= 1 + 1e-12
    torch.testing.assert_close(response.undo(stretched), values, rtol=0, atol=1e-9)


def test_the_response_of_hko_7_is_steepest_at_33_dbz():
    dbz = np.array([-10.0, 20.0, 33.0, 45.0, 60.0])
    low, high = np.arctan((-10 - 33) / 4), np.arctan((60 - 33) / 4)
    expected = (np.arctan((dbz - 33) / 4) - low) / (high - low)
    found = ArctanResponse(43 / 70, 4 / 70).stretch(torch.from_numpy((dbz + 10) / 70))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_frames_that_a_model_cannot_take_are_refused():
    with pytest.raises(ConfigError, match="rover3 reads 4 frames, but 3 are seen"):
        network("rover", {"variant": "rover3"}, size=(128, 128), seen=3)
    with pytest.raises(ConfigError, match="cannot be halved 6 times; choose at most 5"):
        network("rover", {}, size=(40, 48))
    with pytest.raises(ConfigError, match="two frames"):
        network("optical_flow", {}, seen=1)
    with pytest.raises(ConfigError, match="cannot be halved 3 times"):
        network("optical_flow", {}, size=(8, 8))
    with pytest.raises(ConfigError, match="1 is beyond the last of 1 channels"):
        network("optical_flow", {"motion_of": 1})
    with pytest.raises(ValidationError, match="odd"):
        MODELS.get("optical_flow").Options(window=4)
    with pytest.raises(ValidationError, match="not below"):
        MODELS.get("rover").Options(response="nonlinear", lowest=60.0, highest=60.0)
    with pytest.raises(ValidationError, match="give both, or neither"):
        MODELS.get("rover").Options(response="nonlinear", lowest=60.0)
    with pytest.raises(ConfigError, match=r"these do not say which they stand for; take a source .* rain_frames"):
        network("rover", {**LEVELS, "response": "nonlinear"}, dbz=None)
    with pytest.raises(ConfigError, match=r"are \[0\.0, 70\.0\] dBZ, those of the frames \[-10\.0, 60\.0\]"):
        network("rover", {**LEVELS, "response": "nonlinear", "lowest": 0.0, "highest": 70.0})


@pytest.fixture(scope="module")
def composites():
    """Eight radar composites of KNMI, 5 minutes apart, as p = (dBZ + 10) / 70 with Z = 200 R^1.6."""
    folder = os.environ.get("GYRE_MIRROR")
    found = sorted(Path(folder).rglob("RAD_NL25_RAP_5min_20100826*.h5"))[50:58] if folder else []
    if len(found) < 8:
        pytest.skip("needs radar composites of 2010-08-26 below the folder GYRE_MIRROR")
    frames = []
    for file in found:
        with h5py.File(file) as stored:
            counts = stored["image1/image_data"][250:506, 200:456]
        rate = np.where(counts == 65535, 0, counts) * 0.01 * 12  # hundredths of mm in 5 minutes
        dbz = 10 * np.log10(200 * np.maximum(rate, 1e-3) ** 1.6)
        frames.append(np.where(rate > 0, np.clip((dbz + 10) / 70, 0, 1), 0))
    return torch.from_numpy(np.stack(frames))[None, :, None].float()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rover", {}),
        ("rover", {"response": "nonlinear"}),
        ("optical_flow", {}),
        ("optical_flow", {"method": "lucas_kanade"}),
    ],
)
def test_real_echoes_move_as_forecast(composites, name, options):
    seen, truth = composites[:, :2], composites[:, 2:, 0]
    net = network(name, options, size=(256, 256), seen=2, leads=6)
    forecast = net.forecast(seen)
    errors = (forecast - truth).square().mean(dim=(0, 2, 3)).sqrt()
    still = (seen[:, 1] - truth).square().mean(dim=(0, 2, 3)).sqrt()
    assert (errors < still).all()
    assert errors.mean() < 0.93 * still.mean()
    flow = net.flow(255 * seen[:, 0, 0], 255 * seen[:, 1, 0])
    wet = seen[:, 1] > 0
    east, south = ((part * wet[:, 0]).sum() / wet.sum() for part in flow.unbind(1))
    assert 5 < east < 9  # 60 to 108 km/h: storms from the west
    assert -4 < south < 0
