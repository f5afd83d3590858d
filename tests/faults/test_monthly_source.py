"""A source fetched month by month, in a folder with an odd name behind a link: what a re-issued month makes stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from pipeline_lib.io.hashing import sha256_file
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.plan import load_plan
from tests.faults.project import content
from tests.workflow.project import catalog, eddy_maps, experiment, snakemake
from tests.workflow.test_workflow import planned

MONTHS = ("2005-04", "2005-05")
DATASETS = [f"data/tiny-adt/dataset/{month}.json" for month in MONTHS]


def deliver(folder: Path, month: str, *, seed: int) -> Path:
    """Write the provider's file of one month."""
    file = folder / "incoming" / f"maps_{month}.nc"
    file.parent.mkdir(exist_ok=True)
    maps = eddy_maps(rows=16, columns=20, seed=seed)
    maps.sel(time=month).to_netcdf(file, engine="h5netcdf")
    return file


def describe(folder: Path, **fetch: object) -> None:
    """Write the catalog: files by month, accepted as they come unless their checksums are pinned."""
    raw = catalog(folder / "incoming" / f"maps_{MONTHS[0]}.nc")
    entry = raw["sources"]["tiny-adt"]
    entry["args"]["urlpath"] = "{{ data_dir }}/tiny-adt/raw/*.nc"
    entry["metadata"]["gyre"]["parts"] = "monthly"
    entry["metadata"]["gyre"]["fetch"] = {"driver": "file", "path": "incoming/maps_{part}.nc", **fetch}
    (folder / "config/catalog.yaml").write_text(yaml.safe_dump(raw))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A project made up to its datasets, reached through a link."""
    place = tmp_path_factory.mktemp("odd")
    real = place / "Gezeiten 'und' Wirbel – 渦 (1) & $HOME" / ("lang" * 20)
    (real / "config/experiments").mkdir(parents=True)
    folder = place / "a link"
    folder.symlink_to(real, target_is_directory=True)
    for month in MONTHS:
        deliver(folder, month, seed=0)
    describe(folder)
    (folder / "config/config.yaml").write_text(yaml.safe_dump({"experiments": ["tiny"]}))
    (folder / "config/experiments/tiny.yaml").write_text(yaml.safe_dump(experiment()))
    snakemake(folder, *DATASETS)
    return folder


@pytest.fixture
def own(made, tmp_path) -> Path:
    folder = tmp_path / "own"
    shutil.copytree(made.resolve(), folder, symlinks=True)
    return folder


def test_all_is_made_in_an_odd_folder(made):
    for path in DATASETS:
        manifest = read_manifest(made / path, verify="deep")
        assert str(made.resolve()) not in manifest.path.read_text()
    assert planned(made, *DATASETS) == {}


def test_the_engine_puts_nothing_into_stores(made):
    """R13: a store that is an output itself would get a time stamp file inside."""
    assert not list((made / "data").resolve().rglob(".snakemake*"))


def test_a_new_checksum_in_the_catalog_concerns_its_month_only(own, monkeypatch):
    monkeypatch.chdir(own)
    pins = {f"maps_{month}.nc": sha256_file(own / "incoming" / f"maps_{month}.nc") for month in MONTHS}

    def keys() -> list[str]:
        plan = load_plan({"experiments": ["tiny"]})
        return [plan.key("fetch", source="tiny-adt", part=month) for month in MONTHS]

    describe(own, sha256=pins)
    before = keys()
    may = deliver(own, "2005-05", seed=1)
    describe(own, sha256={**pins, may.name: sha256_file(may)})
    after = keys()
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False]


def test_a_reissued_month_is_told_and_only_that_month_is_made_again(own):
    before = [content((own / path).with_suffix(".zarr")) for path in DATASETS]
    deliver(own, "2005-05", seed=1)
    snakemake(own, "--forcerun", "fetch", "--until", "fetch", "--", *DATASETS)
    april, may = ((own / f"logs/fetch/tiny-adt/{month}.log").read_text() for month in MONTHS)
    assert "maps_2005-04.nc: unchanged" in april
    assert "WARNING" in may
    assert "maps_2005-05.nc: re-issued by the provider" in may
    assert planned(own, *DATASETS) == {"preprocess": 1}
    snakemake(own, *DATASETS)
    after = [content((own / path).with_suffix(".zarr")) for path in DATASETS]
    assert after[0] == before[0]
    assert after[1] != before[1]
