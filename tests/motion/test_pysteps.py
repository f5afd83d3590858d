"""Flow and extrapolation against pysteps and OpenCV, on the same frames."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_lib.motion.advection import follow_trajectories, trajectories
from pipeline_lib.motion.farneback import farneback_flow
from pipeline_lib.motion.lucas_kanade import lucas_kanade_flow
from pipeline_lib.motion.sampling import inside
from tests.motion.scenes import blobs, interior, root_mean_square, rotation

PYTHON = Path(__file__).parents[2] / ".venv-pysteps" / "bin" / "python"
SIZE, VELOCITY, LEADS = (128, 144), (2.3, -1.2), 6
pytestmark = pytest.mark.pysteps


def frames(lead: int) -> torch.Tensor:
    shift = VELOCITY[0] * lead, VELOCITY[1] * lead
    return blobs(shift, SIZE, widths=(1.6, 3), count=500)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("pysteps")
    given = torch.cat((frames(-1), frames(0))).numpy()
    np.savez(folder / "given.npz", frames=given, flow=rotation(SIZE, 0.02)[0].numpy(), leads=LEADS)
    script = Path(__file__).with_name("pysteps_reference.py")
    environment = {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "HOME": str(folder)}
    words = [PYTHON, script, folder / "given.npz", folder / "found.npz"]
    subprocess.run(words, check=True, env=environment, cwd=folder)
    with np.load(folder / "found.npz") as found:
        return {name: torch.from_numpy(array).double() for name, array in found.items()}


def test_trajectories_end_where_those_of_pysteps_do(theirs):
    flow = rotation(SIZE, 0.02)
    ours = follow_trajectories(frames(0), flow, LEADS)[0]
    within = inside(trajectories(flow, LEADS)[0])[:, 0]
    assert within.double().mean() > 0.8
    assert root_mean_square((ours - theirs["moved"])[within]) < 2e-3 * root_mean_square(ours)


def test_a_moving_field_is_forecast_at_least_as_well_as_by_pysteps(theirs):
    flow = lucas_kanade_flow(frames(-1), frames(0))
    velocity = torch.tensor(VELOCITY)[:, None, None]
    assert root_mean_square(interior(flow - velocity)) < root_mean_square(interior(theirs["lucas_kanade"] - velocity))
    ours = follow_trajectories(frames(0), flow, LEADS)
    truth = torch.cat([frames(lead + 1) for lead in range(LEADS)])[None]
    still = root_mean_square(interior(frames(0) - truth, 24))
    error = root_mean_square(interior(ours - truth, 24))
    assert error < 0.1 * still
    assert error < 1.1 * root_mean_square(interior(theirs["forecast"][None] - truth, 24))


def test_farneback_agrees_with_opencv(theirs):
    images = [frames(lead).clamp(0, 255).round() for lead in (-1, 0)]
    ours = farneback_flow(*images)[0]
    assert root_mean_square(interior(ours - theirs["farneback"])) < 0.01
