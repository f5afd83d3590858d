"""Files that the provider does not have: left out where the catalog allows it, told, counted; and nothing else is."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from pipeline_lib.catalog import Source
from pipeline_lib.errors import ConfigError, FetchError
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.manifest import Manifest, read_manifest
from tests.fetch.helpers import Page, Site, cut, html, netcdf, sha256, source_of, status

PART = "2005-04"
DAYS = (27, 28, 29, 30)


@pytest.fixture(autouse=True)
def _logs_are_caught(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(logging.getLogger("pipeline_lib"), "propagate", True)
    caplog.set_level(logging.INFO, logger="pipeline_lib")


def named(day: int) -> str:
    return f"d_200504{day}.nc"


def days_of(folder: Path, fetch: dict[str, Any], form: str = "frames") -> Source:
    return source_of(folder, fetch, parts="monthly", form=form, start=f"2005-04-{DAYS[0]}", end="2005-06-30")


def served(site: Site, folder: Path, *days: int, **options: Any) -> Source:
    for day in days:
        site.pages[f"/{named(day)}"] = Page(netcdf(folder / "x.nc", seed=day))
    patience = {"attempts": 2, "wait_s": 0.0}
    fetch = {"driver": "http", "url": site.url + "/d_{year}{month}{day}.nc", **patience, "may_lack": 2, **options}
    return days_of(folder, fetch)


def fetched(source: Source, folder: Path, **keywords: Any) -> Manifest:
    output = folder / "raw" / f"{PART}.json"
    fetch_source(source, part=PART, output=output, **{"code": "c", **keywords})
    return read_manifest(output, kind="raw", verify="deep")


@pytest.mark.parametrize("code", [404, 410])
def test_what_is_not_there_is_told_and_counted_and_the_rest_is_brought(site, tmp_path, caplog, code):
    source = served(site, tmp_path, 27, 28, 29)
    site.pages[f"/{named(28)}"].steps = [status(code)]
    manifest = fetched(source, tmp_path)
    assert manifest.payloads == [named(27), named(29)]
    assert manifest.content["absent"] == [named(28), named(30)]
    assert f"src 2005-04: 2 of 4 files are not there: {named(28)}, {named(30)}" in caplog.text
    assert "2 file(s) here and checked" in caplog.text


def test_a_part_that_lacks_nothing_says_nothing_of_it(site, tmp_path):
    assert "absent" not in fetched(served(site, tmp_path, *DAYS), tmp_path).content


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([status(503)] * 2, "answers 503"),
        ([cut(0.0)] * 2, "gave up"),
        ([status(403)], "answers 403"),
        ([html], "HTML"),
    ],
)
def test_what_the_provider_does_not_say_is_no_absence(site, tmp_path, steps, told):
    source = served(site, tmp_path, *DAYS)
    site.pages[f"/{named(28)}"].steps = steps
    with pytest.raises(FetchError, match=told):
        fetched(source, tmp_path)
    assert not (tmp_path / "raw" / f"{PART}.json").exists()


def test_a_damaged_file_is_no_absence(site, tmp_path):
    source = served(site, tmp_path, *DAYS)
    site.pages[f"/{named(28)}"].body = site.pages[f"/{named(28)}"].body[:60_000]
    with pytest.raises(FetchError, match="not a readable netCDF-4 file"):
        fetched(source, tmp_path)


def test_more_than_may_lack_and_nothing_at_all_are_refused(site, tmp_path):
    with pytest.raises(FetchError, match=r"404 .* after 2 file\(s\) that are not there either: no more may lack"):
        fetched(served(site, tmp_path, 27), tmp_path)
    site.pages.clear()
    with pytest.raises(FetchError, match="the provider has none of 4 files"):
        fetched(served(site, tmp_path, may_lack=30), tmp_path)
    with pytest.raises(FetchError, match="answers 404"):
        fetched(served(site, tmp_path, 27, 28, 29, may_lack=0), tmp_path)


def test_a_file_whose_checksum_is_known_is_somewhere(site, tmp_path):
    sums = {"a.nc": sha256(netcdf(tmp_path / "x.nc", seed=1)), "b.nc": "0" * 64}
    site.pages["/a.nc"] = Page((tmp_path / "x.nc").read_bytes())
    source = source_of(
        tmp_path, {"driver": "http", "url": f"{site.url}/{{file}}", "sha256": sums, "may_lack": 1}, form="frames"
    )
    with pytest.raises(FetchError, match="404"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")


def test_what_is_here_already_is_not_lost_with_what_the_provider_removes(site, tmp_path):
    source = served(site, tmp_path, *DAYS)
    before = fetched(source, tmp_path)
    del site.pages[f"/{named(28)}"]
    with pytest.raises(FetchError, match=r"was fetched before, and the provider has it no more; delete .*28\.nc"):
        fetched(source, tmp_path, code="edited")
    assert fetched(source, tmp_path).identity == before.identity


def test_a_late_file_makes_the_part_another(site, tmp_path):
    source = served(site, tmp_path, 27, 28, 29)
    first = fetched(source, tmp_path)
    assert fetched(source, tmp_path, again=True).identity == first.identity
    late = fetched(served(site, tmp_path, 30), tmp_path, again=True)
    assert late.payloads == [named(day) for day in DAYS]
    assert "absent" not in late.content
    assert late.identity != first.identity


def test_another_limit_fetches_nothing_again_unless_more_lacks(site, tmp_path):
    first = fetched(served(site, tmp_path, 27, 28, 29), tmp_path)
    asked = len(site.requests)
    assert fetched(served(site, tmp_path, 27, 28, 29, may_lack=3), tmp_path).identity == first.identity
    assert len(site.requests) == asked
    with pytest.raises(FetchError, match="404"):
        fetched(served(site, tmp_path, 27, 28, 29, may_lack=0), tmp_path)


@pytest.mark.parametrize("trouble", [cut(0.5), status(503)])
def test_a_file_that_was_there_or_busy_a_moment_ago_is_not_absent(site, tmp_path, trouble):
    source = served(site, tmp_path, *DAYS)
    site.pages[f"/{named(28)}"].steps = [trouble, status(404)]
    with pytest.raises(FetchError, match="though it was there or busy before; run again later"):
        fetched(source, tmp_path)


def test_maps_are_without_gaps(tmp_path):
    fetch = {"driver": "file", "path": str(tmp_path / "d_{year}{month}{day}.nc"), "may_lack": 1}
    with pytest.raises(ConfigError, match="maps are without gaps: no file of theirs may lack"):
        days_of(tmp_path, fetch, form="maps")


def test_files_that_lie_here_may_lack_too_but_not_their_folder(tmp_path):
    there = tmp_path / "disk"
    source = days_of(tmp_path, {"driver": "file", "path": str(there / "d_{year}{month}{day}.nc"), "may_lack": 2})
    with pytest.raises(FetchError, match="no such file"):  # a disk that is not mounted
        fetched(source, tmp_path)
    for day in (27, 28):
        netcdf(there / named(day), seed=day)
    (there / named(29)).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FetchError, match=rf"{named(29)}: no such file"):
        fetched(source, tmp_path)
    (there / named(29)).unlink()
    assert fetched(source, tmp_path).content["absent"] == [named(29), named(30)]
