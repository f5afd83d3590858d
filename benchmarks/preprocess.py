"""Preprocessing against plain xarray: time and peak memory on archives of growing size.

    python benchmarks/preprocess.py --months 12 48 192

For each size, a generated archive of monthly netCDF files (daily maps, 360 x 720 cells, packed and compressed as
providers do) is brought into Zarr twice: by the preprocess stage, two months at a time as the workflow does on two
cores, which checks units, coordinates, ranges and completeness and writes one hashed store per month; and by
``xarray.open_mfdataset(files).chunk(time=16).to_zarr(store)`` with its threads, which does nothing of that. Memory is
the peak of the largest process; processor time is that of all.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import xarray as xr

from pipeline_lib.data.periods import bounds, period_of
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.io.manifest import Artefact
from pipeline_lib.preparations.as_is import AsIs
from pipeline_lib.preprocess.stage import Delivery, preprocess_period

ROWS, COLUMNS = 360, 720


def generate(folder: Path, months: int) -> list[str]:
    """Write the archive, each month as a fetched part with its manifest; return the periods."""
    rng = np.random.default_rng(0)
    base = rng.normal(0, 0.1, (31, ROWS, COLUMNS)).astype("float32")
    periods, day = [], date(1993, 1, 1)
    for _ in range(months):
        period = period_of(day)
        first, last = bounds(period)
        days = (last - first).days + 1
        ds = xr.Dataset(
            {"adt": (("time", "latitude", "longitude"), base[:days], {"units": "m"})},
            coords={
                "time": np.datetime64(first, "ns") + np.arange(days) * np.timedelta64(1, "D"),
                "latitude": ("latitude", -89.75 + np.arange(ROWS) / 2, {"units": "degrees_north"}),
                "longitude": ("longitude", -179.75 + np.arange(COLUMNS) / 2, {"units": "degrees_east"}),
            },
        )
        packed = {"dtype": "int16", "scale_factor": 1e-4, "_FillValue": -32768, "zlib": True, "complevel": 1}
        packed["chunksizes"] = (1, ROWS, COLUMNS)
        with Artefact(folder / f"{period}.json", kind="raw", code="benchmark") as out:
            ds.to_netcdf(out.payload(f"{period}.nc"), engine="h5netcdf", encoding={"adt": packed})
        periods.append(period)
        day = last + timedelta(days=1)
    return periods


def month(manifest: Path, target: Path) -> None:
    """Run the preprocess stage for one month."""
    preprocess_period(
        raw=manifest,
        output=target / manifest.name,
        period=manifest.stem,
        delivery=Delivery(
            variables={"adt": VariableSpec(name="adt", units="m", valid_min=-5, valid_max=5)},
            coverage=(date(1993, 1, 1), None),
            step_hours=24,
        ),
        preparation="as_is",
        preparation_options=AsIs.Options(variables=("adt",)),
        code="benchmark",
        threads=1,
    )


def ours(raw: Path, target: Path) -> None:
    """Run the stage for all months, two at a time, as the workflow does on two cores."""
    manifests = sorted(raw.glob("*.json"))
    with ProcessPoolExecutor(max_workers=2) as pool:
        list(pool.map(month, manifests, [target] * len(manifests)))


def plain(raw: Path, target: Path) -> None:
    """Do what one would do without the stage."""
    ds = xr.open_mfdataset(sorted(raw.glob("*.nc")), engine="h5netcdf").chunk({"time": 16})
    for variable in ds.variables.values():
        variable.encoding.clear()  # the file's chunks and packing do not fit the new ones
    ds.to_zarr(target / "all.zarr", consolidated=False)


def measured(way: str, raw: Path, target: Path) -> dict[str, float]:
    """Run one way in a process of its own; return seconds, processor seconds, peak memory and bytes written in MB."""
    command = [sys.executable, __file__, "--way", way, "--raw", str(raw), "--target", str(target)]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    written = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    return {"seconds": seconds, "written_mb": written / 1e6, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Parse arguments; run one way, or compare both on all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, nargs="+", default=[12, 48])
    parser.add_argument("--way", choices=("ours", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        import resource

        {"ours": ours, "plain": plain}[args.way](args.raw, args.target)
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        peak = max(usage.ru_maxrss for usage in used) / 1024
        print(json.dumps({"peak_mb": peak, "cpu": sum(usage.ru_utime + usage.ru_stime for usage in used)}))
        return
    print("| months | GB | time ours / plain | processor time | bytes written | peak MB ours | plain |")
    print("|---|---|---|---|---|---|---|")
    for months in args.months:
        folder = Path(tempfile.mkdtemp(prefix="gyre-benchmark-"))
        try:
            generate(folder / "raw", months)
            results = {}
            for way in ("plain", "ours"):
                (folder / way).mkdir()
                results[way] = measured(way, folder / "raw", folder / way)
                shutil.rmtree(folder / way)
            size = months * 30.4 * ROWS * COLUMNS * 4 / 1e9
            one, other = results["ours"], results["plain"]
            ratios = [f"{one[key] / other[key]:.2f}" for key in ("seconds", "cpu", "written_mb")]
            print(f"| {months} | {size:.1f} | {' | '.join(ratios)} | {one['peak_mb']:.0f} | {other['peak_mb']:.0f} |")
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
