"""Thirty nights of daily arrivals from a server: with an outage, a late day, a re-issued and a preliminary one.

Real maps (91 days of the Mediterranean) if ``GYRE_MIRROR`` names a folder that holds them, else generated ones.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
import xarray as xr
import yaml

from pipeline_lib.io.manifest import read_manifest
from tests.faults.project import content
from tests.fetch.conftest import site  # noqa: F401 - a fixture
from tests.fetch.helpers import Page, Site
from tests.operations.project import cli, june, maps_of, night, update
from tests.workflow.project import catalog, experiment, write_files

pytestmark = pytest.mark.soak

REAL = "dt_med_allsat_phy_l4_2005T2.nc"
START = date(2005, 4, 1)
OUTAGE = june(10, 12)
"""Nights on which the server does not answer."""
LATE, ARRIVES = june(7)[0], june(9)[0]
REISSUED, AGAIN = june(15)[0], june(20)[0]
PRELIMINARY, FINAL = june(22)[0], june(25)[0]
RUNS = ("eddynet", "okubo_weiss")


def maps() -> tuple[xr.Dataset, str]:
    """Daily maps and where they are from."""
    folder = os.environ.get("GYRE_MIRROR")
    found = sorted(Path(folder).rglob(REAL)) if folder else []
    if found:
        with xr.open_dataset(found[0], engine="h5netcdf") as ds:
            return ds[["adt"]].load(), "real"
    return maps_of(), "generated"


@dataclass
class Provider:
    """A server on which files of days appear."""

    server: Site
    folder: Path
    maps: xr.Dataset

    def put(self, day: date, *, offset: float = 0.0, place: str = "final") -> None:
        """Put the file of a day there."""
        one = self.maps.sel(time=f"{day}")
        changed = one.assign(adt=(one.adt + offset).assign_attrs(one.adt.attrs))
        file = self.folder / "day.nc"
        changed.drop_encoding().to_netcdf(file, engine="h5netcdf")
        self.server.pages[f"/{place}/maps_{day:%Y%m%d}.nc"] = Page(file.read_bytes())


def write_project(folder: Path, server: Site, *, real: bool) -> Path:
    """Write a project with history by month in April and May and operations by day in June."""
    raw = catalog(Path(__file__))
    entry = raw["sources"]["tiny-adt"]
    entry["args"]["urlpath"] = "{{ data_dir }}/tiny-adt/raw/*.nc"
    block = entry["metadata"]["gyre"]
    block["time"] = {"start": START.isoformat(), "step_hours": 24, "daily_from": "2005-06-01"}
    block["parts"] = "monthly"
    address = f"{server.url}/{{place}}/maps_{{year}}{{month}}{{day}}.nc"
    block["fetch"] = {
        "driver": "http",
        "url": address.replace("{place}", "final"),
        "preliminary": address.replace("{place}", "early"),
        "attempts": 1,
        "wait_s": 0.0,
    }
    if real:
        block["preparation"]["options"] = {"wavelength_km": 500, "order": 1}
    spec = experiment() | {
        "split": {
            "train": ["2005-04-01", "2005-04-20"],
            "validation": ["2005-04-26", "2005-04-28"],
            "test": ["2005-05-04", "2005-05-31"],
            "gap_days": 5,
        },
        "training": {"patch": 32, "batch_size": 4, "steps_per_epoch": 4, "max_epochs": 2},
        "scoring": {
            "metrics": ["mean_dice", "accuracy", "object_f1"],
            "patches": {"sets": 0},
            "intervals": {"block_days": 5, "resamples": 500},
        },
        "models": list(RUNS),
        "published": [],
        "operations": {"start": "2005-06-01", "alert": {"window_days": 10}},
    }
    return write_files(folder, "tiny", spec, raw, device="cpu")


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file that was made."""
    files = (f for place in ("data", "results/tiny") for f in (folder / place).rglob("*") if f.is_file())
    return {
        str(f.relative_to(folder)): (f.stat().st_ino, f.stat().st_mtime_ns) for f in files if not f.name.startswith(".")
    }


def belongs(name: str, days: list[date]) -> bool:
    return any(f"{day}" in name or f"{day:%Y%m%d}" in name for day in days)


def made(folder: Path, place: str) -> dict[str, bytes]:
    return {n: data for n, data in content(folder / place).items() if not Path(n).name.startswith(".")}


def updated(folder: Path, today: date, how: str) -> dict:
    """Update as on a given day, by Snakemake's own jobs or by the same commands in this process; what it wrote down."""
    done = update(folder, today) if how == "snakemake" else night(folder, today)
    entry = json.loads((folder / "results/.update/journal.jsonl").read_text().splitlines()[-1])
    assert (done.returncode if how == "snakemake" else done.code) == entry["code"], done
    return entry


@pytest.mark.parametrize("how", ["one process", "snakemake"])
def test_thirty_nights_end_as_one_batch(site, tmp_path, how):  # noqa: F811
    days, origin = maps()
    provider = Provider(site, tmp_path, days)
    for offset in range(61):
        provider.put(START + timedelta(days=offset))
    folder = write_project(tmp_path / "nights", site, real=origin == "real")
    begun, counts = time.monotonic(), {"nights": 0, "outages": 0, "made": 0, "files kept": 0, "files rewritten": 0}
    done_days: list[date] = []
    for today in june(1, 30):
        if today != LATE:
            provider.put(
                today, place="early" if today == PRELIMINARY else "final", offset=0.01 * (today == PRELIMINARY)
            )
        changed = []
        if today == ARRIVES:
            provider.put(LATE)
        if today == AGAIN:
            provider.put(REISSUED, offset=0.02)
            changed.append(REISSUED)
        if today == FINAL:
            provider.put(PRELIMINARY)
            changed.append(PRELIMINARY)
        site.unavailable = today in OUTAGE
        before = stamps(folder) if done_days else {}
        entry = updated(folder, today, how)
        counts["nights"] += 1
        if today in OUTAGE:
            assert (entry["code"], stamps(folder)) == (3, before)
            counts["outages"] += 1
            continue
        assert entry["problems"] == []
        assert entry["missing"] == ([str(LATE)] if LATE < today < ARRIVES else [])
        assert entry["reissued"] == ([str(REISSUED)] if today == AGAIN else [])
        assert entry["final"] == ([str(PRELIMINARY)] if today == FINAL else [])
        after = stamps(folder)
        new = [day for day in june(1, today.day) if day not in done_days and (day != LATE or today >= ARRIVES)]
        for name, stamp in before.items():
            rewritten = after.get(name) != stamp
            assert not rewritten or belongs(name, changed), f"{today}: {name}"
            counts["files rewritten" if rewritten else "files kept"] += 1
        done_days += new
        counts["made"] += len(new) + len(changed)
        if today == LATE:
            continue
        product = read_manifest(folder / f"results/tiny/eddynet/seed0/products/{today}.json", verify="deep")
        preliminary = xr.open_zarr(product.file(f"{today}.zarr")).attrs.get("data_status") == "preliminary"
        assert preliminary == (today == PRELIMINARY)
    entry = updated(folder, june(30)[0], how)
    assert (entry["new"], entry["made"], entry["code"]) == ([], [], 0)
    assert cli(folder, "status", "--today", "2005-06-30").returncode in {0, 1}, "well, or the score of a toy fell"
    nights_s = time.monotonic() - begun

    begun = time.monotonic()
    batch = write_project(tmp_path / "batch", site, real=origin == "real")
    assert len(updated(batch, june(30)[0], how)["made"]) == len(june(1, 30))
    for place in ("data", "results/tiny"):
        one, other = made(folder, place), made(batch, place)
        assert one.keys() == other.keys()
        assert [name for name in one if one[name] != other[name]] == []
        counts[f"equal files in {place}"] = len(one)
    stores = [cli(f, "publish", "tiny").stdout.splitlines()[0].rpartition("/")[2] for f in (folder, batch)]
    assert stores[0] == stores[1]
    counts["re-issued"] = counts["final after preliminary"] = counts["late"] = 1
    figures = {
        "maps": origin,
        "jobs": how,
        **counts,
        "nights_s": round(nights_s),
        "batch_s": round(time.monotonic() - begun),
    }
    print(yaml.safe_dump(figures, sort_keys=False))  # noqa: T201 - figures of a soak are for people
