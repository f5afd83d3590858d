"""Which frames a forecast can start from: against a plain loop over all frames."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline_lib.errors import DataError
from pipeline_lib.tasks.nowcasting.sequences import Rows, packed_cells, unpacked_cells

START = np.datetime64("2010-08-26", "ns")
MINUTE = np.timedelta64(60, "s")


def radar(minutes: list[int], lacking: list[float], ages: list[int] | None = None) -> xr.Dataset:
    """Frames of 2 x 10 cells, of which the last column never has a value, with so many further gaps."""
    frames = np.ones((len(minutes), 2, 10), np.float32)
    frames[:, :, 9] = np.nan
    for frame, share in zip(frames, lacking, strict=True):
        frame.reshape(-1)[[i for i in range(20) if i % 10 != 9][: round(share * 18)]] = np.nan
    variables = {"echo": (("time", "y", "x"), frames, {"units": "1"})}
    if ages is not None:
        variables["age"] = ("time", np.array(ages, float))
    return xr.Dataset(variables, {"time": START + np.array(minutes) * MINUTE})


frames = st.lists(
    st.tuples(st.sampled_from([5, 5, 5, 10, 7]), st.sampled_from([0.0, 0.0, 0.5])), min_size=2, max_size=14
)


@given(frames, st.integers(1, 4), st.integers(0, 4), st.integers(1, 3), st.booleans())
def test_starts_are_those_that_a_loop_finds(made, seen, leads, stride, restarts):
    minutes = np.cumsum([gap for gap, _ in made]).tolist()
    lacking = [share for _, share in made]
    lacking[0] = 0.0  # a cell that has no value at any time is not lacking
    ages = [i % 5 for i in range(len(made))] if restarts else None
    ds = radar(minutes, lacking, ages)

    def whole(i):
        return lacking[i] <= 0.25

    def linked(i):
        return (
            minutes[i + 1] - minutes[i] == 5
            and whole(i)
            and whole(i + 1)
            and (ages is None or ages[i + 1] == ages[i] + 1)
        )

    expected = []
    for i in range(len(made)):
        before = i
        while before > 0 and linked(before - 1):
            before -= 1
        after = i
        while after < len(made) - 1 and linked(after):
            after += 1
        enough = whole(i) and i - before >= seen - 1 and after - i >= leads
        if enough and (i - before - (seen - 1)) % stride == 0:
            expected.append(i)
    if not (np.diff(minutes) == 5).any():
        with pytest.raises(DataError, match="no two frames are 5 minutes apart"):
            Rows.of(ds, ["echo"], step_minutes=5, missing=0.25).require_step(5, where="echo")
    rows = Rows.of(ds, ["echo"], step_minutes=5, missing=0.25)
    assert rows.starts(seen=seen, leads=leads, stride=stride).tolist() == expected
    lacking_too_much = sum(not whole(i) for i in range(len(made)))
    assert rows.told() == f"{len(made)} frames, {lacking_too_much} of them incomplete"


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(1, 3))
def test_cells_are_text_and_back(cells, levels):
    volume = np.stack([cells, *[~cells] * (levels - 1)])
    ds = xr.Dataset({"echo": (("time", "y", "x"), cells[None]), "rain": (("time", "z", "y", "x"), volume[None])})
    back = unpacked_cells(packed_cells({"echo": cells, "rain": volume}), ds)
    np.testing.assert_array_equal(back["echo"], cells)
    np.testing.assert_array_equal(back["rain"], volume)


def test_a_frame_without_what_is_seen_beside_it_is_incomplete():
    ds = radar([0, 5, 10, 15], [0, 0, 0, 0])
    volume = np.ones((4, 3, 2, 10), np.float32)
    volume[:, :, :, :4] = np.nan  # the second radar reaches less far
    volume[1, :2] = np.nan
    ds = ds.assign(volume=(("time", "z", "y", "x"), volume))
    rows = Rows.of(ds, ["echo", "volume"], step_minutes=5, missing=0.1)
    assert rows.told() == "4 frames, 1 of them incomplete"
    assert rows.starts(seen=2, leads=0).tolist() == [3]
    assert Rows.of(ds, ["echo", "volume"], step_minutes=5, missing=0.7).starts(seen=1, leads=0).size == 4
    elsewhere = ds.assign(volume=ds.volume * np.nan)
    np.testing.assert_allclose(rows.lacking, [0, 2 * 12 / (18 + 3 * 12), 0, 0])  # two of three levels of the second
    told = Rows.of(elsewhere, ["echo", "volume"], step_minutes=5, missing=0.1, known=rows.known).told()
    assert told == "4 frames, 4 of them incomplete"
    with pytest.raises(DataError, match=r"volume: has dimensions .* give frames"):
        Rows.of(ds, ["volume", "echo"], step_minutes=5, missing=0.1)


def test_cells_of_the_training_are_asked_for_though_no_frame_of_the_test_has_them():
    ds = radar([0, 5, 10], [0, 0, 0])
    ds.echo[:, :, :2] = np.nan
    own = Rows.of(ds, ["echo"], step_minutes=5, missing=0.1)
    assert own.starts(seen=1, leads=0).tolist() == [0, 1, 2]
    known = np.ones((2, 10), np.bool_)
    known[:, 9] = False
    asked = Rows.of(ds, ["echo"], step_minutes=5, missing=0.1, known={"echo": known})
    assert not asked.starts(seen=1, leads=0).size
    assert asked.told() == "3 frames, 3 of them incomplete"
    # A cell that the training did not know may be there or not.
    more = Rows.of(
        radar([0, 5], [0, 0]), ["echo"], step_minutes=5, missing=0, known={"echo": known & (np.arange(10) < 5)}
    )
    assert more.starts(seen=1, leads=0).tolist() == [0, 1]
    with pytest.raises(DataError, match=r"frames are \(2, 10\), the model was trained on \(3, 10\)"):
        Rows.of(ds, ["echo"], step_minutes=5, missing=0.1, known={"echo": np.ones((3, 10), np.bool_)})


def test_frames_that_are_none_are_refused():
    ds = radar([0, 5, 10], [0, 0, 0])
    with pytest.raises(DataError, match="holds no value at any time"):
        Rows.of(ds.assign(echo=ds.echo * np.nan), ["echo"], step_minutes=5, missing=0.1)
    with pytest.raises(DataError, match=r"has dimensions .* give frames"):
        Rows.of(ds.isel(x=0), ["echo"], step_minutes=5, missing=0.1)
    with pytest.raises(DataError, match="no two frames are 6 minutes apart, most are 5"):
        Rows.of(ds, ["echo"], step_minutes=6, missing=0.1).require_step(6, where="echo")


def test_frames_around_gaps_are_no_row_of_a_longer_step():
    """Two steps apart are only those with a frame missing between them: a season of gaps is no season of weather."""
    minutes = [5 * i for i in range(40) if i not in (7, 12, 14, 30)]
    ds = radar(minutes, [0] * len(minutes))
    rows = Rows.of(ds, ["echo"], step_minutes=10, missing=0.1)
    assert not rows.starts(seen=2, leads=0).size
    assert not rows.starts(seen=1, leads=1).size
    with pytest.raises(
        DataError, match="echo: most frames are 5 minutes apart, and 10 only around gaps; correct train"
    ):
        rows.require_step(10, where="echo")
    # Where every other frame is missing that is the step, whatever the archive has now and then.
    sparse = radar(kept := [m for m in minutes if m % 10 == 0 or m in (15, 55)], [0] * len(kept))
    rows = Rows.of(sparse, ["echo"], step_minutes=10, missing=0.1)
    assert rows.wrong_step(10) == ""
    assert rows.starts(seen=3, leads=0).size
