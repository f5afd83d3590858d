"""Files and names that mean harm, through the command line: one line, nothing run, nothing written outside."""

from __future__ import annotations

import json
import os
import pickle
import re
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from pipeline_lib.io.manifest import Artefact
from pipeline_lib.learning.model_store import ModelSpec
from tests.faults.project import Outcome, Project, command, content, harmed, small_maps
from tests.fetch.helpers import Page, Site
from tests.workflow.project import experiment

MAPS = small_maps()


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return os.mkdir, (str(self.sprung),)


@pytest.fixture
def sprung(tmp_path) -> Path:
    return tmp_path / "sprung"


def one_line(done: Outcome, code: int, message: str) -> None:
    assert done.code == code, done.problems
    assert len(done.problems) == 1, done.problems
    assert re.search(message, done.problems[0]), done.problems[0]


# ---- YAML ------------------------------------------------------------------------------------------------

_LEVELS = "abcdefghij"


def _bomb(line: str) -> str:
    """Ten lines, each of which names the one before ten times."""
    first = f"a: &a {{k: v}}\n" if "<<" in line else "a: &a [x, x]\n"  # noqa: F541
    rest = [
        line.format(name=name, aliases=", ".join(f"*{before}" for _ in range(10))) for before, name in pairwise(_LEVELS)
    ]
    return first + "\n".join(rest) + "\n"


TEXTS: dict[str, tuple[Callable[[Path], str], str]] = {
    "object": (lambda s: f"title: !!python/object/apply:os.mkdir ['{s}']\n", "tiny.yaml:1: is not valid YAML"),
    "name": (lambda s: "title: !!python/name:os.system\n", "tiny.yaml:1: is not valid YAML"),
    "new": (lambda s: f"title: !!python/object/new:os.mkdir ['{s}']\n", "tiny.yaml:1: is not valid YAML"),
    "aliases of aliases": (lambda s: _bomb("{name}: &{name} [{aliases}]"), "holds more than 100000 values"),
    "merges of merges": (lambda s: _bomb("{name}: &{name} {{<<: [{aliases}], k{name}: v}}"), "unknown key|field"),
    "depth": (lambda s: "title: " + "[" * 5000 + "]" * 5000, "is not valid YAML"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_hostile_yaml_is_refused_at_once_and_runs_nothing(tmp_path, sprung, case):
    text, message = TEXTS[case]
    file = tmp_path / "tiny.yaml"
    file.write_text(text(sprung))
    begin = time.process_time()
    done = command("statistics", file, "--datasets", "x", "--output", tmp_path / "results" / "s.json")
    assert time.process_time() - begin < 10
    assert done.code == 2, done.problems
    assert re.search(message, done.problems[0]), done.problems[0]
    assert [f.name for f in tmp_path.iterdir()] == ["tiny.yaml"]


# ---- pickle ----------------------------------------------------------------------------------------------


def model_with(folder: Path, weights: bytes) -> Path:
    """A model whose manifest vouches for weights that somebody else wrote."""
    spec = ModelSpec(
        model="eddynet", options={}, task="segmentation", inputs=({"name": "adt", "units": "m"},),
        classes=("background", "anticyclonic", "cyclonic"), sizes={"in_channels": 1, "classes": 3}, parameters=1,
    )  # fmt: skip
    with Artefact(folder / "model.json", kind="model", code="c") as out:
        out.payload("best.pt").write_bytes(weights)
        out.content = {
            "spec": spec.model_dump(mode="json"),
            "preparation": {"preparation": "as_is", "variables": ["adt"]},
            "variables": {"adt": {"units": "m"}},
            "form": "maps",
            "grid_step": [0.125, 0.125],
        }
    return folder / "model.json"


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_weights_that_are_a_hostile_pickle_never_run_even_with_the_right_hash(tmp_path, sprung, writer):
    project = Project(tmp_path / "p").deliver(MAPS, preparation={"name": "as_is", "options": {"variables": ["adt"]}})
    assert project.preprocess().code == 0
    if writer == "torch":
        torch.save({"x": Trap(sprung)}, tmp_path / "w")
    else:
        (tmp_path / "w").write_bytes(pickle.dumps({"x": Trap(sprung)}))
    model = model_with(tmp_path / "model", (tmp_path / "w").read_bytes())
    product = tmp_path / "product" / "2005-04.json"
    done = command("predict", "--model", model, "--dataset", project.output, "--output", product)
    one_line(done, 5, "does not fit eddynet as it is today")
    assert not sprung.exists()
    assert list(product.parent.iterdir()) == []
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap itself works


@pytest.mark.parametrize("where", ["filters", "compressor"])
@pytest.mark.parametrize("dtype", ["|O", "<f8"])
def test_a_zarr_store_with_pickled_chunks_is_refused_and_runs_nothing(tmp_path, sprung, where, dtype):
    store = tmp_path / "foreign.zarr"
    MAPS.isel(time=[0]).to_zarr(store, zarr_format=2, consolidated=False)
    codec = {"id": "pickle", "protocol": 5}
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": dtype, "fill_value": None, "order": "C",
             "filters": [codec] if where == "filters" else None,
             "compressor": codec if where == "compressor" else None}  # fmt: skip
    (store / "quality").mkdir()  # a coordinate of its own: it would be read when the store is opened
    (store / "quality/.zarray").write_text(json.dumps(array))
    (store / "quality/.zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["quality"]}))
    (store / "quality/0").write_bytes(pickle.dumps(np.array([Trap(sprung)], dtype=object)))
    model = model_with(tmp_path / "model", b"")
    done = command("predict", "--model", model, "--input", store, "--output", tmp_path / "out.zarr")
    one_line(done, 4, r"foreign\.zarr: is not a readable netCDF file or Zarr store")
    assert not sprung.exists()
    assert not (tmp_path / "out.zarr").exists()


# ---- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fetch", "message"),
    [
        ({"driver": "file", "path": "incoming/all.json"}, "would be called all.json, as its manifest is"),
        ({"driver": "file", "path": "incoming/.all.payloads"}, "not end in a file name that is not hidden"),
        ({"driver": "http", "url": "http://localhost/%2e%2e"}, "not end in a file name that is not hidden"),
        ({"driver": "http", "url": "http://localhost/..%2f.ssh"}, "not end in a file name that is not hidden"),
    ],
)
def test_files_that_would_take_the_place_of_our_own_are_refused(tmp_path, fetch, message):
    project = Project(tmp_path).describe(fetch=fetch)
    words = ("--catalog", tmp_path / "catalog.yaml", "--output", project.raw)
    one_line(command("fetch", "tiny-adt", *words), 2, message)
    assert [f.name for f in tmp_path.iterdir()] == ["catalog.yaml"]


def test_an_address_that_climbs_brings_its_file_into_the_source_s_folder(tmp_path, site: Site):
    site.pages["/../../../evil.nc"] = Page(MAPS.to_netcdf(engine="h5netcdf"))
    project = Project(tmp_path / "p")
    project.folder.mkdir()
    project.describe(fetch={"driver": "http", "url": f"{site.url}/x/..%2f..%2f..%2fevil.nc"})
    site.pages["/x/../../../evil.nc"] = site.pages["/../../../evil.nc"]
    project.fetch()
    assert sorted(content(tmp_path)) == ["p/catalog.yaml", "p/raw/.all.payloads", "p/raw/all.json", "p/raw/evil.nc"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fetch", "../evil"), "no source is called '../evil'"),
        (("fetch", "tiny-adt", "--part", "../../evil"), "there is no part '../../evil'"),
        (("preprocess", "tiny-adt", "--raw", "x", "--period", "../../evil"), "'../../evil' is not a period"),
    ],
)
def test_names_that_climb_are_refused_on_the_command_line(tmp_path, words, message):
    Project(tmp_path).describe()
    done = command(*words, "--catalog", tmp_path / "catalog.yaml", "--output", tmp_path / "out" / "x.json")
    one_line(done, 2, re.escape(message))
    assert [f.name for f in tmp_path.iterdir()] == ["catalog.yaml"]


@pytest.mark.parametrize(
    "change",
    [
        {"source": "../evil"}, {"labels": {"labeller": "../evil"}}, {"models": ["../evil"]}, {"task": "../evil"},
        {"models": [{"name": "../evil", "model": "eddynet"}]}, {"published": ["../evil"]}, {"extends": "../evil"},
        {"extends": "../../etc/passwd"}, {"inputs": []},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_names_that_climb_are_refused_in_an_experiment(tmp_path, change):
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump({**experiment(), **change}))
    done = command("statistics", file, "--datasets", "x", "--output", tmp_path / "out" / "s.json")
    assert done.code == 2, done.problems
    assert [f.name for f in tmp_path.iterdir()] == ["tiny.yaml"]


# ---- netCDF ----------------------------------------------------------------------------------------------


def damage(data: bytes, seed: int) -> bytes:
    """Flip bits, blank or cut out a piece, or cut off the end, somewhere."""
    rng = np.random.default_rng(seed)
    changed = bytearray(data)
    start, length = int(rng.integers(0, len(data))), int(2 ** rng.uniform(0, 12))
    match seed % 4:
        case 0:
            for place in rng.integers(0, len(data), 20):
                changed[place] ^= 1 << int(rng.integers(0, 8))
        case 1:
            changed[start : start + length] = bytes(len(changed[start : start + length]))
        case 2:
            del changed[start : start + length]
        case 3:
            del changed[start:]
    return bytes(changed)


def test_a_file_damaged_anywhere_is_refused_in_one_line_or_read_but_never_a_traceback_or_a_crash(tmp_path):
    plain = MAPS.to_netcdf(engine="h5netcdf")
    packed = MAPS.to_netcdf(engine="h5netcdf", encoding={"adt": {"zlib": True, "chunksizes": (10, 16, 20)}})
    outcomes = []
    for seed in range(16):
        project = Project(tmp_path / str(seed))
        project.incoming.parent.mkdir(parents=True)
        project.describe()
        project.incoming.write_bytes(damage(packed if seed % 3 else plain, seed))
        fetch = ["fetch", "tiny-adt", "--catalog", str(project.folder / "catalog.yaml"), "--output", str(project.raw)]
        done = harmed(fetch, int)
        if done.code == 0:
            done = harmed(project.arguments(), int)
        assert done.code in {0, 3, 4}, (seed, done)
        assert len(done.problems) == (done.code != 0), (seed, done)
        assert project.output.exists() == (done.code == 0)
        outcomes.append(done.code)
    assert 3 in outcomes  # some were stopped at the door
    assert set(outcomes) != {3}  # and some were not


def test_text_that_claims_to_be_data_is_refused(tmp_path):
    project = Project(tmp_path)
    project.incoming.parent.mkdir(parents=True)
    project.describe()
    for body in (b"\x89HDF\r\n\x1a\n" + bytes(200), b"CDF\x01" + bytes(200), b"{}", bytes(10)):
        project.incoming.write_bytes(body)
        done = command("fetch", "tiny-adt", "--catalog", tmp_path / "catalog.yaml", "--output", project.raw)
        one_line(done, 3, "is not a readable netCDF-4 file")
        assert not project.raw.exists()


def test_an_object_that_is_no_number_is_refused(tmp_path):
    words = xr.Dataset({"adt": (("time", "latitude", "longitude"), np.full(MAPS.adt.shape, "x", dtype=object))})
    project = Project(tmp_path)
    project.incoming.parent.mkdir(parents=True)
    words.assign_coords(MAPS.coords).to_netcdf(project.incoming, engine="h5netcdf")
    project.describe().fetch()
    one_line(project.preprocess(), 4, r"maps\.nc: adt")
