"""Stores that were harmed after they were written: the next stage refuses them and says which file it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

from tests.faults.project import Project, command, content, small_maps


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("made")).deliver(small_maps())
    assert project.preprocess().code == 0
    return project


@pytest.fixture
def own(made, tmp_path) -> Project:
    shutil.copytree(made.folder, tmp_path / "own")
    return Project(tmp_path / "own")


def chunk(store: Path) -> Path:
    return store / "adt" / "c" / "0" / "0" / "0"


def flip(store: Path) -> None:
    """One bit of the values."""
    data = bytearray(chunk(store).read_bytes())
    data[len(data) // 2] ^= 1
    chunk(store).write_bytes(data)


def metadata_only(store: Path) -> None:
    """R5: what is left of a writer that stopped after the metadata; it opens, with a complete time axis."""
    ds = xr.open_zarr(store).load()
    shutil.rmtree(store)
    ds.drop_encoding().chunk().to_zarr(store, compute=False, zarr_format=3, consolidated=False)
    assert xr.open_zarr(store, consolidated=False).adt.isnull().all()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted (R6)": (lambda store: chunk(store).unlink(), "adt/c/0/0/0 is missing"),
    "truncated": (lambda store: chunk(store).write_bytes(chunk(store).read_bytes()[:-9]), "adt/c/0/0/0 has "),
    "empty": (lambda store: chunk(store).write_bytes(b""), "adt/c/0/0/0 has 0 bytes"),
    "zeros": (lambda store: chunk(store).write_bytes(bytes(chunk(store).stat().st_size)), "adt/c/0/0/0 does not match"),
    "one bit flipped": (flip, "adt/c/0/0/0 does not match its SHA-256"),
    "metadata only (R5)": (metadata_only, "2005-04.zarr/adt"),
    "foreign chunk": (lambda store: (chunk(store).parent / "1").write_bytes(b"x"), "adt/c/0/0/1 does not belong there"),
    "other attributes": (
        lambda store: (store / "zarr.json").write_text((store / "zarr.json").read_text().replace('"m"', '"M"')),
        "zarr.json does not match its SHA-256",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_labelling_refuses_a_damaged_dataset(own, damage):
    harm, message = DAMAGES[damage]
    harm(own.output.with_name("2005-04.zarr"))
    labels = own.folder / "labels" / "2005-04.json"
    done = command("label", "--labeller", "okubo_weiss", "--dataset", own.output, "--output", labels)
    assert done.code == 5
    assert len(done.problems) == 1, done.problems
    assert message in done.problems[0]
    assert "run again" in done.problems[0]
    assert not labels.parent.exists()
    assert own.preprocess().code == 0
    assert command("label", "--labeller", "okubo_weiss", "--dataset", own.output, "--output", labels).code == 0


def test_a_damaged_raw_file_is_refused(own):
    raw = own.raw.with_name("maps.nc")
    data = bytearray(raw.read_bytes())
    data[len(data) // 2] ^= 1
    raw.write_bytes(data)
    before = content(own.output.parent)
    done = own.preprocess()
    assert done.code == 5
    assert "maps.nc does not match its SHA-256" in done.problems[0]
    assert content(own.output.parent) == before


def test_a_month_that_grew_is_seen_by_every_reader(tmp_path):
    """R7: nothing is appended, so no consolidated metadata of before can remain."""
    project = Project(tmp_path).deliver(small_maps(), time={"start": "2005-04-01", "end": "2005-04-10"})
    assert project.preprocess().code == 0
    assert project.dataset().sizes["time"] == 10
    project.describe().fetch()
    assert project.preprocess().code == 0
    store = project.output.with_name("2005-04.zarr")
    assert [xr.open_zarr(store, consolidated=c).sizes["time"] for c in (None, True, False)] == [30] * 3
