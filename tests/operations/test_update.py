"""Updates through the command line: what is made, what is left alone, what is told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr
import yaml

from pipeline_lib.io.manifest import exclusive, read_manifest
from tests.faults.project import content
from tests.operations.project import cli, deliver, june, maps_of, night, update, write_daily_project
from tests.workflow.project import copy_of, environment

MADE = ("data", "results/tiny")


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of all that was made, hidden files of the bookkeeping left out."""
    files = (f for place in MADE for f in (folder / place).rglob("*") if f.is_file() and not f.name.startswith("."))
    return {str(f.relative_to(folder)): (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}


def made(folder: Path, *places: str) -> dict[str, bytes]:
    """Bytes of all that was made."""
    return {
        f"{place}/{name}": data
        for place in places or MADE
        for name, data in content(folder / place).items()
        if not name.rpartition("/")[2].startswith(".")
    }


def of_day(names: set[str]) -> set[str]:
    """Periods to which files belong."""
    return {match[0] for name in names if (match := re.search(r"\d{4}-\d{2}(-\d{2})?|\d{8}", name))}


def change(folder: Path, **operations: object) -> None:
    file = folder / "config/experiments/tiny.yaml"
    raw = yaml.safe_load(file.read_text())
    raw["operations"].update(operations)
    file.write_text(yaml.safe_dump(raw, sort_keys=False))


def last_entry(folder: Path) -> dict:
    return json.loads((folder / "results/.update/journal.jsonl").read_text().splitlines()[-1])


def test_arrivals_in_any_order_end_as_one_batch(own, tmp_path):
    """A hole, a re-issued day, a late day, twice is once; then all at once in another folder."""
    right = maps_of(seed=7)
    deliver(own, *june(4), maps=maps_of())
    deliver(own, *june(1), maps=right)
    before = stamps(own)
    entry = night(own, june(4)[0])
    assert (entry.new, entry.reissued, entry.missing) == (["2005-06-04"], ["2005-06-01"], ["2005-06-03"])
    assert (entry.made, entry.failed, entry.code) == (["2005-06-01", "2005-06-04"], [], 0)
    after = stamps(own)
    touched = {name for name in after if after[name] != before.get(name)}
    assert of_day(touched) == {"2005-06-01", "2005-06-04", "20050601", "20050604"}
    assert night(own, june(4)[0]).made == []
    assert stamps(own) == after

    deliver(own, *june(3), maps=maps_of())
    assert night(own, june(4)[0]).made == ["2005-06-03"]
    late = stamps(own)
    assert of_day({name for name in late if late[name] != after.get(name)}) == {"2005-06-03", "20050603"}

    batch = write_daily_project(tmp_path / "batch")
    deliver(batch, *june(2, 4), maps=maps_of())
    deliver(batch, *june(1), maps=right)
    assert night(batch, june(4)[0]).made == [str(day) for day in june(1, 4)]
    assert made(batch) == made(own)


@pytest.mark.slow
def test_snakemake_makes_what_an_update_asks_for(own):
    deliver(own, *june(4), maps=maps_of())
    deliver(own, *june(1), maps=maps_of(seed=7))
    shown = update(own, june(4)[0], "--dry-run")
    assert "1 new (2005-06-04), 1 changed at the provider (2005-06-01), 1 missing (2005-06-03)" in shown.stdout
    assert "jobs: 2 fetch, 2 preprocess, 2 label, 2 predict, 2 period_score" in shown.stdout
    done = update(own, june(4)[0])
    assert done.returncode == 0, done.stderr
    assert "1 new (2005-06-04), 1 re-issued (2005-06-01), 1 missing (2005-06-03), 2 made" in done.stdout
    after = stamps(own)
    assert (update(own, june(4)[0]).returncode, stamps(own)) == (0, after)


def test_a_dry_run_writes_nothing(own):
    deliver(own, *june(3), maps=maps_of())
    before = content(own / "data") | content(own / "results")
    assert update(own, june(3)[0], "-n").returncode == 0
    assert content(own / "data") | content(own / "results") == before


def test_two_updates_never_run_together(own):
    with exclusive(own / "results/.update"):
        done = cli(own, "update", "--today", "2005-06-02")
    assert done.returncode == 75
    assert re.fullmatch(r".*ERROR.*another update is running; wait for it to end\n", done.stderr)


@pytest.mark.slow
def test_a_day_that_cannot_be_read_does_not_stop_the_others(own):
    deliver(own, *june(3, 4), maps=maps_of())
    (own / "incoming/maps_20050603.nc").write_bytes(b"\x89HDF broken")
    done = update(own, june(4)[0])
    assert done.returncode == 9
    assert "1 made (2005-06-04), 1 failed (2005-06-03)" in done.stdout
    assert "maps_20050603.nc: is not a readable netCDF-4 file" in done.stderr
    assert cli(own, "status", "--today", "2005-06-04").returncode == 1
    deliver(own, *june(3), maps=maps_of())
    done = update(own, june(4)[0])
    assert (done.returncode, last_entry(own)["made"]) == (0, ["2005-06-03"])


@pytest.mark.slow
def test_a_killed_update_goes_on_where_it_stopped(own, tmp_path):
    deliver(own, *june(3, 4), maps=maps_of())
    undisturbed = copy_of(own, tmp_path / "undisturbed")
    assert update(undisturbed, june(4)[0]).returncode == 0
    command = [sys.executable, "-m", "pipeline_lib", "update", "--today", "2005-06-04", "--cores", "2"]
    process = subprocess.Popen(command, cwd=own, env=environment(), start_new_session=True)
    while not list((own / "data").rglob("2005-06-0[34].zarr")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = update(own, june(4)[0])
    assert done.returncode == 0, done.stderr
    assert made(own) == made(undisturbed)


@pytest.mark.slow
def test_the_lock_outlives_the_update_as_long_as_its_workflow_runs(own):
    deliver(own, *june(3, 4), maps=maps_of())
    command = [sys.executable, "-m", "pipeline_lib", "update", "--today", "2005-06-04", "--cores", "2"]
    process = subprocess.Popen(command, cwd=own, env=environment(), start_new_session=True)
    while not (own / "results/.update/running").exists():
        time.sleep(0.05)
    process.kill()  # the update only: Snakemake lives on
    process.wait()
    assert update(own, june(4)[0]).returncode == 75
    while update(own, june(4)[0]).returncode == 75:
        time.sleep(0.5)
    assert last_entry(own)["code"] == 0
    assert last_entry(own)["failed"] == []


@pytest.mark.slow
def test_a_new_model_every_so_many_periods(own, tmp_path):
    """The policy gives the same models whether days come one by one or all at once; earlier products stay."""
    change(own, retrain={"when": "periods", "periods": 3})
    batch = copy_of(own, tmp_path / "batch")
    for day in june(3, 7):
        deliver(own, day, maps=maps_of())
        before = stamps(own)
        entry = night(own, day)
        assert (entry.made, entry.problems) == ([str(day)], [])
        assert {name: stamp for name, stamp in stamps(own).items() if name in before} == before
    names = sorted(f.stem for f in (own / "config/experiments").glob("*.yaml"))
    assert names == ["tiny", "tiny-from-2005-06-04", "tiny-from-2005-06-07"]
    split = yaml.safe_load((own / "config/experiments/tiny-from-2005-06-04.yaml").read_text())["split"]
    assert split["train"] == {"start": "2005-05-01", "end": "2005-05-09"}
    assert split["test"] == {"start": "2005-05-14", "end": "2005-06-02"}

    deliver(batch, *june(3, 7), maps=maps_of())
    entry = night(batch, june(7)[0])
    assert (entry.made, entry.models) == ([str(day) for day in june(3, 7)], names[1:])
    for name in names:
        assert of_day(set(made(batch, f"results/{name}"))) == of_day(set(made(own, f"results/{name}")))
        assert made(batch, f"results/{name}") == made(own, f"results/{name}")


@pytest.mark.slow
def test_a_new_model_when_the_skill_falls(own):
    change(own, retrain={"when": "skill"}, alert={"window_days": 2, "threshold": 1.0})
    deliver(own, *june(3, 4), maps=maps_of())
    entry = night(own, june(4)[0])
    assert entry.models == ["tiny-from-2005-06-03", "tiny-from-2005-06-05"]
    run = own / "results/tiny-from-2005-06-03/okubo_weiss/seed0"
    product = read_manifest(run / "products/2005-06-04.json")
    assert product.inputs["model"].identity == read_manifest(run / "model.json").identity
    status = cli(own, "status", "--today", "2005-06-04")
    assert status.returncode == 1
    assert "the score is on the bad side of its threshold" in status.stdout


@pytest.mark.slow
def test_a_new_model_waits_for_a_missing_day(own):
    change(own, retrain={"when": "periods", "periods": 2})
    deliver(own, *june(4, 9), maps=maps_of())
    entry = night(own, june(9)[0])
    assert entry.models == ["tiny-from-2005-06-04"], "its split ends before the missing day"
    assert entry.notes == ["a new model is due (every 2 periods) but waits for 2005-06-03, which is missing"]
    assert entry.made == [str(day) for day in june(4, 9)]


def test_operations_must_lie_after_the_split(own):
    change(own, start="2005-05-20")
    done = cli(own, "update")
    assert done.returncode == 2
    assert "operations start on 2005-05-20, before the split ends on 2005-05-30" in done.stderr
    change(own, start="2005-06-01", alert={"metric": "mean_dic"})
    assert "did you mean 'mean_dice'" in cli(own, "update").stderr
    change(own, alert={}, models=["okubo"])
    assert "no model is called 'okubo'; did you mean 'okubo_weiss'" in cli(own, "update").stderr


def test_status_tells_what_a_monitor_needs(own):
    done = cli(own, "status", "--today", "2005-06-02")
    assert done.returncode == 0
    freshness, scores, update_time = done.stdout.split("; ")
    assert freshness == "OK tiny: newest 2005-06-02 (0 days old), 2 periods"
    assert re.fullmatch(r"mean_dice 0\.\d{3}, test 0\.\d{3} \[0\.\d{3}, [01]\.\d{3}\]", scores)
    assert re.match(r"last update 20\d\d-", update_time)
    done = cli(own, "status", "--today", "2005-06-09")
    assert done.returncode == 2
    assert done.stdout.startswith("CRITICAL tiny: the newest day is 7 days old, 3 are allowed; ")
    (own / "results/.update/journal.jsonl").unlink()
    assert cli(own, "status", "--today", "2005-06-02").returncode == 3


def test_the_page_is_whole_and_asks_for_nothing_from_outside(own):
    assert cli(own, "status", "--today", "2005-06-02", "--html").returncode == 0
    page = (own / "results/status.html").read_text()
    assert "data:image/png;base64," in page
    assert "2005-06-01, 2005-06-02" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    change(own, alert={"window_days": 1, "threshold": 1.0})
    assert cli(own, "status", "--today", "2005-06-02", "--html").returncode == 1
    assert "bad side of its threshold" in (own / "results/status.html").read_text()


def test_a_colleague_opens_the_published_product_with_two_lines(own):
    done = cli(own, "publish", "tiny")
    assert done.returncode == 0, done.stderr
    assert "published: 2005-06-01 to 2005-06-02" in done.stdout
    folder = own / "results/tiny/published/okubo_weiss-seed0"
    code = f"import intake\nds = intake.open_catalog('{folder}/catalog.yaml')['okubo_weiss'].to_dask()\n"
    look = code + "print(ds.sizes['time'], ds.eddy_class.dtype, ds.attrs['Conventions'])"
    shown = subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", look], capture_output=True, text=True)
    assert shown.stdout.split() == ["2", "float32", "CF-1.11"], shown.stderr
    (store,) = folder.glob("*.zarr")
    together = xr.open_zarr(store)
    for day in ("2005-06-01", "2005-06-02"):
        single = xr.open_zarr(own / f"results/tiny/okubo_weiss/seed0/products/{day}.zarr")
        xr.testing.assert_equal(together.sel(time=[day]).eddy_class, single.eddy_class)
    assert read_manifest(store.with_suffix(".json"), kind="publication", verify="deep").content["cf_checked"]

    before = content(folder)
    assert "already published" in cli(own, "publish", "tiny").stdout
    assert content(folder) == before
    assert "published: 2005-06-02 to 2005-06-02" in cli(own, "publish", "tiny", "--from", "2005-06-02").stdout
    assert len(list(folder.glob("*.zarr"))) == 2, "the store before is kept for who has it open"
    assert "there is okubo_weiss seed 0" in cli(own, "publish", "tiny", "--model", "unet").stderr
