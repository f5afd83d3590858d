"""From any product back to the raw files and their citations, through the command line."""

from __future__ import annotations

import json
import re
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
import xarray as xr

from pipeline_lib.cli.app import main
from pipeline_lib.io.identifier import carried_by
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from tests.report.artefacts import CODE, PERIOD

RESULTS = Path("results/tiny")
PRODUCTS = [
    RESULTS / "figures/maps.png",
    RESULTS / "figures/maps.pdf",
    RESULTS / "report.html",
    RESULTS / "report.json",
    RESULTS / "leaderboard.csv",
    RESULTS / "eddynet/seed0/score.json",
    RESULTS / f"eddynet/seed0/products/{PERIOD}.zarr",
    RESULTS / "eddynet/seed0/best.pt",
    Path(f"data/med-adt-2005q2/dataset/{PERIOD}.zarr"),
    Path("data/med-adt-2005q2/raw/maps.nc"),
]


@dataclass
class Told:
    """What the command said."""

    code: int
    text: str
    problem: str


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def told(folder: Path, *arguments: object) -> Told:
        monkeypatch.chdir(folder)
        code = main(["provenance", *map(str, arguments)])
        said = capsys.readouterr()
        return Told(code, said.out, said.err.strip())

    return told


def raw_of(folder: Path) -> Manifest:
    return read_manifest(folder / f"data/med-adt-2005q2/raw/{PERIOD}.json")


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
def test_every_product_leads_to_the_raw_files_and_their_citation(project: Path, tell, product: Path):
    told = tell(project, product)
    assert (told.code, told.problem) == (0, "")
    assert f"file maps.nc, 9 bytes, SHA-256 {raw_of(project).files['maps.nc'].sha256}" in told.text
    assert "citation: Generated, see https://example.org/data" in told.text
    assert "licence: CC0-1.0" in told.text
    assert str(project) not in told.text


def test_the_chain_of_a_figure_is_complete_and_in_order(project: Path, tell):
    plain = json.loads(tell(project, "--json", "--deep", PRODUCTS[0]).text)
    assert plain["whole"]
    kinds = [node["kind"] for node in plain["chain"]]
    assert kinds == ["report", "leaderboard", "score", "product", "model", "labels", "dataset", "raw"]
    known = {node["manifest"] for node in plain["chain"]}
    for node in plain["chain"]:
        assert node["code"] == CODE
        assert node["versions"]["numpy"]
        assert set(node["inputs"]) <= known
        assert node["identity"] == read_manifest(project / node["manifest"]).identity


def test_figures_page_and_stores_carry_identifiers_that_their_manifests_explain(project: Path):
    report = read_manifest(project / RESULTS / "report.json")
    for name in report.files:
        assert carried_by(project / RESULTS / name) == report.origin
    product = read_manifest(project / RESULTS / f"eddynet/seed0/products/{PERIOD}.json")
    store = product.file(f"{PERIOD}.zarr")
    assert xr.open_zarr(store).attrs["gyre_identifier"] == carried_by(store) == product.content_of(store.name)


def test_an_origin_that_was_written_too_early_is_a_defect(tmp_path: Path):
    out = Artefact(tmp_path / "a.json", kind="x", code=CODE)
    out.__enter__()
    out.payload("a.txt").write_text(out.origin)
    out.options = {"late": True}
    with pytest.raises(ValueError, match="after the origin"):
        out.__exit__(None, None, None)
    assert not out.path.exists()


def test_the_origin_follows_inputs_options_and_code(project: Path, tmp_path: Path):
    def origin(code: str = CODE, role: str = "raw", **options: object) -> str:
        out = Artefact(tmp_path / "a.json", kind="x", code=code, options=options)
        out.add_input(role, raw_of(project))
        return out.origin

    assert origin(a=1) == origin(a=1)
    assert len({origin(), origin(a=1), origin(a=2), origin(code="f" * 20), origin(role="other")}) == 5


@pytest.mark.parametrize("product", [p for p in PRODUCTS if p.suffix != ".json"], ids=str)
def test_a_copy_elsewhere_is_found_by_what_it_holds(project: Path, tmp_path: Path, tell, product: Path):
    copy = tmp_path / "mail" / f"figure-3{product.suffix}"
    copy.parent.mkdir()
    shutil.copytree(project / product, copy) if (project / product).is_dir() else shutil.copy(project / product, copy)
    told = tell(tmp_path, copy, "--below", project)
    assert told.code == 0, told.problem
    assert "is a copy of its" in told.text
    assert raw_of(project).files["maps.nc"].sha256 in told.text


def with_comment(png: bytes) -> bytes:
    """A PNG as an editor saves it: one more chunk."""
    body = b"tEXtComment\0cropped"
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:-12] + chunk + png[-12:]


def test_an_edited_copy_is_found_by_its_identifier_and_called_edited(project: Path, tmp_path: Path, tell):
    edited = tmp_path / "cropped.png"
    edited.write_bytes(with_comment((project / PRODUCTS[0]).read_bytes()))
    told = tell(project, edited)
    assert told.code == 0
    assert "carries its identifier, but not its bytes: it was edited" in told.text


def test_an_edited_figure_in_its_place_breaks_the_chain(own: Path, tell):
    figure = own / PRODUCTS[0]
    figure.write_bytes(with_comment(figure.read_bytes()))
    told = tell(own, PRODUCTS[0])
    assert told.code == 5
    assert re.search(r"maps\.png: the chain is broken: figures/maps\.png is not what report\.json says", told.problem)


def test_a_missing_ancestor_is_named(own: Path, tell):
    (own / f"data/med-adt-2005q2/labels/{PERIOD}.json").unlink()
    told = tell(own, PRODUCTS[0])
    assert told.code == 5
    assert f"labels/{PERIOD}.json: the chain is broken: no such manifest" in told.problem
    assert len(told.problem.splitlines()) == 1
    assert "BROKEN" in told.text


def test_a_missing_file_of_an_ancestor_is_named(own: Path, tell):
    (own / "data/med-adt-2005q2/raw/maps.nc").unlink()
    told = tell(own, PRODUCTS[0])
    assert told.code == 5
    assert "the chain is broken: maps.nc is missing" in told.problem


def test_an_ancestor_that_was_made_again_is_named(own: Path, tell):
    raw = own / f"data/med-adt-2005q2/raw/{PERIOD}.json"
    before = read_manifest(raw).identity
    with Artefact(raw, kind="raw", code=CODE) as out:
        out.payload("maps.nc").write_bytes(b"re-issued")
    told = tell(own, PRODUCTS[0])
    assert told.code == 5
    assert f"has changed since it was used as {before[:12]}" in told.problem


def test_a_flipped_bit_in_an_ancestor_is_found_when_asked_to_look_deep(own: Path, tell):
    raw = own / "data/med-adt-2005q2/raw/maps.nc"
    raw.write_bytes(b"raw bytez")
    assert tell(own, PRODUCTS[0]).code == 0
    told = tell(own, "--deep", PRODUCTS[0])
    assert told.code == 5
    assert "maps.nc does not match its SHA-256" in told.problem


def test_a_file_that_nobody_knows(project: Path, tmp_path: Path, tell):
    stranger = tmp_path / "stranger.png"
    stranger.write_bytes(b"\x89PNG")
    told = tell(project, stranger)
    assert told.code == 5
    assert "carries no identifier, and no manifest beside it or below . knows it" in told.problem
    told = tell(tmp_path, tmp_path / "none.png")
    assert "no such file" in told.problem


def test_a_figure_of_another_project_says_which_identifier_it_carries(project: Path, tmp_path: Path, tell):
    copy = tmp_path / "figure.pdf"
    shutil.copy(project / PRODUCTS[1], copy)
    told = tell(tmp_path, copy)
    origin = read_manifest(project / RESULTS / "report.json").origin
    assert told.code == 5
    assert f"carries the identifier {origin}, but no manifest" in told.problem


def test_a_product_of_a_file_of_ones_own_leads_to_its_model(project: Path, tmp_path: Path, tell):
    model = read_manifest(project / RESULTS / "eddynet/seed0/model.json")
    store = tmp_path / "mine.zarr"
    xr.Dataset({"eddy_class": ("x", [1])}, attrs={"gyre_model_identity": model.identity}).to_zarr(store, zarr_format=3)
    told = tell(project, store)
    assert told.code == 0
    assert "was made with this model, from a file outside the workflow" in told.text
