"""Dates out of pickles: dates alone come out, and nothing that a pickle names is called."""

from __future__ import annotations

import io
import pickle
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.errors import DataError
from pipeline_lib.readers import npz

SOME = [datetime(2016, 8, 21) + timedelta(minutes=5 * i, microseconds=i) for i in range(300)]


def archive(file: Path, content: object, *, name: str = "dates", protocol: int = 3) -> Path:
    """An archive whose one member is an object array with any pickle behind its header."""
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (2,)})
    member.write(pickle.dumps(content, protocol=protocol))
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(f"{name}.npy", member.getvalue())
    return file


@settings(max_examples=40)
@given(st.lists(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(lambda d: d.replace(fold=0)), max_size=20))
def test_dates_come_out_as_numpy_itself_would_unpickle_them(tmp_path_factory: Any, dates: list[datetime]) -> None:
    file = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez_compressed(file, dates=np.array(dates, dtype=object))
    expected = np.load(file, allow_pickle=True)["dates"].astype("datetime64[ns]")  # our own file
    np.testing.assert_array_equal(npz.dates(file, "dates"), expected)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_other_pythons(tmp_path: Path, protocol: int) -> None:
    if protocol == 2:  # bytes are stored as text there, by way of a function that is none of the four
        with pytest.raises(DataError, match=r"names _codecs\.encode, which is no date"):
            npz.dates(archive(tmp_path / "a.npz", np.array(SOME[:2], dtype=object), protocol=2), "dates")
        return
    file = archive(tmp_path / "a.npz", np.array(SOME[:2], dtype=object), protocol=protocol)
    np.testing.assert_array_equal(npz.dates(file, "dates"), np.array(SOME[:2], dtype="datetime64[ns]"))


def test_dates_that_are_no_objects(tmp_path: Path) -> None:
    times = np.array(SOME, dtype="datetime64[s]")
    np.savez(tmp_path / "a.npz", dates=times)
    np.testing.assert_array_equal(npz.dates(tmp_path / "a.npz", "dates"), times)


class _Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


class _Print:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("gotcha",)


def test_a_pickle_that_runs_code_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "gotcha"
    for content in (_Evil(target), np.array([SOME[0], _Evil(target)], dtype=object), _Print(), [_Print()]):
        with pytest.raises(DataError, match="which is no date"):
            npz.dates(archive(tmp_path / "a.npz", content), "dates")
    assert not target.exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "content",
    [
        np.array([1, 2], dtype=object),
        np.array([SOME[0]], dtype=object),
        np.array([SOME[0], None], dtype=object),
        np.array([SOME[0], "2016"], dtype=object),
        SOME[:2],
        SOME[0],
        None,
        {"dates": SOME},
    ],
)
def test_what_is_no_row_of_dates_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(DataError, match="dates"):
        npz.dates(archive(tmp_path / "a.npz", content), "dates")


@given(st.binary(max_size=200))
def test_any_bytes_give_dates_or_one_line(tmp_path_factory: Any, noise: bytes) -> None:
    file = tmp_path_factory.mktemp("npz") / "a.npz"
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (2,)})
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("dates.npy", member.getvalue() + noise)
    with pytest.raises(DataError):
        npz.dates(file, "dates")


def test_a_date_that_cannot_be_is_refused(tmp_path: Path) -> None:
    good = archive(tmp_path / "a.npz", np.array(SOME[:2], dtype=object)).read_bytes()
    state = SOME[0].__reduce__()[1][0]
    assert good.count(state) == 1
    with zipfile.ZipFile(tmp_path / "a.npz") as packed:
        member = packed.read("dates.npy").replace(state, state[:3] + b"\x20" + state[4:])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("dates.npy", member)
    with pytest.raises(DataError, match="day"):
        npz.dates(tmp_path / "a.npz", "dates")


@settings(max_examples=30)
@given(first=st.integers(0, 8), many=st.integers(1, 9))
def test_rows_are_those_of_the_whole_array(tmp_path_factory: Any, first: int, many: int) -> None:
    file = tmp_path_factory.getbasetemp() / "rows.npz"
    values = np.random.default_rng(0).integers(-5, 500, (9, 7, 6)).astype("int16")
    np.savez_compressed(file, data=values)
    last = min(9, first + many)
    found = npz.rows(file, "data", npz.member(file, "data"), first, last)
    np.testing.assert_array_equal(found, values[first:last])


def test_damage_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, data=np.random.default_rng(0).integers(0, 9, (30, 40, 50)))
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (whole[:-30], bytes(flipped), b"no zip"):
        file.write_bytes(content)
        with pytest.raises(DataError, match="fetch it again"):
            npz.check_whole(file)
    file.write_bytes(whole)
    with pytest.raises(DataError, match="dat in it cannot be read"):
        npz.member(file, "dat")
    with pytest.raises(DataError, match="cannot be read"):
        npz.rows(file, "data", npz.member(file, "data"), 20, 31)
    np.savez(file, data=np.asfortranarray(np.zeros((3, 4))))
    with pytest.raises(DataError, match="column by column"):
        npz.member(file, "data")
