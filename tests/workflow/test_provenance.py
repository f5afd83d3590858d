"""What a run says of where its results come from: complete manifests, a crate that the workflow writes by itself."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from pipeline_lib.fingerprint import reachable
from pipeline_lib.io.manifest import read_manifest
from tests.test_environments import ROOTS, top_level_imports
from tests.workflow.project import gyre, planned

MANIFESTS = {
    "fetch": "data/tiny-adt/raw/all.json",
    "preprocess": "data/tiny-adt/dataset/2005-05.json",
    "label": "data/tiny-adt/labels/*/2005-05.json",
    "train": "results/tiny/eddynet/seed0/model.json",
    "predict": "results/tiny/eddynet/seed0/products/2005-05.json",
    "score": "results/tiny/eddynet/seed0/score.json",
    "report": "results/tiny/report.json",
}
NO_INFLUENCE = {"pydantic", "yaml", "rich", "lightning_fabric"}
"""Checks of configuration, messages, and a part of pytorch-lightning."""


@pytest.mark.parametrize("stage", MANIFESTS)
def test_a_manifest_names_the_version_of_everything_that_its_stage_computes_with(finished, stage):
    manifest = read_manifest(next(finished.glob(MANIFESTS[stage])))
    roots = [f"pipeline_lib.{root}" for root in ROOTS[stage] if root != "cli.app"]
    imported = {name for module in reachable(*roots) for name in top_level_imports(module)} - NO_INFLUENCE
    providers = metadata.packages_distributions()
    needed = {providers[name][0].lower().replace("_", "-") for name in imported}
    assert needed <= {name.lower() for name in manifest.versions}
    assert {"gyre", "python", "platform"} <= set(manifest.versions)
    assert manifest.code
    if stage != "fetch":
        assert manifest.inputs
    assert manifest.options


def test_the_workflow_writes_the_crate_and_writes_it_again_when_it_is_gone(own):
    crate = own / "results/tiny/ro-crate-metadata.json"
    graph = {entity["@id"]: entity for entity in json.loads(crate.read_text())["@graph"]}
    language = graph["https://w3id.org/workflowhub/workflow-ro-crate#snakemake"]
    assert language["version"] == metadata.version("snakemake")
    actions = [entity for entity in graph.values() if entity["@type"] == "CreateAction"]
    untimed = [a["name"] for a in actions if "startTime" not in a]
    assert not untimed  # each rule has a run-time table, and each is found
    assert str(own) not in crate.read_text()
    crate.unlink()
    assert planned(own) == {"crate": 1}


def test_a_figure_leads_to_the_catalog(finished):
    done = gyre("provenance", "results/tiny/figures/maps.png", "--deep", cwd=finished)
    assert done.returncode == 0, done.stderr
    raw = read_manifest(finished / MANIFESTS["fetch"])
    assert raw.files["maps.nc"].sha256 in done.stdout
    assert "citation: Generated" in done.stdout
