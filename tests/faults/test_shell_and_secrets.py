"""What a configuration must not be able to do: run commands through a shell, or leave a secret anywhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from pipeline_lib.fetch.base import redact
from pipeline_lib.io.manifest import read_manifest
from tests.faults.project import Project, command, small_maps
from tests.fetch.helpers import Page, Site, status
from tests.workflow.project import catalog, edit_yaml, snakemake, write_project

SECRET = "hunter2-correct-horse"  # noqa: S105


def evil(number: int) -> str:
    """A name that runs ``touch`` in any shell that reads it unquoted, or in quotes of either kind."""
    return f"n{number} $(touch p0wned) `touch p0wned` ; touch p0wned & '\"' ; touch p0wned | cat \\ * ~ # $HOME !!"


def traces(folder: Path, text: str) -> list[str]:
    """Files below a folder whose name or content holds a text."""
    found = [f for f in folder.rglob("*") if text in f.name or (f.is_file() and text.encode() in f.read_bytes())]
    return sorted(str(f.relative_to(folder)) for f in found)


def test_shell_metacharacters_in_every_path_of_the_configuration_run_nothing(tmp_path):
    """All strings of the configuration that come to stand in a command line: folders, catalog, mirror, options."""
    folder = write_project(tmp_path / evil(0))
    shutil.move(folder / "config/catalog.yaml", folder / "config" / f"{evil(1)}.yaml")
    shutil.move(folder / "config/experiments", folder / "config" / evil(2))
    mirror = folder / evil(3)
    mirror.mkdir()
    shutil.move(folder / "incoming/maps.nc", mirror / "maps.nc")
    paths = {"catalog": f"config/{evil(1)}.yaml", "experiments_dir": f"config/{evil(2)}", "mirror": evil(3)}
    folders = {"data_dir": f"{evil(4)}", "results_dir": f"{evil(5)}"}
    (folder / "config/config.yaml").write_text(yaml.safe_dump({"experiments": ["tiny"], **paths, **folders}))
    target = f"{evil(5)}/tiny/statistics.json"
    snakemake(folder, target)
    read_manifest(folder / target, verify="deep")
    assert not list(tmp_path.rglob("p0wned"))
    assert not (Path.home() / "p0wned").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"experiments": ["tiny; touch p0wned"]}, {"experiments": ["$(touch p0wned)"]}, {"device": "cpu; touch p0wned"},
        {"data_dir": "a{b}c"}, {"results_dir": "{experiment}"},
    ],
)  # fmt: skip
def test_names_that_a_shell_or_the_engine_would_read_are_refused(tmp_path, monkeypatch, change):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump({"experiments": ["tiny"], **change}))
    monkeypatch.chdir(tmp_path)
    done = command("verify")  # reads the configuration as the workflow does
    assert done.code == 2
    assert f"config.yaml: {next(iter(change))}" in done.problems[0]
    assert not list(tmp_path.rglob("p0wned"))


_SLOW = pytest.mark.slow


@pytest.mark.parametrize("place", [pytest.param("catalog", marks=_SLOW), "experiment", "command line"])
def test_a_secret_in_the_configuration_is_refused_and_is_in_no_log_and_no_manifest(tmp_path, place):
    folder = write_project(tmp_path)
    more: list[str] = []
    if place == "catalog":
        raw = yaml.safe_load((folder / "config/catalog.yaml").read_text())
        raw["sources"]["tiny-adt"]["metadata"]["gyre"]["fetch"]["password"] = SECRET
        (folder / "config/catalog.yaml").write_text(yaml.safe_dump(raw))
    elif place == "experiment":
        edit_yaml(folder / "config/experiments/tiny.yaml", training={"access_key": SECRET})
    else:
        more = ["--config", f"password={SECRET}"]
    before = traces(folder, SECRET)
    done = snakemake(folder, *more, check=False)
    assert done.returncode != 0
    assert "looks like a secret" in done.stdout
    assert SECRET not in done.stdout
    assert traces(folder, SECRET) == before
    assert not (folder / "data").exists()


@pytest.mark.slow
def test_a_secret_of_the_environment_reaches_no_file(tmp_path, monkeypatch):
    """Logins belong into the environment or the provider's own file: a job leaves no trace of them."""
    folder = write_project(tmp_path)
    for name in ("COPERNICUSMARINE_SERVICE_PASSWORD", "AWS_SECRET_ACCESS_KEY", "PIP_INDEX_URL", "HTTPS_PROXY"):
        value = f"https://me:{SECRET}@localhost:9/" if name in {"PIP_INDEX_URL", "HTTPS_PROXY"} else SECRET
        monkeypatch.setenv(name, value)
    done = snakemake(folder, "data/tiny-adt/raw/all.json")
    assert SECRET not in done.stdout
    assert traces(folder, SECRET) == []


def test_a_login_of_pips_configuration_is_not_told(tmp_path, monkeypatch):
    raw = catalog(Path(__file__))
    gyre_block = raw["sources"]["tiny-adt"]["metadata"]["gyre"]
    gyre_block["fetch"] = {
        "driver": "pypi", "package": "nothing-of-ours", "version": "1", "wheel": "nothing_of_ours-1-py3-none-any.whl",
        "wheel_sha256": "0" * 64, "member": "maps.nc", "sha256": "0" * 64,
    }  # fmt: skip
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump(raw))
    log = tmp_path / "fetch.log"
    words = ["fetch", "tiny-adt", "--catalog", tmp_path / "catalog.yaml", "--output", tmp_path / "raw/all.json"]
    settings = {"PIP_INDEX_URL": f"http://me:{SECRET}@localhost:9/simple", "PIP_RETRIES": "0", "PIP_TIMEOUT": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    done = command(*words, "--log", log)
    assert done.code == 3, done.problems
    assert SECRET not in " ".join(done.problems)
    assert traces(tmp_path, SECRET) == []
    assert "nothing-of-ours==1" in log.read_text()


def test_a_signed_address_that_a_server_redirects_to_is_not_told(tmp_path, site: Site):
    location = f"{site.url}/signed.nc?X-Amz-Signature={SECRET}&X-Amz-Expires=60"
    site.pages["/maps.nc"] = Page(b"", steps=[status(302, Location=location)])
    site.pages[f"/signed.nc?X-Amz-Signature={SECRET}&X-Amz-Expires=60"] = Page(b"", steps=[status(403)])
    project = Project(tmp_path).describe(fetch={"driver": "http", "url": f"{site.url}/maps.nc", "wait_s": 0})
    log = tmp_path / "fetch.log"
    done = command(
        "fetch", "tiny-adt", "--catalog", tmp_path / "catalog.yaml", "--output", project.raw, "--log", log, "--verbose"
    )
    assert done.code == 3
    assert "the server answers 403" in done.problems[0]
    assert "signed.nc?***" in done.problems[0]
    assert traces(tmp_path, SECRET) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/x.nc", "https://***@host/x.nc"),
        ("exceeded with url: http://h/x?sig=pw (Caused by", "exceeded with url: http://h/x?*** (Caused by"),
        ("is it there? see https://host/x", "is it there? see https://host/x"),
    ],
)  # fmt: skip
def test_addresses_are_shown_without_what_gives_access(text, shown):
    assert redact(text) == shown


def test_an_option_that_looks_like_a_secret_is_refused_on_the_command_line_and_not_repeated(tmp_path):
    project = Project(tmp_path).deliver(small_maps())
    options = f'{{"api_key": "{SECRET}"}}'
    words = ("--dataset", project.output, "--output", tmp_path / "labels" / "2005-04.json", "--options", options)
    done = command("label", "--labeller", "okubo_weiss", *words)
    assert done.code == 2
    assert SECRET not in " ".join(done.problems)
