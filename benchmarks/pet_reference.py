r"""Run pyEddyTracker on maps from a file; for an interpreter of its own, started by ``labelling.py``.

    PYTHON pet_reference.py maps.npz result.npz

``maps.npz`` holds ``ssh`` (map, latitude, longitude; NaN where missing), ``latitude``, ``longitude`` and
``filtered`` (whether to apply the 500 km high-pass of order 3 after the velocities). The result holds one row
per eddy: number of the map, polarity (1 anticyclonic, 2 cyclonic), radii, and the two contours; and the
seconds of each map.

pyEddyTracker 3.6.1 (GPL-3, not part of this project) works with matplotlib < 3.8, zarr < 3 and numpy < 2. One
shim is needed: numba >= 0.57 refuses masked arrays, earlier versions compiled for the plain array inside. The
rule below restores that, so that functions that take data and mask separately work again. An environment::

    python3.11 -m venv V
    V/bin/pip install "numpy<2" "matplotlib<3.8" "zarr<3" "numcodecs<0.16" "scipy<1.15" netCDF4 numba pyyaml \
        requests pint polygon3 opencv-python-headless
    V/bin/pip install --no-deps pyEddyTracker==3.6.1
"""

from __future__ import annotations

import sys
import time
from datetime import datetime

import numpy as np
from numba.core import types
from numba.core.typing.typeof import typeof_impl
from numba.np import numpy_support


@typeof_impl.register(np.ma.MaskedArray)
def _plain_array(value, _context):
    kind = numpy_support.from_dtype(value.dtype)
    return types.Array(kind, value.ndim, numpy_support.map_layout(value), readonly=not value.flags.writeable)


from py_eddy_tracker.dataset.grid import RegularGridDataset  # noqa: E402 - after the shim


def identify(ssh, latitude, longitude, filtered):
    """Anticyclones, cyclones and seconds of one map, at the settings of the command line."""
    axes = ("longitude", "latitude")
    values = np.ma.array(np.ascontiguousarray(np.nan_to_num(ssh.T)), mask=np.isnan(ssh.T))
    data = {"ssh": values, "longitude": longitude, "latitude": latitude}
    about = {"ssh": {"units": "m"}}
    grid = RegularGridDataset.with_array(coordinates=axes, datas=data, variables_description=about, centered=True)
    start = time.perf_counter()
    grid.add_uv("ssh")
    if filtered:
        grid.bessel_high_filter("ssh", 500, order=3)
    found = grid.eddy_identification(
        "ssh",
        "u",
        "v",
        datetime(2000, 1, 1),
        0.002,
        shape_error=55,
        pixel_limit=(5, 2000),
        nb_step_to_be_mle=0,
    )
    return (*found, time.perf_counter() - start)


def main(source, target):
    """Label all maps of a file."""
    with np.load(source) as file:
        ssh, latitude, longitude, filtered = (file[k] for k in ("ssh", "latitude", "longitude", "filtered"))
    identify(ssh[0], latitude, longitude, bool(filtered))  # compile
    columns = ("radius_s", "radius_e", "amplitude", "speed_average")
    rings = ("contour_lon_s", "contour_lat_s", "contour_lon_e", "contour_lat_e")
    rows = {name: [] for name in ("map", "polarity", *columns, *rings)}
    seconds = []
    for number, one in enumerate(ssh):
        *pair, spent = identify(one, latitude, longitude, bool(filtered))
        seconds.append(spent)
        for code, eddies in enumerate(pair, start=1):
            rows["map"].append(np.full(len(eddies), number))
            rows["polarity"].append(np.full(len(eddies), code))
            for name in (*columns, *rings):
                rows[name].append(np.asarray(eddies.obs[name], np.float64))
    np.savez(target, seconds=seconds, **{name: np.concatenate(parts) for name, parts in rows.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
