"""The catalog: ours is valid, mistakes are told with their key path, and opening goes through intake."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.catalog import Catalog
from pipeline_lib.data.forms import GAPPY
from pipeline_lib.errors import ConfigError, FetchError
from pipeline_lib.fetch.base import WantedFile
from tests.fetch.helpers import entry, netcdf, write_catalog

OURS = Path("config/catalog.yaml")
FILE = {"driver": "file", "path": "data in/{part}.nc"}


def load(folder: Path, value: dict[str, Any]) -> Catalog:
    return Catalog.load(write_catalog(folder, src=value))


def changed(path: str, value: object, *, fetch: dict[str, Any] = FILE, parts: str = "whole") -> dict[str, Any]:
    """Return a good entry with one value set (or, with ``...``, removed)."""
    made = copy.deepcopy(entry(fetch, parts=parts))
    inner: Any = made
    *above, last = path.split(".")
    for key in above:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return made


# ---- ours ------------------------------------------------------------------------------------------------


def test_ours_is_valid_and_complete() -> None:
    catalog = Catalog.load(OURS)
    for source in catalog.sources.values():
        assert source.provenance().keys() == {"citation", "licence", "homepage"}
        if source.driver == "simulate" or source.block.form in GAPPY:
            continue
        assert set(source.dataset_variables()) == {"adt", "adt_high_pass", "ugos", "vgos"}
        part = "all" if source.parts == "whole" else "2005-04"
        [wanted] = [WantedFile(**file) for file in source.fetch_options(part)["files"]]
        assert (wanted.sha256 is not None) == (source.driver == "pypi")


def test_our_frames_and_stations_are_pinned_or_tell_how_to_come_by_them() -> None:
    frames = [s for s in Catalog.load(OURS).sources.values() if s.block.form in GAPPY]
    assert frames
    for source in frames:
        part = "all" if source.parts == "whole" else source.periods(source.time.start, source.time.start)[0]
        files = [WantedFile(**file) for file in source.fetch_options(part)["files"]]
        assert len({file.name for file in files}) == len(files) > 0
        if source.driver == "http":
            assert all(file.sha256 for file in files)
        else:
            assert "https://" in source.block.fetch.options["route"]


@pytest.mark.parametrize("domain", ["nw", "se"])
def test_cloud_types_of_both_domains_are_there_as_masks_too(domain: str) -> None:
    catalog = Catalog.load(OURS)
    types, masks = (catalog.source(f"meteonet-cloud-{kind}-{domain}") for kind in ("type", "mask"))
    assert tuple(masks.dataset_variables()) == ("cloud",)
    assert tuple(types.dataset_variables()) == ("cloud_type",)
    wanted = [source.fetch_options("all")["files"] for source in (types, masks)]
    assert wanted[0] == wanted[1]
    assert f"CT_{domain.upper()}_2016.nc" in str(wanted[0])


def test_the_guess_stays_marked_as_one() -> None:
    assert "is a guess" in Catalog.load(OURS).source("cmems-global-adt-my").description


@pytest.mark.filterwarnings("ignore:Shell command not executed")
def test_intake_reads_ours() -> None:
    """Its loader knows no merge keys, which ours does."""
    import intake

    catalog = Catalog.load(OURS)
    opened = intake.open_catalog(str(OURS), getenv=False, getshell=False)
    assert set(opened) == set(catalog.sources)
    assert all(hasattr(opened[name], "to_dask") for name in catalog.sources)


def test_reading_ours_imports_neither_intake_nor_a_downloader() -> None:
    script = (
        "import sys; from pathlib import Path; from pipeline_lib.catalog import Catalog; "
        f"Catalog.load(Path({str(OURS)!r})); "
        "print([m for m in ('intake', 'requests', 'copernicusmarine', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("descripton", "x", "sources.src.descripton: unknown key; did you mean 'description'?"),
        ("metadata.gyre.citaton", "x", "metadata.gyre.citaton: unknown key; did you mean 'citation'?"),
        ("metadata.gyre.time.stop", "2005-06-30", "metadata.gyre.time.stop: unknown key"),
        ("metadata.gyre.variables.adt.unit", "m", "variables.adt.unit: unknown key; did you mean 'units'?"),
        ("metadata.gyre.variables.adt.units", "furlong", "variables.adt: unknown unit 'furlong'"),
        ("metadata.gyre.variables", {}, "variables: "),
        ("metadata.gyre.variables", {"Adt": {"name": "adt", "units": "m"}}, "variables.Adt"),
        ("metadata.gyre.licence", ..., "metadata.gyre.licence: field required"),
        ("metadata.gyre.time.end", "2005-03-01", "ends on 2005-03-01, before it starts"),
        ("metadata.gyre.parts", "daily", "metadata.gyre.parts: "),
        ("metadata.gyre.parts", "monthly", None),
        ("metadata.gyre.fetch.driver", "ftp", "unknown driver 'ftp'; known: copernicusmarine, file, http, pypi"),
        ("metadata.gyre.fetch.pth", "x", "metadata.gyre.fetch.pth: unknown key; did you mean 'path'?"),
        ("metadata.gyre.fetch.sha256", "12", "fetch.sha256"),
        ("metadata.gyre.fetch.path", "a/{hour}.nc", "{hour} is not known"),
        ("metadata.gyre.preparation.name", "gridded_shh", "did you mean 'gridded_ssh'?"),
        ("metadata.gyre.preparation.options", {"order": 0}, "preparation.options.order"),
        ("metadata.gyre.variables", {"sst": {"name": "sst", "units": "K"}}, "needs variable 'adt'"),
        ("args.urlpath", "{{ data_dir }}/other/raw/a.nc", "does not lead to where"),
        ("args.urlpath", "{{ data_dir }}/src/raw/../../x.nc", "must be"),
        ("args.urlpath", "{{ shell('touch gotcha') }}/src/raw/a.nc", "must be"),
        ("args.urlpath", "{{ data_dir }}/src/raw/{{ env(HOME) }}", "must be"),
        ("args.urlpath", "/etc/passwd", "must be"),
        ("args.xarray_kwargs", {"engine": "scipy"}, "args.xarray_kwargs.engine"),
        ("args.xarray_kwargs", ..., "args.xarray_kwargs: field required"),
        ("driver", "python", "sources.src.driver"),
        ("driver", "pipeline_lib.readers.intake_driver.Files", "does not open what reader 'netcdf' reads"),
        ("metadata.gyre.reader", "knmi_radar", "driver netcdf does not open what reader 'knmi_radar' reads"),
        ("metadata.gyre.form", "pictures", "metadata.gyre.form"),
        ("metadata.gyre.fetch.path", "{file}", "says {file}, but neither files nor sha256 names any"),
        ("metadata.gyre.fetch.files", ["a.nc"], "files are named, but the address does not say {file}"),
        ("description", "{{ env(HOME) }}", "templates are not allowed here"),
        ("metadata.gyre.citation", "{% for x in y %}", "templates are not allowed here"),
        ("metadata.gyre.fetch.password", "hunter2", "metadata.gyre.fetch.password: looks like a secret"),
    ],
)
def test_mistakes_are_told_with_their_key_path(tmp_path: Path, path: str, value: object, told: str | None) -> None:
    made = changed(path, value)
    if told is None:
        load(tmp_path, made)
        return
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, made)
    assert any(told in line for line in caught.value.lines), caught.value.lines
    assert all(line.startswith(str(tmp_path / "catalog.yaml")) for line in caught.value.lines)
    assert "hunter2" not in str(caught.value)


def test_an_unknown_reader_gets_advice(tmp_path: Path) -> None:
    made = changed("metadata.gyre.reader", "knmi_rader")
    made["driver"], made["args"] = (
        "pipeline_lib.readers.intake_driver.Files",
        {"urlpath": "{{ data_dir }}/src/raw/*.h5"},
    )
    with pytest.raises(ConfigError, match="unknown reader 'knmi_rader'; did you mean 'knmi_radar'"):
        load(tmp_path, made)
    made["args"]["chunks"] = {}
    with pytest.raises(ConfigError, match="takes urlpath alone"):
        load(tmp_path, made)


@pytest.mark.parametrize("name", ["../evil", "Upper", "a/b", "with space", "9lives", "a" * 70, "-x", "a_b"])
def test_names_that_are_no_folders_are_refused(tmp_path: Path, name: str) -> None:
    file = write_catalog(tmp_path, src=entry(FILE))
    file.write_text(file.read_text().replace("  src:", f"  {name!r}:"))
    with pytest.raises(ConfigError):
        Catalog.load(file)


def test_a_source_twice_is_refused(tmp_path: Path) -> None:
    file = write_catalog(tmp_path, src=entry(FILE))
    text = file.read_text()
    file.write_text(text + text[text.index("  src:") :])
    with pytest.raises(ConfigError, match="key 'src' is already on line"):
        Catalog.load(file)


def test_an_unknown_source_gets_advice(tmp_path: Path) -> None:
    catalog = load(tmp_path, entry(FILE))
    with pytest.raises(ConfigError, match="did you mean 'src'"):
        catalog.source("scr")


@pytest.mark.parametrize("path", ["a.nc", "{year}.nc", "{month}.nc", "{part}/a.nc"])
def test_two_months_must_not_share_a_file(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match="would be the file of several"):
        load(tmp_path, entry({"driver": "file", "path": path}, parts="monthly"))


def test_two_days_must_not_share_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="would be the file of several"):
        load(tmp_path, entry({"driver": "file", "path": "{day}/a.nc"}))


@pytest.mark.parametrize(
    "url", ["ftp://example.org/a.nc", "file:///etc/passwd", "example.org/a.nc", "https://example.org/"]
)
def test_addresses_that_are_not_of_the_web_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"fetch\.url"):
        load(tmp_path, entry({"driver": "http", "url": url}))


# ---- what stages ask of a source -------------------------------------------------------------------------


def test_a_new_end_changes_the_months_it_touches_only(tmp_path: Path) -> None:
    monthly = {"driver": "file", "path": "{part}.nc"}
    old = load(tmp_path / "old", entry(monthly, parts="monthly", end="2005-05-15")).source("src")
    new = load(tmp_path / "new", entry(monthly, parts="monthly", end="2005-06-30")).source("src")
    assert old.dataset_options("2005-04") == new.dataset_options("2005-04")
    assert old.dataset_options("2005-05") != new.dataset_options("2005-05")
    assert old.fetch_options("2005-04") == new.fetch_options("2005-04")


def test_patience_and_words_make_nothing_stale(tmp_path: Path) -> None:
    http = {"driver": "http", "url": "https://example.org/a.nc"}
    plain = load(tmp_path / "a", entry(http)).source("src")
    patient = load(tmp_path / "b", changed("description", "new words", fetch=http | {"attempts": 50})).source("src")
    assert plain.fetch_options("all") == patient.fetch_options("all")
    other = load(tmp_path / "c", entry(http | {"url": "https://example.org/b.nc"})).source("src")
    assert plain.fetch_options("all") != other.fetch_options("all")


def test_open_ended_sources(tmp_path: Path) -> None:
    made = changed("metadata.gyre.time.end", ..., fetch={"driver": "file", "path": "{part}.nc"}, parts="monthly")
    source = load(tmp_path, made).source("src")
    request = source.request("2031-02")
    assert (str(request.start), str(request.end)) == ("2031-02-01", "2031-02-28")


# ---- opening ---------------------------------------------------------------------------------------------


def test_opens_what_was_fetched_lazily(tmp_path: Path) -> None:
    data_dir = tmp_path / "da ta {é}"
    netcdf(data_dir / "src" / "raw" / "a.nc", seed=3)
    opened = load(tmp_path, entry(FILE)).open_source("src", data_dir=data_dir)
    assert opened.adt.chunks is not None
    expected = xr.open_dataset(data_dir / "src" / "raw" / "a.nc", engine="h5netcdf")
    np.testing.assert_array_equal(opened.adt.values, expected.adt.values)


def test_opens_several_months_as_one(tmp_path: Path) -> None:
    netcdf(tmp_path / "data" / "src" / "raw" / "1.nc", days=2)
    later = xr.open_dataset(tmp_path / "data" / "src" / "raw" / "1.nc", engine="h5netcdf").load()
    later["time"] = later.time + np.timedelta64(30, "D")
    later.to_netcdf(tmp_path / "data" / "src" / "raw" / "2.nc", engine="h5netcdf")
    opened = load(tmp_path, entry(FILE)).open_source("src")
    assert opened.sizes["time"] == 4
    assert (np.diff(opened.time) > np.timedelta64(0)).all()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="fetch it first"):
        load(tmp_path, entry(FILE)).open_source("src")
