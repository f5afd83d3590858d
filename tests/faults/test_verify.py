"""``verify``: damage, outdated results and leftovers are found and told; what is well is silent."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from pipeline_lib.io.manifest import Artefact, read_manifest
from tests.faults.project import Outcome, Project, branch, command, harmed, small_maps
from tests.faults.test_damaged_stores import DAMAGES
from tests.faults.test_interrupted import become_nobody, die_at, open_folder

DAMAGED, UNFINISHED = 5, 1


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Project:
    """A source that is fetched, preprocessed and labelled for a month."""
    project = Project(tmp_path_factory.mktemp("made")).deliver(small_maps())
    assert project.preprocess().code == 0
    assert label(project).code == 0
    return project


@pytest.fixture
def own(made, tmp_path) -> Project:
    shutil.copytree(made.folder, tmp_path / "own")
    return Project(tmp_path / "own")


def label(project: Project) -> Outcome:
    output = project.folder / "labels" / "2005-04.json"
    return command("label", "--labeller", "okubo_weiss", "--dataset", project.output, "--output", output)


def verify(project: Project, *options: str) -> tuple[int, list[str]]:
    """Exit code, and the lines without the summary, of which there must be one."""
    done = command("verify", project.folder, *options)
    if done.code == 0:
        assert done.problems == []
        return 0, []
    assert " compared in " in done.problems[-1]
    return done.code, done.problems[:-1]


@pytest.mark.parametrize("how", [[], ["--quick"]])
def test_all_is_well_after_a_run(own, how):
    assert verify(own, *how) == (0, [])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_named_with_its_first_bad_chunk_and_the_remedy(own, damage):
    harm, message = DAMAGES[damage]
    harm(own.output.with_name("2005-04.zarr"))
    code, lines = verify(own)
    assert code == DAMAGED
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert str(own.output) in lines[0]
    assert f"delete {own.output} and run again" in lines[0]
    own.output.unlink()  # as told
    assert own.preprocess().code == 0
    assert verify(own) == (0, [])


def test_quick_sees_a_missing_chunk_but_not_a_flipped_bit(own):
    DAMAGES["one bit flipped"][0](own.output.with_name("2005-04.zarr"))
    assert verify(own, "--quick") == (0, [])
    DAMAGES["deleted (R6)"][0](own.output.with_name("2005-04.zarr"))
    assert verify(own, "--quick")[0] == DAMAGED


def test_every_bad_artefact_has_its_line_whatever_the_threads(own):
    for name in ("dataset", "labels"):
        store = own.folder / name / "2005-04.zarr"
        (store / "zarr.json").write_text("{}")
    own.raw.write_text("{")
    outcomes = {tuple(verify(own, "--threads", threads)[1]) for threads in ("1", "2", "7")}
    (lines,) = outcomes
    assert [str(path) in line for path, line in zip(
        (own.output, own.folder / "labels/2005-04.json", own.raw), lines, strict=True
    )] == [True] * 3  # fmt: skip


def test_labels_of_an_earlier_dataset_are_out_of_date(own):
    own.deliver(small_maps(seed=1))
    assert own.preprocess().code == 0
    code, lines = verify(own)
    assert code == DAMAGED
    assert len(lines) == 1, lines
    assert "labels/2005-04.json: is out of date: its input 'dataset' has changed since" in lines[0]
    assert label(own).code == 0
    assert verify(own) == (0, [])


def test_a_new_run_with_equal_results_makes_nothing_out_of_date(own):
    own.output.unlink()
    assert own.preprocess().code == 0
    assert verify(own) == (0, [])


def test_an_input_that_was_cleared_away_is_a_warning(own):
    shutil.rmtree(own.raw.parent)
    code, lines = verify(own)
    assert code == UNFINISHED
    assert len(lines) == 1, lines
    assert "dataset/2005-04.json: is whole, but its input 'raw' is not there any more" in lines[0]
    assert " WARNING " in lines[0]


def test_an_input_outside_the_folder_is_compared_too(own):
    assert command("verify", own.folder / "labels").code == 0
    own.deliver(small_maps(seed=1))
    assert own.preprocess().code == 0
    assert command("verify", own.folder / "labels").code == DAMAGED
    assert command("verify", own.folder / "labels" / "2005-04.json").code == DAMAGED
    assert command("verify", own.output).code == 0


def test_what_a_killed_writer_left_is_told_until_the_next_run(own):
    may = own.output.with_name("2005-05.json")
    process = branch(own.arguments(may, "2005-05"), die_at, own.output.parent, 30)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    code, lines = verify(own)
    assert code == UNFINISHED
    assert len(lines) == 1, lines
    assert ".2005-05.partial: was left by a writer that was stopped; run again" in lines[0]
    assert own.preprocess(may, period="2005-05").code == 0
    assert verify(own) == (0, [])


def test_files_whose_manifest_was_deleted_are_told(own):
    own.output.unlink()
    code, lines = verify(own)
    assert code == UNFINISHED
    assert any("dataset/2005-04.json: is not there, though files of it are" in line for line in lines), lines


def test_a_writer_at_work_is_no_reason_to_worry(own):
    with Artefact(own.output, kind="dataset", code="c") as out:
        store = out.payload("2005-04.zarr")
        store.mkdir()
        assert verify(own) == (0, [])
        (store / "x").write_text("x")
    assert read_manifest(own.output).kind == "dataset"


def test_json_files_that_are_no_manifests_are_left_alone(own):
    for name, text in {"notes.json": "[]", "half.json": "{", "settings.json": '{"format": 1}'}.items():
        (own.output.parent / name).write_text(text)
    assert verify(own) == (0, [])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 99}'])
def test_a_damaged_manifest_is_told(own, text):
    own.output.write_text(text)
    code, lines = verify(own)
    assert code == DAMAGED
    assert any(str(own.output) in line and f"delete {own.output}" in line for line in lines), lines


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a user who may change users")
def test_a_folder_that_may_not_be_read_is_told():
    with open_folder() as folder:
        (folder / "closed").mkdir(mode=0o700)
        done = harmed(["verify", str(folder)], become_nobody)
    assert done.code == DAMAGED
    assert "closed: cannot be read: Permission denied" in done.problems[0]


def test_the_folders_of_the_configuration_are_the_default(own, monkeypatch):
    monkeypatch.chdir(own.folder)
    done = command("verify")
    assert (done.code, len(done.problems)) == (2, 1)
    assert "config/config.yaml: no such file" in done.problems[0]
    Path("config").mkdir()
    Path("config/config.yaml").write_text("{experiments: [tiny], data_dir: dataset, results_dir: labels}")
    assert command("verify").code == 0
    os.truncate("labels/2005-04.parquet", 10)
    done = command("verify")
    assert done.code == DAMAGED
    assert "labels/2005-04.json: 2005-04.parquet has 10 bytes" in done.problems[0]


def test_nothing_there_is_not_taken_for_well(tmp_path):
    done = command("verify", tmp_path)
    assert (done.code, len(done.problems)) == (2, 1)
    assert "no artefact lies there" in done.problems[0]
    done = command("verify", tmp_path / "none")
    assert done.code == 2
    assert "no such file or folder" in done.problems[0]
