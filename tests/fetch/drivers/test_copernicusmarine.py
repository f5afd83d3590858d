"""The request to the Copernicus Marine client, against the client's own signature where it is installed.

The service needs an account and the network, so the download itself is played by a stand-in with the client's two
functions; what is sent to it is checked against the real client.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline_lib.catalog import Catalog
from pipeline_lib.errors import ConfigError, FetchError
from pipeline_lib.fetch.base import FetchRequest
from pipeline_lib.fetch.drivers.copernicusmarine import (
    CopernicusMarine,
    _described,
    output_arguments,
    subset_arguments,
)
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.manifest import read_manifest
from tests.fetch.helpers import netcdf, source_of

FETCH = {
    "driver": "copernicusmarine",
    "dataset_id": "cmems_obs-sl_eur_phy-ssh_my_allsat-l4-duacs-0.0625deg_P1D",
    "box": {"west": -6.0, "east": 37.0, "south": 30.0, "north": 46.0},
}
INSTALLED = importlib.util.find_spec("copernicusmarine") is not None


class CredentialsCannotBeNone(Exception):
    pass


class Client(SimpleNamespace):
    """Stands in for the client: notes what it is asked for and hands out one file."""

    def __init__(self, file: Path | None = None, *, known: bool = True, error: Exception | None = None) -> None:
        super().__init__(file=file, known=known, error=error, asked=[])

    def login(self, *, check_credentials_valid: bool) -> bool:
        assert check_credentials_valid  # without this the real one prompts
        return self.known

    def subset(self, **arguments: Any) -> None:
        self.asked.append(arguments)
        target = Path(arguments["output_directory"], arguments["output_filename"])
        if self.error:
            target.write_bytes(b"half a file")
            raise self.error
        shutil.copyfile(self.file, target)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(client: Client) -> Client:
        monkeypatch.setitem(sys.modules, "copernicusmarine", client)
        return client

    return put


def test_the_request_of_the_catalog_entry() -> None:
    source = Catalog.load(Path("config/catalog.yaml")).source("cmems-med-adt-my")
    arguments = subset_arguments(source.driver_options, source.request("2005-02"))
    assert arguments == {
        "dataset_id": "cmems_obs-sl_eur_phy-ssh_my_allsat-l4-duacs-0.0625deg_P1D",
        "variables": ["adt", "ugos", "vgos"],
        "start_datetime": "2005-02-01T00:00:00",
        "end_datetime": "2005-02-28T23:59:59",
        "minimum_longitude": -6.0,
        "maximum_longitude": 37.0,
        "minimum_latitude": 30.0,
        "maximum_latitude": 46.0,
        "coordinates_selection_method": "inside",
    }
    [wanted] = CopernicusMarine.files(source.driver_options, source.request("2005-02"))
    assert wanted.name == "cmems-med-adt-my_2005-02.nc"


@pytest.mark.skipif(not INSTALLED, reason="copernicusmarine is not installed")
def test_the_real_client_takes_these_arguments() -> None:
    import copernicusmarine

    request = FetchRequest("s", "2005-02", start=date(2005, 2, 1), end=date(2005, 2, 28), variables=("adt",))
    options = CopernicusMarine.Options(dataset_version="202411", **{k: v for k, v in FETCH.items() if k != "driver"})
    arguments = subset_arguments(options, request) | output_arguments(Path("out/x.nc"))
    inspect.signature(copernicusmarine.subset).bind(**arguments)
    inspect.signature(copernicusmarine.login).bind(check_credentials_valid=True)
    literals = str(inspect.signature(copernicusmarine.subset))
    assert "'inside'" in literals
    assert "'netcdf'" in literals
    # The client validates a request before it connects: build it as the client does.
    from copernicusmarine.core_functions.request_structure import SubsetRequest

    built = SubsetRequest(**arguments, username="nobody")
    assert built.start_datetime.isoformat().startswith("2005-02-01T00:00:00")
    assert built.end_datetime.isoformat().startswith("2005-02-28T23:59:59")


@pytest.mark.skipif(not INSTALLED, reason="copernicusmarine is not installed")
def test_the_real_client_without_credentials_does_not_prompt(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from pipeline_lib.errors import FetchError\n"
        "from pipeline_lib.fetch.drivers.copernicusmarine import _check_login, _client\n"
        "try:\n    _check_login(_client())\nexcept FetchError as error:\n    print(error.line)\n"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("COPERNICUSMARINE")} | {"HOME": str(tmp_path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert "no valid credentials" in done.stdout
    assert "copernicusmarine login" in done.stdout


@pytest.mark.skipif(INSTALLED, reason="copernicusmarine is installed")
def test_without_the_client_the_install_line_is_told(tmp_path: Path) -> None:
    source = source_of(tmp_path, FETCH, parts="monthly")
    with pytest.raises(FetchError, match=r"pip install copernicusmarine==2\.5\.0"):
        fetch_source(source, part="2005-04", output=tmp_path / "raw" / "2005-04.json", code="c")


def test_a_month_is_fetched(tmp_path: Path, use: Any) -> None:
    data = netcdf(tmp_path / "x.nc")
    client = use(Client(tmp_path / "x.nc"))
    output = tmp_path / "raw" / "2005-04.json"
    fetch_source(source_of(tmp_path, FETCH, parts="monthly"), part="2005-04", output=output, code="c")
    manifest = read_manifest(output, verify="deep")
    assert manifest.file("src_2005-04.nc").read_bytes() == data
    assert sorted(p.name for p in output.parent.glob("[!.]*")) == ["2005-04.json", "src_2005-04.nc"]
    assert str(tmp_path) not in output.read_text()
    [asked] = client.asked
    assert (asked["start_datetime"], asked["end_datetime"]) == ("2005-04-01T00:00:00", "2005-04-30T23:59:59")
    assert not any("user" in key or "pass" in key or "cred" in key for key in asked)


def described(last: object, *, rewritten: str | None = None) -> SimpleNamespace:
    """A catalogue as the client describes it, as far as the driver looks."""
    time = SimpleNamespace(maximum_value=last, values=None)
    part = SimpleNamespace(
        arco_updated_date="2026-01-02T03:04:05Z",
        arco_updating_start_date=rewritten,
        get_coordinates=lambda: {"time": (time, ["adt"], [])},
    )
    version = SimpleNamespace(label="202411", parts=[part])
    dataset = SimpleNamespace(dataset_id=FETCH["dataset_id"], get_version=lambda force_version: version)
    return SimpleNamespace(products=[SimpleNamespace(datasets=[dataset])])


@pytest.mark.parametrize(
    ("last", "rewritten", "there"),
    [
        (1_114_819_200_000, None, True),  # 2005-04-30
        ("2005-04-30T00:00:00Z", None, True),
        (1_114_732_800_000, None, False),  # 2005-04-29
        (1_114_819_200_000, "2005-04-20T00:00:00Z", False),
        (1_114_819_200_000, "2005-05-01T00:00:00Z", True),
    ],
)
def test_a_month_is_there_once_its_last_day_is_and_is_not_being_rewritten(
    tmp_path: Path, use: Any, last: object, rewritten: str | None, there: bool
) -> None:
    client = use(Client())
    client.describe = lambda **asked: described(last, rewritten=rewritten)
    _described.cache_clear()
    source = source_of(tmp_path, FETCH, parts="monthly")
    [wanted] = CopernicusMarine.files(source.driver_options, source.request("2005-04"))
    version = CopernicusMarine.version(source.driver_options, wanted)
    assert version == ("202411 updated 2026-01-02T03:04:05Z" if there else None)


@pytest.mark.skipif(not INSTALLED, reason="copernicusmarine is not installed")
def test_the_real_catalogue_has_what_the_driver_looks_at() -> None:
    import copernicusmarine
    from copernicusmarine.catalogue_parser.models import (
        CopernicusMarineCoordinate,
        CopernicusMarineDataset,
        CopernicusMarinePart,
        CopernicusMarineVersion,
    )

    inspect.signature(copernicusmarine.describe).bind(dataset_id="x", disable_progress_bar=True, raise_on_error=True)
    inspect.signature(CopernicusMarineDataset.get_version).bind(None, force_version=None)
    inspect.signature(CopernicusMarinePart.get_coordinates).bind(None)
    assert {"arco_updated_date", "arco_updating_start_date"} <= set(CopernicusMarinePart.model_fields)
    assert {"label", "parts"} <= set(CopernicusMarineVersion.model_fields)
    assert {"maximum_value", "values"} <= set(CopernicusMarineCoordinate.model_fields)


def test_without_credentials_it_says_how_to_log_in(tmp_path: Path, use: Any) -> None:
    client = use(Client(known=False))
    source = source_of(tmp_path, FETCH, parts="monthly")
    with pytest.raises(FetchError, match="copernicusmarine login") as caught:
        fetch_source(source, part="2005-04", output=tmp_path / "raw" / "2005-04.json", code="c")
    assert "COPERNICUSMARINE_SERVICE_USERNAME" in caught.value.fix
    assert client.asked == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no such\ndataset"), "the client stopped with ValueError: no such dataset"),
        (CredentialsCannotBeNone("x"), "copernicusmarine login"),
        (ConnectionError("https://me:hunter2@host broke"), r"https://\*\*\*@host broke"),
    ],
)
def test_what_the_client_says_becomes_one_line(tmp_path: Path, use: Any, error: Exception, told: str) -> None:
    use(Client(error=error))
    output = tmp_path / "raw" / "2005-04.json"
    with pytest.raises(FetchError, match=told) as caught:
        fetch_source(source_of(tmp_path, FETCH, parts="monthly"), part="2005-04", output=output, code="c")
    assert "hunter2" not in caught.value.line
    assert list(output.parent.iterdir()) == []  # no half a file stays


def test_an_empty_box_is_refused(tmp_path: Path) -> None:
    box = {"west": 37.0, "east": -6.0, "south": 30.0, "north": 46.0}
    with pytest.raises(ConfigError, match=r"fetch\.box: the box is empty"):
        source_of(tmp_path, FETCH | {"box": box}, parts="monthly")
