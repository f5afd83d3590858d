"""The whole workflow, through Snakemake: what it makes, and what it does again after a change."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import xarray as xr
import yaml

from pipeline_lib.errors import GyreError, StoreError
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.plan import load_plan
from tests.workflow.project import ROOT, catalog, edit_yaml, environment, experiment, planned, snakemake, write_files

REPOSITORY = ("Snakefile", "rules", "workflow", "envs", "pipeline_lib", "config", "slurm")
EXPERIMENT = "config/experiments/tiny.yaml"


@pytest.fixture
def copied(tmp_path) -> Path:
    """A copy of the repository whose code a test may edit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in REPOSITORY:
        source = ROOT / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name, follow_symlinks=False)
    return folder


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{old!r} is not in {file}"
    file.write_text(text.replace(old, new, 1))


def test_leaderboard_has_the_promised_columns_and_names(finished):
    with (finished / "results/tiny/leaderboard.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "model", "seed_count", "metric", "value", "ci_low", "ci_high", "n", "published", "comparable",
    ]  # fmt: skip
    assert {row["model"] for row in rows} == {"eddynet", "okubo_weiss"}
    values = {(row["model"], row["metric"]): row["value"] for row in rows}
    assert 0 < float(values["okubo_weiss", "mean_dice"]) <= 1
    assert {row["n"] for row in rows} == {"17"}


def test_every_artefact_matches_its_manifest_and_links_to_its_inputs(finished):
    manifests = [p for p in finished.glob("**/*.json") if ".snakemake" not in p.parts and "manifest" not in p.name]
    checked = [read_manifest(p, verify="deep") for p in manifests if '"format"' in p.read_text()]
    kinds = {m.kind for m in checked}
    assert kinds == {"raw", "dataset", "statistics", "labels", "model", "product", "score", "leaderboard", "report"}
    for manifest in checked:
        for record in manifest.inputs.values():
            source = read_manifest(manifest.path.parent / record.path)
            assert source.identity == record.identity
        assert str(finished) not in manifest.path.read_text()


def test_products_hold_classes_on_sea_only(finished):
    manifest = read_manifest(finished / "results/tiny/eddynet/seed0/products/2005-05.json", kind="product")
    product = xr.open_zarr(manifest.file("2005-05.zarr"), consolidated=False)
    dataset = xr.open_zarr(finished / "data/tiny-adt/dataset/2005-05.zarr", consolidated=False)
    xr.testing.assert_equal(product.eddy_class.notnull().drop_attrs(), dataset.adt.notnull().drop_attrs())
    total = product.eddy_probability.sum("class", skipna=False)
    assert float(abs(total - 1).max()) < 1e-5


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished).stdout
    assert planned(finished) == {}


def test_products_labels_and_report_made_again_are_equal_to_the_byte(own):
    made = [own / "results/tiny/eddynet/seed0/products/2005-05.json", own / "results/tiny/report.json"]
    made += (own / "data/tiny-adt/labels").glob("*/2005-05.json")
    before = [manifest.read_bytes() for manifest in made]
    for manifest in made:
        manifest.unlink()
    snakemake(own, *(str(manifest.relative_to(own)) for manifest in made))
    assert [manifest.read_bytes() for manifest in made] == before


def test_a_new_title_makes_the_report_again_and_nothing_else(own):
    edit_yaml(own / EXPERIMENT, title="Another title")
    assert planned(own) == {"report": 1, "crate": 1}


def test_a_new_learning_rate_trains_networks_again_and_what_hangs_on_them(own):
    raw = yaml.safe_load((own / EXPERIMENT).read_text())
    edit_yaml(own / EXPERIMENT, training={**raw["training"], "learning_rate": 0.01})
    assert planned(own) == {"train": 1, "predict": 2, "score": 1, "leaderboard": 1, "report": 1, "crate": 1}


def test_editing_a_model_trains_that_model_only(finished, copied):
    edit(copied / "pipeline_lib/models/eddynet/network.py", "import torch\n", "import torch\n\nEDITED = 1\n")
    jobs = planned(finished, snakefile=copied / "Snakefile")
    assert jobs["train"] == 1
    assert "label" not in jobs
    assert "preprocess" not in jobs


def test_editing_a_docstring_changes_nothing(finished, copied):
    edit(copied / "pipeline_lib/models/eddynet/network.py", '"""', '"""Reworded: ')
    edit(copied / "pipeline_lib/train/stage.py", '"""', '"""Reworded: ')
    assert planned(finished, snakefile=copied / "Snakefile") == {}


def test_editing_the_labeller_labels_again_but_does_not_preprocess(finished, copied):
    file = copied / "pipeline_lib/ocean/eddies/scan.py"
    file.write_text(file.read_text() + "\nEDITED = 1\n")
    jobs = planned(finished, snakefile=copied / "Snakefile")
    assert jobs["label"] == 3
    assert "preprocess" not in jobs
    assert "fetch" not in jobs


def test_a_missing_chunk_stops_the_next_stage_with_one_line(own):
    chunk = next(
        p for p in (own / "data/tiny-adt/dataset/2005-04.zarr/adt").rglob("*") if p.is_file() and "c" in p.parts
    )
    chunk.unlink()
    (own / "results/tiny/eddynet/seed0/model.json").unlink()
    done = snakemake(own, "results/tiny/eddynet/seed0/model.json", check=False)
    assert done.returncode != 0
    assert re.search(r"ERROR pipeline_lib: data/tiny-adt/dataset/2005-04\.json: .*adt/.* is missing", done.stdout)
    assert "Traceback" not in done.stdout
    with pytest.raises(StoreError):
        read_manifest(own / "data/tiny-adt/dataset/2005-04.json")


def test_a_half_made_store_is_not_taken_for_complete(own):
    """Even after a run that kept incomplete files: without its manifest a store does not exist."""
    (own / "data/tiny-adt/dataset/2005-04.json").unlink()
    shutil.rmtree(own / "data/tiny-adt/dataset/2005-04.zarr/adt")
    target = "data/tiny-adt/dataset/2005-04.json"
    assert planned(own, target) == {"preprocess": 1}
    snakemake(own, target)
    read_manifest(own / "data/tiny-adt/dataset/2005-04.json", verify="deep")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modles": []}, r"config/experiments/tiny\.yaml: modles: unknown key; did you mean 'models'"),
        ({"models": ["eddynett"]}, r"unknown model 'eddynett'; did you mean 'eddynet'"),
        ({"source": "tinyadt"}, r"no source is called 'tinyadt'; did you mean 'tiny-adt'"),
        ({"labels": {"labeller": "pet41"}}, r"unknown labeller 'pet41'; did you mean 'pet14'"),
        ({"training": {"max_epochs": -1}}, r"training\.max_epochs: .*greater than 0.*\(got -1\)"),
        ({"training": {"ptach": 32}}, r"training\.ptach: unknown key; did you mean 'patch'"),
        ({"scoring": {"objects": {"min_iuo": 1}}}, r"scoring\.objects\.min_iuo: unknown key; did you mean 'min_iou'"),
        ({"inputs": ["adt_highpass"]}, r"makes no variable 'adt_highpass'; did you mean 'adt_high_pass'"),
        ({"scoring": {"sea_variable": "atd"}}, r"scoring\.sea_variable: .* no variable 'atd'; did you mean 'adt'"),
        ({"task": "segmantation"}, r"unknown task 'segmantation'; did you mean 'segmentation'"),
        ({"api_key": "123"}, r"api_key.*secret"),
        ({"seeds": []}, r"seeds: .*at least 1"),
        ({"models": ["eddynet", "eddynet"]}, r"two models are called 'eddynet'"),
        (
            {"split": {"train": ["2005-04-01", "2005-04-20"], "validation": ["2005-04-20", "2005-04-22"],
                       "test": ["2005-05-20", "2005-06-05"]}},
            r"train and validation overlap",
        ),
        (
            {"split": {"train": ["2005-04-01", "2005-04-20"], "validation": ["2005-04-25", "2005-04-26"],
                       "test": ["2005-05-20", "2005-06-05"]}},
            r"4 days lie between train .* and validation .* 10 are needed: start validation on 2005-05-01",
        ),
        (
            {"split": {"train": ["2005-05-20", "2005-06-05"], "validation": ["2005-06-20", "2005-06-21"],
                       "test": ["2005-04-01", "2005-04-20"]}},
            r"test lies before train",
        ),
        (
            {"split": {"train": ["2004-04-01", "2004-04-20"], "validation": ["2005-05-01", "2005-05-04"],
                       "test": ["2005-05-20", "2005-06-05"]}},
            r"split\.train: 2004-04-01 to 2004-04-20 is not within",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_the_experiment_are_found_while_planning(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(write_files(tmp_path, "tiny", experiment() | change, catalog(Path(__file__))))
    with pytest.raises(GyreError) as refused:
        load_plan({"experiments": ["tiny"]})
    assert re.search(message, "\n".join(refused.value.lines)), refused.value.lines


def test_mistakes_are_told_by_snakemake_in_a_line_each_and_nothing_is_written(tmp_path):
    wrong = experiment() | {"training": {"ptach": 32, "max_epochs": -1}}
    folder = write_files(tmp_path, "tiny", wrong, catalog(Path(__file__)))
    done = snakemake(folder, "--dry-run", check=False)
    assert done.returncode != 0
    lines = done.stdout.splitlines()
    for message in (r"tiny: training\.ptach: unknown key; did you mean 'patch'", r"training\.max_epochs: .*\(got -1\)"):
        assert len([line for line in lines if re.search(message, line)]) == 1, done.stdout
    assert "Traceback" not in done.stdout
    assert not (folder / "data").exists()


def test_the_slurm_profile_is_found_literally_in_a_clean_copy(copied):
    command = ["snakemake", "--profile", "slurm", "--dry-run"]
    done = subprocess.run(command, cwd=copied, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^train +\d+$", done.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize(("options", "gpus"), [({}, 1), ({"devices": 4}, 4), ({"device": "cpu", "devices": 4}, 0)])
def test_training_asks_a_cluster_for_a_gpu_per_process(copied, options, gpus):
    edit_yaml(copied / "config/config.yaml", **options)
    target = "results/eddies-mediterranean/eddynet/seed0/model.json"
    command = ["snakemake", "--profile", "slurm", "--dry-run", target]
    done = subprocess.run(command, cwd=copied, env=environment(), capture_output=True, text=True)
    assert re.search(rf"^rule train:.*?resources: [^\n]*\bgpu={gpus}\b", done.stdout, flags=re.MULTILINE | re.DOTALL)


def test_snakemake_lint_is_clean(copied):
    done = subprocess.run(["snakemake", "--lint"], cwd=copied, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_snakemakes_own_report(finished, tmp_path):
    target = tmp_path / "report.zip"
    snakemake(finished, "--report", str(target))
    assert target.stat().st_size > 10_000
