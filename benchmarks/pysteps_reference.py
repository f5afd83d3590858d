"""S-PROG, STEPS and Lucas-Kanade extrapolation of pysteps, scored beside the competitors of an experiment.

    make .venv-pysteps/.installed
    PYTHONPATH=. python benchmarks/pysteps_reference.py nowcast-knmi --output results/nowcast-knmi/with-pysteps.csv

The experiment must have been scored. Forecasts start from the same frames as those of its competitors, and go through
the same counts, metrics, intervals and ranks: the table has the columns of ``leaderboard.csv``. It is refused where the
truth is not the one that the competitors were scored on.

Rows ``pysteps_lucas_kanade`` and ``pysteps_sprog`` are single forecasts, ``pysteps_steps_mean`` is the mean rain rate
of the members of STEPS, ``pysteps_steps_median`` their (upper) median: at or above a threshold where at least half of
them are. Rows of the metric ``brier_<threshold>`` hold the mean squared error of the probability of the event: for
``pysteps_steps`` the share of members, for all others 0 or 1; like the other metrics, a mean over leads.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from pipeline_lib.data.datasets import open_days
from pipeline_lib.io.counts_table import read_counts
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.metrics import METRICS
from pipeline_lib.plan import load_plan
from pipeline_lib.rain import NOISE_BELOW, RainScale
from pipeline_lib.score.gate import Sample, check_same_sample
from pipeline_lib.score.leaderboard import leaderboard
from pipeline_lib.score.tables import leaderboard_csv
from pipeline_lib.skill.balanced import without_noise
from pipeline_lib.tasks.nowcasting.counted import counted_by
from pipeline_lib.tasks.nowcasting.names import VARIABLE
from pipeline_lib.tasks.nowcasting.score import score_stores

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-pysteps" / "bin" / "python"
METRES = 1000.0


def by_pysteps(seen, *, leads, members, kilometres, minutes):
    """Forecasts of rain rates [mm/h] from frames (start, seen, rows, columns), by method."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        numbers = {"leads": leads, "members": members, "kilometres": kilometres, "minutes": minutes}
        np.savez(folder / "given.npz", seen=seen, **numbers)
        words = [PYTHON, Path(__file__).with_name("pysteps_nowcasts.py"), folder / "given.npz", folder / "found.npz"]
        environment = {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "HOME": name}
        subprocess.run(words, check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
        with np.load(folder / "found.npz") as found:
            return dict(found)


def scored(made, ds, variable, starts, options, rules):
    """Counts and sample of each way, and the Brier scores of STEPS by threshold.

    ``made`` is what :func:`by_pysteps` gives for the frames of ``ds`` that end at ``starts``; ``rules`` are the
    attributes ``seen``, ``step_minutes`` and ``missing`` of products.
    """
    truth = ds[variable]
    scale = RainScale.of_attributes(truth.attrs)
    ways = {"pysteps_lucas_kanade": made["lucas_kanade"], "pysteps_sprog": made["sprog"]}
    ways["pysteps_steps_mean"] = made["steps"].mean(axis=1)
    ways["pysteps_steps_median"] = np.sort(made["steps"], axis=1)[:, made["steps"].shape[1] // 2]
    counts, samples = {}, {}
    for name, rate in ways.items():
        frames = scale.to_share(rate).astype(truth.dtype)
        told = {"forecast_of": variable, **rules}
        dims = ("time", "lead", *truth.dims[1:])
        coords = {"time": truth["time"].values[starts], "lead": np.arange(1, rate.shape[1] + 1)}
        product = xr.Dataset({VARIABLE: (dims, frames, told)}, coords)
        counts[name, 0], samples[name] = score_stores(product, None, ds, options, where=name)
    counted = counted_by(options)
    leads = made["steps"].shape[2]
    true = counted.cut(truth.values[starts[:, None] + np.arange(1, leads + 1)])
    members = counted.cut(scale.to_share(made["steps"]).astype(truth.dtype))
    valid = np.isfinite(true) & without_noise(true, float(truth.attrs.get(NOISE_BELOW, 0.0)))
    brier = {}
    for threshold in counted.thresholds:
        limit = truth.dtype.type(scale.to_share(threshold))
        error = ((members >= limit).mean(axis=1) - (true >= limit)) ** 2
        by_lead = np.where(valid, error, 0).sum(axis=(0, 2, 3)) / valid.sum(axis=(0, 2, 3))
        brier[threshold] = float(by_lead.mean())
    return counts, samples, brier


def brier_rows(counts, of_steps, dates):
    """Rows of the table for the Brier scores: of single forecasts it is the share of cells that are wrong."""
    rows = []
    for threshold, value in of_steps.items():
        accuracy = METRICS.get(f"event_accuracy_{threshold:g}")
        found = {"pysteps_steps": [value]}
        for (name, _), part in counts.items():
            pooled = {str(key): values.sum("time").values[None] for key, values in part.data_vars.items()}
            found.setdefault(name, []).append(1 - float(accuracy.from_counts(pooled)[0]))
        rows += [
            {
                "model": name,
                "seed_count": len(values),
                "metric": f"brier_{threshold:g}",
                "value": np.mean(values),
                "n": dates,
                "comparable": "",
                "status": "ok",
            }
            for name, values in sorted(found.items(), key=lambda item: np.mean(item[1]))
        ]
    return pd.DataFrame(rows)


def compare(plan, experiment, members):
    """Return the table of an experiment's competitors and of pysteps."""
    loaded = plan.experiment(experiment)
    training = loaded.training(loaded.spec.names[0])
    manifests = [read_manifest(Path(path), kind="score") for path in plan.run_paths("score", experiment)]
    valid = [m for m in manifests if m.content["status"] == "ok"]
    runs = {(m.content["model"], m.content["seed"]): read_counts(m.file("counts.parquet")) for m in valid}
    samples = {
        f"{m.content['model']} (seed {m.content['seed']})": Sample.from_plain(m.content["sample"]) for m in valid
    }
    test, variable = loaded.spec.split.test, loaded.spec.inputs[0]
    files = [read_manifest(Path(path), kind="dataset") for path in plan.datasets(experiment, "test")]
    ds = open_days(files, test.first, test.last).load()
    starts = np.searchsorted(ds["time"].values, next(iter(runs.values()))["time"].values)
    scale = RainScale.of_attributes(ds[variable].attrs, where=variable)
    past = ds[variable].values[starts[:, None] + np.arange(1 - training.seen, 1)]
    rows = ds[variable].dims[1]
    made = by_pysteps(
        scale.to_rate(np.nan_to_num(past)),
        leads=training.leads,
        members=members,
        kilometres=abs(float(np.diff(ds[rows].values[:2])[0])) / METRES,
        minutes=training.step_minutes,
    )
    rules = {name: getattr(training, name) for name in ("seen", "step_minutes", "missing")}
    counts, theirs, brier = scored(made, ds, variable, starts, loaded.scoring, rules)
    check_same_sample({**samples, **theirs})
    runs |= counts
    board = leaderboard(runs, metrics=loaded.scoring.metrics, options=loaded.scoring.intervals)
    return pd.concat([board.table, brier_rows(runs, brier, len(starts))], ignore_index=True)


def main() -> None:
    """Parse arguments, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--members", type=int, default=20, help="of STEPS")
    parser.add_argument("--config", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    table = compare(load_plan(load_yaml(args.config)), args.experiment, args.members)
    args.output.write_text(leaderboard_csv(table), encoding="utf-8")


if __name__ == "__main__":
    main()
