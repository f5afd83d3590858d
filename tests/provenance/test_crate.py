"""The RO-Crate of a run: what it says is true, nothing in it dangles, and nothing else depends on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline_lib.cli.app import main
from pipeline_lib.io.hashing import sha256_file
from pipeline_lib.io.manifest import Artefact, read_manifest
from pipeline_lib.provenance.preview import duration
from tests.report.artefacts import CODE, PERIOD

ROOT = Path(__file__).parents[2]
NAME = "ro-crate-metadata.json"
STAGES = ("fetch", "preprocess", "label", "train", "predict", "score", "leaderboard", "report")
TRAINED_S = 250.5


def write(folder: Path, *more: str, output: str = NAME) -> int:
    results = folder / "results" / "tiny"
    words = ["crate", results / "report.json", "--workflow", ROOT, "--snakemake", "9.0", "--output", results / output]
    return main([*map(str, words), *more])


def tabled(folder: Path) -> str:
    """Write the run-time table of the training, as Snakemake does."""
    table = folder / "logs/train/tiny/eddynet-seed0.tsv"
    table.parent.mkdir(parents=True)
    table.write_text(f"s\th:m:s\tmax_rss\n{TRAINED_S}\t0:04:10\t1200\n")
    table.with_name("half.tsv").write_text("s\th:m:s")  # being written
    return str(folder / "logs")


class Crate:
    """A crate as read: its entities by identifier."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "results" / "tiny"
        self.graph = json.loads((self.root / NAME).read_text())["@graph"]
        self.entities: dict[str, dict[str, Any]] = {entity["@id"]: entity for entity in self.graph}

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in self.graph if kind in listed(e["@type"])]

    def refs(self, entity: dict[str, Any], name: str) -> list[str]:
        return [ref["@id"] for ref in listed(entity.get(name, []))]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.fixture
def crate(own: Path) -> Crate:
    assert write(own, "--benchmarks", tabled(own)) == 0
    return Crate(own)


def test_it_says_what_the_specification_asks_for(crate: Crate):
    descriptor, root = crate.entities[NAME], crate.entities["./"]
    assert crate.refs(descriptor, "about") == ["./"]
    assert "https://w3id.org/ro/crate/1.1" in crate.refs(descriptor, "conformsTo")
    assert root["@type"] == "Dataset"
    assert datetime.fromisoformat(root["datePublished"])
    for name in ("name", "description", "license"):
        assert root[name]
    profiles = crate.refs(root, "conformsTo")
    assert "https://w3id.org/ro/wfrun/workflow/0.5" in profiles
    assert all("CreativeWork" in crate.entities[p]["@type"] for p in profiles)
    workflow = crate.entities[root["mainEntity"]["@id"]]
    assert set(workflow["@type"]) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    assert crate.entities[workflow["programmingLanguage"]["@id"]]["version"] == "9.0"
    assert any(crate.refs(a, "instrument") == [workflow["@id"]] for a in crate.of_type("CreateAction"))


def test_nothing_dangles_and_nothing_is_told_twice(crate: Crate):
    assert len(crate.entities) == len(crate.graph)
    specifications = ("https://w3id.org/ro/crate/", "https://bioschemas.org/", "https://spdx.org/")
    for identifier in references(crate.graph):
        assert identifier in crate.entities or identifier.startswith(specifications), identifier


def test_its_parts_lie_in_it_with_the_hashes_it_names(crate: Crate):
    parts = crate.refs(crate.entities["./"], "hasPart")
    assert {"report.html", "figures/maps.pdf", "leaderboard.csv", "eddynet/seed0/best.pt"} <= set(parts)
    outside = [part for part in parts if part.startswith("ni:")]
    assert len(outside) == 1  # the one raw file
    for part in set(parts) - set(outside):
        path = crate.root / part
        assert path.is_dir() if part.endswith("/") else path.is_file(), part
        if "sha256" in crate.entities[part]:
            assert sha256_file(path) == crate.entities[part]["sha256"]
            assert path.stat().st_size == int(crate.entities[part]["contentSize"])


def test_every_stage_is_an_action_that_leads_from_raw_files_to_the_report(crate: Crate):
    actions = {action["name"].split(":")[0]: action for action in crate.of_type("CreateAction")}
    assert set(STAGES) < set(actions)
    for earlier, later in (
        ("fetch", "preprocess"),
        ("preprocess", "label"),
        ("predict", "score"),
        ("score", "leaderboard"),
    ):
        assert set(crate.refs(actions[earlier], "result")) & set(crate.refs(actions[later], "object")), later
    raw = crate.entities[crate.refs(actions["fetch"], "result")[0]]
    assert raw["sha256"] == sha256_file(crate.root.parents[1] / "data/med-adt-2005q2/raw/maps.nc")
    source = crate.entities[raw["isBasedOn"]["@id"]]
    assert source["creditText"] == "Generated, see https://example.org/data"
    tool = crate.entities[actions["train"]["instrument"]["@id"]]
    assert CODE in tool["version"]
    assert any(identifier.startswith("pkg:pypi/numpy@") for identifier in crate.refs(tool, "softwareRequirements"))


def test_times_come_from_the_manifests_and_the_tables(own: Path):
    for place, moment in (("results/tiny/report.json", 2_000_000_000), ("results/tiny/eddynet/seed0/model.json", 1e9)):
        os.utime(own / place, (moment, moment))
    assert write(own, "--benchmarks", tabled(own)) == 0
    crate = Crate(own)
    train = next(a for a in crate.of_type("CreateAction") if a["name"].startswith("train"))
    start, end = (datetime.fromisoformat(train[name]) for name in ("startTime", "endTime"))
    assert end.timestamp() == 1e9
    assert (end - start).total_seconds() == pytest.approx(TRAINED_S, abs=1)
    run = crate.entities["#run"]
    assert run["startTime"] == train["startTime"]
    assert run["endTime"] == "2033-05-18T03:33:20+00:00"


def test_the_page_shows_what_each_job_took_and_carries_the_metadata(own: Path):
    assert write(own, "--benchmarks", tabled(own)) == 0
    page = (own / "results/tiny/ro-crate-preview.html").read_text()
    row = re.search(r"<code>eddynet/seed0/model\.json</code>.*", page)
    assert row
    assert "4.2 min" in row[0]
    assert ">1200<" in row[0]
    assert "4.2 min in all" in page
    embedded = re.search(r'<script type="application/ld\+json">(.*?)</script>', page, flags=re.DOTALL)
    assert embedded
    assert json.loads(embedded[1]) == json.loads((own / "results/tiny" / NAME).read_text())


def test_durations():
    assert [duration(s) for s in (3.14, 250.3, 7200.0, float("nan"))] == ["3.1 s", "4.2 min", "2.0 h", "–"]


def test_a_title_cannot_leave_its_place_in_the_page(own: Path):
    title = "</script><b>Odd & title"
    report = own / "results/tiny/odd/report.json"
    with Artefact(report, kind="report", code=CODE) as out:
        out.payload("report.html").write_text("page")
        out.options = {"title": title}
    words = ["crate", report, "--workflow", ROOT, "--output", report.with_name(NAME)]
    assert main([*map(str, words)]) == 0
    page = report.with_name("ro-crate-preview.html").read_text()
    assert page.count("</script>") == 1
    assert "<h1>&lt;/script&gt;&lt;b&gt;Odd &amp; title</h1>" in page


def test_no_other_file_depends_on_it_and_it_depends_on_times_only(own: Path):
    ours = {NAME, "ro-crate-preview.html"}

    def content() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in own.rglob("*") if p.is_file() and p.name not in ours}

    assert write(own) == 0
    first, before = Crate(own).graph, content()
    os.utime(own / "results/tiny/report.json", (2e9, 2e9))
    assert write(own) == 0
    assert content() == before

    def timeless(graph: list[dict[str, Any]]) -> list[dict[str, Any]]:
        times = {"startTime", "endTime", "datePublished"}
        return [{k: v for k, v in entity.items() if k not in times} for entity in graph]

    assert timeless(Crate(own).graph) == timeless(first)
    assert Crate(own).graph != first
    assert str(own) not in (own / "results/tiny" / NAME).read_text()


def test_a_broken_chain_gives_no_crate(own: Path, capsys: pytest.CaptureFixture[str]):
    with Artefact(own / f"data/med-adt-2005q2/raw/{PERIOD}.json", kind="raw", code=CODE) as out:
        out.payload("maps.nc").write_bytes(b"re-issued")
    assert write(own) == 5
    assert "the chain is broken: has changed since it was used" in capsys.readouterr().err
    assert not (own / "results/tiny" / NAME).exists()


@pytest.mark.parametrize(
    ("more", "output", "message"),
    [([], "crate.json", f"must be called {NAME}"), (["--workflow", "nowhere"], NAME, "nowhere: holds no Snakefile")],
)
def test_bad_arguments_are_one_line(project: Path, capsys: pytest.CaptureFixture[str], more, output, message):
    assert write(project, *more, output=output) == 2
    problem = capsys.readouterr().err.strip()
    assert message in problem
    assert len(problem.splitlines()) == 1
    assert read_manifest(project / "results/tiny/report.json").kind == "report"


VALIDATOR = ROOT / ".venv-crate" / "bin" / "python"


@pytest.mark.crate
@pytest.mark.parametrize("profile", ["workflow-run-crate-0.5", "provenance-run-crate-0.5"])
def test_the_community_s_validator_accepts_it(crate: Crate, tmp_path: Path, profile: str):
    python = os.environ.get("GYRE_CRATE_PYTHON", str(VALIDATOR))
    words = [python, Path(__file__).with_name("validate_crate.py"), crate.root, profile, tmp_path / "verdict.json"]
    done = subprocess.run(words, capture_output=True, text=True)
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["issues"] == [], done.stdout
    assert verdict["passed"]
    assert done.returncode == 0


@pytest.mark.crate
def test_the_validator_notices_a_crate_without_its_workflow(crate: Crate, tmp_path: Path):
    path = crate.root / NAME
    path.write_text(path.read_text().replace('"mainEntity"', '"about"'))
    python = os.environ.get("GYRE_CRATE_PYTHON", str(VALIDATOR))
    words = [python, Path(__file__).with_name("validate_crate.py"), crate.root, "workflow-run-crate-0.5"]
    subprocess.run([*words, tmp_path / "verdict.json"], capture_output=True)
    assert not json.loads((tmp_path / "verdict.json").read_text())["passed"]
