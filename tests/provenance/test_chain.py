"""The chain of artefacts: complete, in order, and honest about what has gone or changed."""

from __future__ import annotations

from pathlib import Path

from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.provenance.chain import sources, versions, walk


def artefact(path: Path, kind: str, *inputs: Manifest, data: bytes = b"data") -> Manifest:
    with Artefact(path, kind=kind, code="0" * 20, packages=("numpy",)) as out:
        out.payload(f"{path.stem}.bin").write_bytes(data + str(path).encode())
        for number, manifest in enumerate(inputs):
            out.add_input(f"input-{number}", manifest)
        out.content = {"source": "here", "citation": "Somebody (2001)"} if kind == "raw" else {}
    return read_manifest(path)


def chain(root: Path) -> list[Manifest]:
    raw = artefact(root / "data/raw/all.json", "raw")
    april, may = (artefact(root / f"data/dataset/{month}.json", "dataset", raw) for month in ("04", "05"))
    labels = artefact(root / "data/labels/05.json", "labels", may)
    model = artefact(root / "results/x/net/seed0/model.json", "model", april)
    score = artefact(root / "results/x/net/seed0/score.json", "score", labels, model)
    return [raw, april, may, labels, model, score]


def test_everything_is_found_once_in_the_order_in_which_data_travel(tmp_path: Path):
    made = chain(tmp_path)
    nodes = walk([made[-1], made[-2]], folder=tmp_path / "results/x")
    assert [node.identity for node in nodes] == [manifest.identity for manifest in (*made[:3], *made[3:])]
    assert [node.kind for node in nodes] == ["raw", "dataset", "dataset", "labels", "model", "score"]
    assert nodes[0].place == "../../data/raw/all.json"
    assert nodes[-1].inputs == ("../../data/labels/05.json", "net/seed0/model.json")
    assert not [node for node in nodes if node.trouble]
    assert len({node.anchor for node in nodes}) == len(nodes)
    assert list(nodes[0].files) == ["all.bin"]


def test_a_manifest_that_has_gone_stays_in_the_chain(tmp_path: Path):
    made = chain(tmp_path)
    made[0].path.unlink()
    gone = walk([made[-1]], folder=tmp_path)[-1]
    assert (gone.kind, gone.identity, gone.trouble) == ("", made[0].identity, "no such manifest")


def test_an_input_that_has_changed_is_named_with_what_it_was(tmp_path: Path):
    made = chain(tmp_path)
    artefact(made[4].path, "model", made[1], data=b"trained again")
    changed = [node for node in walk([made[-1]], folder=tmp_path) if node.trouble]
    assert [node.kind for node in changed] == ["model"]
    assert made[4].identity[:12] in changed[0].trouble
    assert changed[0].identity != made[4].identity


def test_sources_and_versions_are_told_once(tmp_path: Path):
    import numpy

    nodes = walk([chain(tmp_path)[-1]], folder=tmp_path)
    assert sources(nodes) == [{"source": "here", "citation": "Somebody (2001)"}]
    assert versions(nodes)["numpy"] == {numpy.__version__: "dataset, labels, model, raw, score"}
