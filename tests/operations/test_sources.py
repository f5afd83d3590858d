"""What a source has, compared with what is here: asked, brought, and left alone if it is the same."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import xarray as xr
import yaml

from pipeline_lib.io.manifest import Artefact, read_manifest
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.operations.sources import SEEN, SourceDesk
from pipeline_lib.plan import load_plan
from tests.fetch.conftest import site  # noqa: F401 - a fixture
from tests.fetch.helpers import Page, Site
from tests.operations.project import START, deliver, june, maps_of, write_daily_project

MAPS = maps_of()
TODAY = june(30)[0]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_daily_project(tmp_path)


def desk() -> SourceDesk:
    """A desk as each update makes it anew."""
    return SourceDesk(load_plan(load_yaml(Path("config/config.yaml"))), "tiny-adt")


def stamps(folder: Path) -> list[tuple[str, int, int]]:
    return [(p.name, p.stat().st_mtime_ns, p.stat().st_ino) for p in sorted(folder.glob("[!.]*"))]


def edit_fetch(folder: Path, **block: object) -> None:
    file = folder / "config/catalog.yaml"
    raw = yaml.safe_load(file.read_text())
    gyre = raw["sources"]["tiny-adt"]["metadata"]["gyre"]
    gyre.update(block)
    file.write_text(yaml.safe_dump(raw))


def asked(at: SourceDesk, last: int, *, since: date = START) -> dict[str, str]:
    return dict(at.ask(at.periods(START, june(last)[0]), since).parts)


def test_what_is_there_and_what_is_not(folder):
    deliver(folder, *june(1), *june(3), maps=MAPS)
    at = desk()
    assert asked(at, 4) == {"2005-06-01": "new", "2005-06-02": "absent", "2005-06-03": "new", "2005-06-04": "absent"}
    at.bring(["2005-06-01"])
    assert asked(desk(), 2) == {"2005-06-01": "same", "2005-06-02": "absent"}


def test_a_month_may_lack_a_day_but_keeps_those_that_are_here(folder):
    edit_fetch(
        folder,
        time={"start": "2005-05-01", "step_hours": 24},
        fetch={"driver": "file", "path": "incoming/maps_{year}{month}{day}.nc", "may_lack": 1},
        form="frames",
    )
    assert desk().ask(["2005-06"], START).parts == {"2005-06": "absent"}
    deliver(folder, *june(1, 28), maps=MAPS)
    assert desk().ask(["2005-06"], START).parts == {"2005-06": "absent"}, "two days lack"
    deliver(folder, *june(29), maps=MAPS)
    assert desk().ask(["2005-06"], START, june(30)[0]).parts == {"2005-06": "absent"}, "the month is not over"
    assert desk().ask(["2005-06"], START, date(2005, 7, 1)).parts == {"2005-06": "new"}
    assert desk().bring(["2005-06"]).error is None
    assert desk().ask(["2005-06"], START).parts == {"2005-06": "same"}
    (folder / "incoming/maps_20050603.nc").rename(folder / "withdrawn.nc")
    deliver(folder, *june(30), maps=MAPS)
    assert desk().ask(["2005-06"], START).parts == {"2005-06": "unasked"}, "what is here stays"
    (folder / "withdrawn.nc").rename(folder / "incoming/maps_20050603.nc")
    assert desk().ask(["2005-06"], START).parts == {"2005-06": "changed"}, "a late day"


def test_a_month_is_not_there_before_its_last_day_is(folder):
    edit_fetch(folder, time={"start": "2005-05-01", "step_hours": 24})
    deliver(folder, *june(1, 29), maps=MAPS)
    at = desk()
    assert at.periods(START, june(29)[0]) == []
    assert at.ask(["2005-06"], START).parts == {"2005-06": "absent"}
    deliver(folder, *june(30), maps=MAPS)
    assert at.ask(at.periods(START, TODAY), START).parts == {"2005-06": "new"}


def test_older_periods_are_not_asked_for_again(folder):
    deliver(folder, *june(1, 2), maps=MAPS)
    desk().bring(["2005-06-01", "2005-06-02"])
    deliver(folder, *june(1, 2), maps=maps_of(seed=1))
    assert asked(desk(), 2, since=june(2)[0]) == {"2005-06-01": "unasked", "2005-06-02": "changed"}


def test_other_bytes_replace_what_is_here_and_equal_ones_do_not(folder):
    deliver(folder, *june(1, 2), maps=MAPS)
    at = desk()
    at.bring(["2005-06-01", "2005-06-02"])
    before = stamps(at.raw("2005-06-01").parent)
    assert at.bring(["2005-06-01", "2005-06-02"]).reissued == []
    assert stamps(at.raw("2005-06-01").parent) == before
    deliver(folder, *june(1), maps=maps_of(seed=1))
    assert at.bring(["2005-06-01", "2005-06-02"]).reissued == ["2005-06-01"]
    after = stamps(at.raw("2005-06-01").parent)
    assert {name for name, *_ in set(after) - set(before)} == {"2005-06-01.json", "maps_20050601.nc"}
    read_manifest(at.raw("2005-06-01"), verify="deep")


def test_a_final_version_takes_the_place_of_the_preliminary_one(folder):
    edit_fetch(
        folder,
        fetch={
            "driver": "file",
            "path": "incoming/maps_{year}{month}{day}.nc",
            "preliminary": "early/maps_{year}{month}{day}.nc",
        },
    )
    deliver(folder, *june(1), maps=maps_of(seed=1), place="early")
    at = desk()
    found = at.ask(["2005-06-01"], START)
    assert (found.parts, found.preliminary) == ({"2005-06-01": "new"}, ["2005-06-01"])
    at.bring(["2005-06-01"])
    assert read_manifest(at.raw("2005-06-01")).content["preliminary"] == ["maps_20050601.nc"]
    assert at.ask(["2005-06-01"], TODAY).parts == {"2005-06-01": "same"}, "asked again, however old"
    deliver(folder, *june(1), maps=MAPS)
    assert at.ask(["2005-06-01"], TODAY).parts == {"2005-06-01": "changed"}
    assert at.bring(["2005-06-01"]).final == ["2005-06-01"]
    assert "preliminary" not in read_manifest(at.raw("2005-06-01"), verify="deep").content
    assert at.ask(["2005-06-01"], TODAY).parts == {"2005-06-01": "unasked"}


def test_a_preliminary_version_that_turns_out_right_becomes_final(folder):
    edit_fetch(
        folder, fetch={"driver": "file", "path": "incoming/maps_{part}.nc", "preliminary": "early/maps_{part}.nc"}
    )
    for place in ("early", "incoming"):
        deliver(folder, *june(1), maps=MAPS, place=place)
        (folder / place / "maps_20050601.nc").rename(folder / place / "maps_2005-06-01.nc")
        at = desk()
        at.ask(["2005-06-01"], START)
        brought = at.bring(["2005-06-01"])
    assert (brought.reissued, brought.final) == ([], ["2005-06-01"])


def serve(site: Site, folder: Path, *days: date, maps: xr.Dataset = MAPS) -> None:  # noqa: F811
    deliver(folder, *days, maps=maps, place="served")
    for day in days:
        name = f"maps_{day:%Y%m%d}.nc"
        site.pages[f"/{name}"] = Page((folder / "served" / name).read_bytes())


@pytest.mark.parametrize("head", [True, False])
def test_a_server_is_asked_without_sending_the_file(folder, site, head):  # noqa: F811
    url = f"{site.url}/maps_{{year}}{{month}}{{day}}.nc"
    edit_fetch(folder, fetch={"driver": "http", "url": url, "attempts": 1, "wait_s": 0.0})
    serve(site, folder, *june(1))
    site.pages["/maps_20050601.nc"].head = head
    at = desk()
    assert asked(at, 2) == {"2005-06-01": "new", "2005-06-02": "absent"}
    assert bool(site.requests) is not head, "a server that knows HEAD is not made to send"
    at.bring(["2005-06-01"])
    assert asked(desk(), 1) == {"2005-06-01": "same"}
    (at.raw("2005-06-01").with_name(SEEN)).unlink()
    at = desk()
    assert asked(at, 1) == {"2005-06-01": "changed"}, "unknown, so it is compared by hash"
    assert at.bring(["2005-06-01"]).reissued == []
    assert asked(desk(), 1) == {"2005-06-01": "same"}
    serve(site, folder, *june(1), maps=maps_of(seed=1))
    at = desk()
    assert asked(at, 1) == {"2005-06-01": "changed"}
    assert at.bring(["2005-06-01"]).reissued == ["2005-06-01"]


def test_a_server_that_is_down_loses_nothing(folder):
    edit_fetch(folder, fetch={"driver": "http", "url": "http://127.0.0.1:9/{part}.nc", "attempts": 1, "wait_s": 0.0})
    found = desk().ask(["2005-06-01", "2005-06-02"], START)
    assert found.parts == {"2005-06-01": "absent", "2005-06-02": "absent"}
    assert "refused" in found.error.line


def test_what_cannot_be_brought_stays_as_it_was(folder):
    deliver(folder, *june(1), maps=MAPS)
    at = desk()
    at.bring(["2005-06-01"])
    (folder / "incoming/maps_20050601.nc").write_text("half a file")
    before = read_manifest(at.raw("2005-06-01"), verify="deep").identity
    assert asked(at, 1) == {"2005-06-01": "changed"}
    assert "is not a readable netCDF-4 file" in at.bring(["2005-06-01"]).error.line
    assert read_manifest(at.raw("2005-06-01"), verify="deep").identity == before


def growing(folder: Path, last: int, maps: xr.Dataset = MAPS) -> None:
    target = folder / "incoming" / "series.nc"
    maps.sel(time=slice("2005-05-01", str(june(last)[0]))).to_netcdf(target, engine="h5netcdf")


def test_in_a_growing_file_only_what_changed_counts_as_other(folder):
    edit_fetch(folder, parts="whole", fetch={"driver": "file", "path": "incoming/series.nc"})
    growing(folder, 2)
    at = desk()
    at.bring(["all"])
    periods = [str(day) for day in june(1, 5)]
    assert at.on_hand(periods) == periods[:2]
    first = at.fetched("all").identity
    assert all(at.same_share(p, first) for p in periods[:2])
    datasets_of(at, periods[:2])

    changed = MAPS.copy(deep=True)
    changed["adt"].loc[{"time": "2005-06-02"}] += 0.01
    growing(folder, 4, changed)
    at = desk()
    assert asked(at, 4) == {"all": "changed"}
    at.bring(["all"])
    assert at.on_hand(periods) == periods[:4]
    assert at.same_share(periods[0], first)
    assert not at.same_share(periods[1], first)


def datasets_of(at: SourceDesk, periods: list[str]) -> None:
    """Write manifests that say from which raw part a dataset was made."""
    for period in periods:
        with Artefact(Path(at.plan.path("dataset", source="tiny-adt", period=period)), kind="dataset", code="c") as out:
            out.payload(f"{period}.txt").write_text(period)
            out.add_input("raw", at.fetched("all"))
