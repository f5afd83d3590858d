"""The fetch stage: what is declared complete, what is done twice and what is not, and what stays when it fails."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline_lib.errors import ConfigError, FetchError
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.manifest import read_manifest
from tests.fetch.helpers import (
    Handler,
    Page,
    Site,
    cut,
    entry,
    html,
    netcdf,
    send,
    sha256,
    source_of,
    status,
    write_catalog,
)


@pytest.fixture(autouse=True)
def _logs_are_caught(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(logging.getLogger("pipeline_lib"), "propagate", True)
    caplog.set_level(logging.INFO, logger="pipeline_lib")


def http(site: Site, data: bytes, **changed: Any) -> dict[str, Any]:
    return {"driver": "http", "url": f"{site.url}/a.nc", "sha256": sha256(data), "wait_s": 0.0} | changed


def test_the_manifest_says_what_is_here(site: Site, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc")
    site.pages["/a.nc"] = Page(data, steps=[cut(0.6)])
    output = tmp_path / "raw" / "all.json"
    fetch_source(source_of(tmp_path, http(site, data)), part="all", output=output, code="c0de")
    manifest = read_manifest(output, kind="raw", verify="deep")
    assert manifest.files["a.nc"].sha256 == sha256(data)
    assert manifest.content["citation"] == "Nobody (2005)"
    assert manifest.code == "c0de"
    assert str(tmp_path) not in output.read_text()
    assert sorted(p.name for p in output.parent.glob("[!.]*")) == ["a.nc", "all.json"]


def test_done_work_is_not_done_again(site: Site, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc")
    site.pages["/a.nc"] = Page(data)
    source, output = source_of(tmp_path, http(site, data)), tmp_path / "raw" / "all.json"
    fetch_source(source, part="all", output=output, code="c")
    before = output.read_bytes(), output.stat().st_mtime_ns
    fetch_source(source, part="all", output=output, code="c")
    assert (output.read_bytes(), output.stat().st_mtime_ns) == before
    assert len(site.requests) == 1


def test_a_pinned_file_that_is_here_is_not_downloaded_again(site: Site, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc")
    site.pages["/a.nc"] = Page(data)
    source, output = source_of(tmp_path, http(site, data)), tmp_path / "raw" / "all.json"
    fetch_source(source, part="all", output=output, code="before the edit")
    first = output.read_bytes()
    output.unlink()  # the workflow removes an output before it runs the job again
    fetch_source(source, part="all", output=output, code="before the edit")
    assert output.read_bytes() == first
    fetch_source(source, part="all", output=output, code="after the edit")
    assert read_manifest(output).code == "after the edit"
    assert len(site.requests) == 1


def test_a_damaged_file_is_fetched_again(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = netcdf(tmp_path / "x.nc")
    site.pages["/a.nc"] = Page(data)
    source, output = source_of(tmp_path, http(site, data)), tmp_path / "raw" / "all.json"
    fetch_source(source, part="all", output=output, code="c")
    (output.parent / "a.nc").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    fetch_source(source, part="all", output=output, code="c")
    assert (output.parent / "a.nc").read_bytes() == data
    assert "does not match its SHA-256" in caplog.text
    assert len(site.requests) == 2


def test_a_reissued_month_is_told(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, new = (netcdf(tmp_path / f"{seed}.nc", seed=seed) for seed in (1, 2))
    fetch = {"driver": "http", "url": site.url + "/{year}/{month}/d_{part}.nc"}
    source, output = source_of(tmp_path, fetch, parts="monthly"), tmp_path / "raw" / "2005-04.json"
    site.pages["/2005/04/d_2005-04.nc"] = Page(old)
    fetch_source(source, part="2005-04", output=output, code="c")
    first = read_manifest(output).identity
    output.unlink()
    fetch_source(source, part="2005-04", output=output, code="c")
    assert "unchanged" in caplog.text
    assert read_manifest(output).identity == first
    output.unlink()
    site.pages["/2005/04/d_2005-04.nc"] = Page(new)
    fetch_source(source, part="2005-04", output=output, code="c")
    assert f"re-issued by the provider (SHA-256 was {sha256(old)}, is {sha256(new)})" in caplog.text
    assert read_manifest(output).identity != first


def test_a_month_of_daily_files(site: Site, tmp_path: Path) -> None:
    fetch = {"driver": "http", "url": site.url + "/d_{year}{month}{day}.nc"}
    source = source_of(tmp_path, fetch, parts="monthly", start="2005-04-28", end="2005-06-30")
    for day in (28, 29, 30):
        site.pages[f"/d_200504{day}.nc"] = Page(netcdf(tmp_path / "x.nc", seed=day))
    output = tmp_path / "raw" / "2005-04.json"
    fetch_source(source, part="2005-04", output=output, code="c")
    assert read_manifest(output, verify="deep").payloads == [f"d_200504{day}.nc" for day in (28, 29, 30)]


def test_nothing_is_declared_when_one_of_several_files_fails(site: Site, tmp_path: Path) -> None:
    fetch = {"driver": "http", "url": site.url + "/d_{year}{month}{day}.nc"}
    source = source_of(tmp_path, fetch, parts="monthly", start="2005-04-29", end="2005-06-30")
    site.pages["/d_20050429.nc"] = Page(netcdf(tmp_path / "x.nc"))
    output = tmp_path / "raw" / "2005-04.json"
    with pytest.raises(FetchError, match="404"):
        fetch_source(source, part="2005-04", output=output, code="c")
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"no netCDF at all, but long enough to look like data", "not a readable netCDF-4 file"),
        (b"\x89HDF\r\n\x1a\n and then nothing of use", "not a readable netCDF-4 file"),
        (b"CDF\x01" + bytes(100), "not a readable netCDF-4 file"),
    ],
)
def test_what_cannot_be_read_is_not_accepted(site: Site, tmp_path: Path, body: bytes, what: str) -> None:
    site.pages["/a.nc"] = Page(body)
    output = tmp_path / "raw" / "all.json"
    with pytest.raises(FetchError, match=what):
        fetch_source(source_of(tmp_path, http(site, body)), part="all", output=output, code="c")
    assert not output.exists()


def test_a_truncated_netcdf_that_nobody_pinned_is_not_accepted(site: Site, tmp_path: Path) -> None:
    site.pages["/a.nc"] = Page(netcdf(tmp_path / "x.nc")[:60_000])
    source = source_of(tmp_path, http(site, b"", sha256=None))
    with pytest.raises(FetchError, match="not a readable netCDF-4 file"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")


def test_a_file_without_the_variable_is_not_accepted(site: Site, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc", variable="atd")
    site.pages["/a.nc"] = Page(data)
    with pytest.raises(FetchError, match="has no variable 'adt'; did you mean 'atd'"):
        fetch_source(source_of(tmp_path, http(site, data)), part="all", output=tmp_path / "raw" / "all.json", code="c")


def test_an_earlier_fetch_survives_a_failed_one(site: Site, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc")
    site.pages["/a.nc"] = Page(data)
    output = tmp_path / "raw" / "all.json"
    fetch_source(source_of(tmp_path, http(site, b"", sha256=None)), part="all", output=output, code="old")
    site.pages["/a.nc"] = Page(data, steps=[html])
    with pytest.raises(FetchError, match="HTML"):
        fetch_source(source_of(tmp_path, http(site, b"", sha256=None)), part="all", output=output, code="new")
    assert read_manifest(output, verify="deep").code == "old"


def test_an_interrupted_run_goes_on_in_the_next(site: Site, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc")
    site.pages["/a.nc"] = Page(data, steps=[cut(0.7), status(403)])
    source, output = source_of(tmp_path, http(site, data)), tmp_path / "raw" / "all.json"
    with pytest.raises(FetchError, match="403"):
        fetch_source(source, part="all", output=output, code="c")
    fetch_source(source, part="all", output=output, code="c")
    assert site.requests[-1][1]["Range"].startswith("bytes=")
    assert sorted(p.name for p in output.parent.glob("[!.]*")) == ["a.nc", "all.json"]


# ---- mirror ----------------------------------------------------------------------------------------------


def test_what_a_killed_fetch_left_is_removed_but_not_what_can_be_gone_on_with(site: Site, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc")
    source, output = source_of(tmp_path, http(site, data)), tmp_path / "raw" / "all.json"
    incoming = output.parent / ".all.incoming"
    there: list[str] = []

    def look(handler: Handler, page: Page) -> None:
        there.extend(f.name for f in incoming.iterdir() if not f.name.startswith("tmp"))  # the transfer's own
        send(handler, page)

    site.pages["/a.nc"] = Page(data, steps=[look])
    (incoming / ".wheel-abc").mkdir(parents=True)
    for name in (".wheel-abc/x.whl", "tmpabc", "part-a.nc", "b.nc.part", "b.nc.rejected"):
        (incoming / name).write_bytes(b"x")
    (incoming / "a.nc.part").write_bytes(data[:5000])
    fetch_source(source, part="all", output=output, code="c")
    assert sorted(there) == ["a.nc.part", "b.nc.rejected"]  # room is made before the transfer
    assert [f.name for f in incoming.iterdir()] == ["b.nc.rejected"]
    assert site.requests[-1][1]["Range"] == "bytes=5000-"


def test_the_mirror_is_asked_before_the_network(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = netcdf(tmp_path / "mirror" / "deep" / "er é" / "a.nc")
    source, output = source_of(tmp_path, http(site, data)), tmp_path / "raw" / "all.json"
    fetch_source(source, part="all", output=output, mirror=tmp_path / "mirror", code="c")
    assert site.requests == []
    assert (output.parent / "a.nc").read_bytes() == data
    assert "found in the mirror (name and checksum)" in caplog.text
    assert (tmp_path / "mirror" / "deep" / "er é" / "a.nc").exists()


def test_another_file_of_that_name_is_named_and_not_used(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = netcdf(tmp_path / "x.nc")
    wrong = tmp_path / "mirror" / "a" / "a.nc"
    netcdf(wrong, seed=9)
    site.pages["/a.nc"] = Page(data)
    source, output = source_of(tmp_path, http(site, data)), tmp_path / "raw" / "all.json"
    fetch_source(source, part="all", output=output, mirror=tmp_path / "mirror", code="c")
    assert len(site.requests) == 1
    assert str(wrong) in caplog.text
    assert sha256(wrong.read_bytes()) in caplog.text
    assert sha256(data) in caplog.text


def test_the_right_one_of_two_is_taken(site: Site, tmp_path: Path) -> None:
    netcdf(tmp_path / "mirror" / "a" / "a.nc", seed=9)
    data = netcdf(tmp_path / "mirror" / "b" / "a.nc")
    output = tmp_path / "raw" / "all.json"
    fetch_source(source_of(tmp_path, http(site, data)), part="all", output=output, mirror=tmp_path / "mirror", code="c")
    assert site.requests == []
    assert (output.parent / "a.nc").read_bytes() == data


def test_without_a_checksum_the_name_decides(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    netcdf(tmp_path / "mirror" / "a.nc")
    source = source_of(tmp_path, http(site, b"", sha256=None))
    fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", mirror=tmp_path / "mirror", code="c")
    assert "name only" in caplog.text
    assert site.requests == []


def test_a_mirror_that_is_not_there_is_told(site: Site, tmp_path: Path) -> None:
    source = source_of(tmp_path, http(site, b"x"))
    with pytest.raises(ConfigError, match="the mirror is not a folder"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", mirror=tmp_path / "none", code="c")


def test_the_mirror_gives_the_same_manifest_as_the_network(site: Site, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "mirror" / "a.nc")
    site.pages["/a.nc"] = Page(data)
    source = source_of(tmp_path, http(site, data))
    one, two = tmp_path / "one" / "all.json", tmp_path / "two" / "all.json"
    fetch_source(source, part="all", output=one, code="c")
    fetch_source(source, part="all", output=two, mirror=tmp_path / "mirror", code="c")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.skipif("GYRE_MIRROR" not in os.environ, reason="GYRE_MIRROR does not name a folder with the real files")
@pytest.mark.parametrize("name", ["med-adt-2005q2", "med-adt-20160515", "global-adt-20190223", "blacksea-adt-20160707"])
def test_the_real_sources_come_from_the_mirror(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline_lib.catalog import Catalog

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    catalog = Catalog.load(Path("config/catalog.yaml"))
    output = tmp_path / name / "raw" / "all.json"
    source = catalog.source(name)
    fetch_source(source, part="all", output=output, mirror=Path(os.environ["GYRE_MIRROR"]), code="c")
    opened = catalog.open_source(name, data_dir=tmp_path)
    assert {spec.name for spec in source.variables.values()} <= set(opened.data_vars)
    for spec in source.variables.values():
        low, high = float(opened[spec.name].min()), float(opened[spec.name].max())
        assert spec.valid_min < low < high < spec.valid_max


# ---- file driver and the disk ----------------------------------------------------------------------------


def test_files_are_copied(tmp_path: Path) -> None:
    original = tmp_path / "da ta" / "é 2005-04.nc"
    data = netcdf(original)
    source = source_of(tmp_path, {"driver": "file", "path": str(tmp_path / "da ta" / "é {part}.nc")}, parts="monthly")
    output = tmp_path / "raw" / "2005-04.json"
    fetch_source(source, part="2005-04", output=output, code="c")
    original.write_bytes(b"changed")
    assert (output.parent / "é 2005-04.nc").read_bytes() == data


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    source = source_of(tmp_path, {"driver": "file", "path": "none/a.nc"})
    with pytest.raises(FetchError, match="no such file"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")


def test_a_file_with_another_checksum(tmp_path: Path) -> None:
    netcdf(tmp_path / "a.nc")
    source = source_of(tmp_path, {"driver": "file", "path": str(tmp_path / "a.nc"), "sha256": "0" * 64})
    with pytest.raises(FetchError, match="has SHA-256"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")
    assert (tmp_path / "a.nc").exists()


def _run_limited(tmp_path: Path, part: str, *, then: str) -> subprocess.CompletedProcess[str]:
    """Fetch in a process of its own that, once it has read the catalog, gives something up in the line ``then``."""
    script = (
        "from pathlib import Path\n"
        "from pipeline_lib.catalog import Catalog\n"
        "from pipeline_lib.fetch.stage import fetch_source\n"
        "from pipeline_lib.errors import GyreError\n"
        "try:\n"
        f"    source = Catalog.load(Path({str(tmp_path / 'catalog.yaml')!r})).source('src')\n"
        f"    {then}\n"
        f"    fetch_source(source, part={part!r}, output=Path({str(tmp_path)!r}, 'raw', '{part}.json'), code='c')\n"
        "except GyreError as error:\n"
        "    print(type(error).__name__, error.line)\n"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("driver", ["file", "http"])
def test_a_full_disk_ends_cleanly_and_earlier_months_stay(site: Site, tmp_path: Path, driver: str) -> None:
    small, large = (netcdf(tmp_path / f"d_2005-0{m}.nc", days=days) for m, days in ((4, 1), (5, 20)))
    site.pages = {"/d_2005-04.nc": Page(small), "/d_2005-05.nc": Page(large)}
    where = {"file": {"path": str(tmp_path / "d_{part}.nc")}, "http": {"url": site.url + "/d_{part}.nc"}}[driver]
    write_catalog(tmp_path, src=entry({"driver": driver, **where}, parts="monthly"))
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({len(small) + 1000},) * 2)"
    assert _run_limited(tmp_path, "2005-04", then=limit).stdout == ""
    done = _run_limited(tmp_path, "2005-05", then=limit)
    assert done.stdout.startswith("StoreError ")
    assert "File too large" in done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "raw" / "2005-05.json").exists()
    read_manifest(tmp_path / "raw" / "2005-04.json", verify="deep")
    if driver == "http":
        assert _run_limited(tmp_path, "2005-05", then="pass").stdout == ""
        assert "Range" in site.requests[-1][1]  # with room again, it goes on from what came


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that other users can reach too, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_read_only_folder(open_path: Path) -> None:
    netcdf(open_path / "a.nc")
    write_catalog(open_path, src=entry({"driver": "file", "path": str(open_path / "a.nc")}))
    (open_path / "raw").mkdir(mode=0o555)
    nobody = "import os; os.geteuid() or os.seteuid(65534)"  # root may write everywhere
    done = _run_limited(open_path, "all", then=nobody)
    assert done.stdout.startswith("StoreError "), done.stderr
    assert "Permission denied" in done.stdout
    assert list((open_path / "raw").iterdir()) == []


def test_another_part_than_the_source_has(tmp_path: Path) -> None:
    whole = source_of(tmp_path, {"driver": "file", "path": "a.nc"})
    with pytest.raises(ConfigError, match="no part '2005-04'"):
        fetch_source(whole, part="2005-04", output=tmp_path / "raw" / "x.json", code="c")
    monthly = source_of(tmp_path, {"driver": "file", "path": "a_{part}.nc"}, parts="monthly")
    with pytest.raises(ConfigError, match="2004-12 is not covered"):
        fetch_source(monthly, part="2004-12", output=tmp_path / "raw" / "x.json", code="c")
    with pytest.raises(ConfigError, match="'2004-13' is not a period"):
        fetch_source(monthly, part="2004-13", output=tmp_path / "raw" / "x.json", code="c")


def test_equal_fetches_give_equal_manifests(site: Site, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc")
    site.pages["/a.nc"] = Page(data, steps=[cut(0.5)])
    source = source_of(tmp_path, http(site, data))
    outputs = [tmp_path / name / "all.json" for name in ("one", "two")]
    for output in outputs:
        fetch_source(source, part="all", output=output, code="c")
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert "time" not in json.loads(outputs[0].read_text())
