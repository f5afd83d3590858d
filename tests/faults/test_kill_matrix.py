"""The kill matrix: every stage, stopped at random moments, ends with the uninterrupted bytes when it is run again.

Kill moments are drawn over the time that the job takes when all modules are loaded already, so that they fall on work
and not on imports. ``make test-kill`` prints how many kills met a living process and what they found.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.plan import Plan
from tests.faults.conftest import COUNTED
from tests.faults.project import content
from tests.faults.stages import STAGES, Job, finish, job_of, jobs, plan_of, prepare, start
from tests.fetch.helpers import Site, drip

pytestmark = pytest.mark.kill

SEEDS = int(os.environ.get("GYRE_KILL_SEEDS", "20"))
"""Random moments for each stage and signal."""
SIGNALS = ("SIGKILL", "SIGTERM")


@dataclass(frozen=True)
class Whole:
    """An undisturbed project and all its bytes."""

    folder: Path
    plan: Plan
    site: Site
    bytes: dict[str, bytes]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Iterator[Whole]:
    site = Site()
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    folder = prepare(tmp_path_factory.mktemp("whole"), site)
    plan = plan_of(folder)
    for job in jobs(plan):
        finish(job, folder)
    yield Whole(folder, plan, site, everything(folder))
    site.shutdown()
    site.server_close()
    thread.join()


def everything(folder: Path) -> dict[str, bytes]:
    """All files of data and results, hidden ones included: a job must leave those of others alone, and no trace."""
    return {**content(folder / "data"), **content(folder / "results")}


def take_away(job: Job, folder: Path, *, all_of_it: bool) -> None:
    """Remove an artefact, or what the workflow engine removes before it runs a job again: the declared output."""
    output = folder / job.output
    manifest = read_manifest(output, verify="none")
    output.unlink()
    for payload in manifest.payloads if all_of_it else []:
        path = output.parent / payload
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if all_of_it:
        output.with_name(f".{output.stem}.payloads").unlink()


def state_of(job: Job, folder: Path, identity: str) -> str:
    """What a kill left: nothing that passes for complete, or the whole artefact."""
    output = folder / job.output
    if not output.exists():
        return "no manifest"
    assert read_manifest(output, verify="deep").identity == identity
    return "whole"


@pytest.mark.parametrize("how", SIGNALS)
@pytest.mark.parametrize("stage", STAGES)
def test_stopped_at_any_moment_then_run_again_gives_the_undisturbed_bytes(whole, tmp_path, record_property, stage, how):
    folder = tmp_path / "project"
    shutil.copytree(whole.folder, folder)
    job = job_of(stage, whole.plan)
    identity = read_manifest(folder / job.output).identity
    if stage == "fetch":  # a line slow enough for kills to meet the transfer
        whole.site.pages["/maps.nc"].steps = [drip(20, 0.01)] * (2 * SEEDS + 2)
    take_away(job, folder, all_of_it=True)
    finish(job, folder)  # once without a clock, to have caches warm
    take_away(job, folder, all_of_it=True)
    seconds = [finish(job, folder)]
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        moment = np.random.default_rng([seed, STAGES.index(stage), SIGNALS.index(how)]).uniform(0, seconds[-1])
        take_away(job, folder, all_of_it=seed % 2 == 0 or stage == "fetch")  # a pinned file that is here is not fetched
        process = start(job, folder)
        time.sleep(moment)
        process.kill() if how == "SIGKILL" else process.terminate()
        process.join()
        seen["interrupted" if process.exitcode else "too late"] += 1
        seen[state_of(job, folder, identity)] += 1
        seconds.append(finish(job, folder))  # how fast the machine is just now
        assert_same(everything(folder), whole.bytes, f"{stage}, {how}, seed {seed}, killed after {moment:.3f} s")
    found = ", ".join(f"{count} {what}" for what, count in sorted(seen.items()))
    record_property(
        COUNTED, f"{stage:12} {how}: {SEEDS} kills over {np.median(seconds):.2f} s: {found}; all bytes equal"
    )
    assert seen["interrupted"] >= SEEDS / 2


def assert_same(after: dict[str, bytes], before: dict[str, bytes], when: str) -> None:
    different = sorted(name for name in after.keys() | before.keys() if after.get(name) != before.get(name))
    assert not different, f"{when}: {different}"
