"""Make ``pipeline_lib/report/coastline.npz`` from a public land map.

Input: ``land-10m.json`` of the npm package world-atlas 2.0.2 (``npm pack world-atlas@2.0.2``), which is Natural Earth's
1:10m land, version 4.1.0, as TopoJSON. Natural Earth is in the public domain. Run from the repository's root::

    python tools/make_coastline.py path/to/package/land-10m.json pipeline_lib/report/coastline.npz

The same input gives the same bytes. Rings are simplified with Douglas and Peucker's method, islands smaller than
a map's pixel are left out, and coordinates are rounded to 0.01 degree and stored as differences.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import shapely

INPUT_SHA256 = "9b9f584709c119d63fbadf484ce425260497697b7166be7a2fe360e8c0b171a8"
STEPS_PER_DEGREE = 100
"""Resolution of the stored coordinates: 0.01 degree is 1.1 km."""
TOLERANCE = 0.025
"""Largest distance in degrees between the simplified line and the original: a fifth of a 1/8-degree cell."""
HALF_TURN = 180.0
WORLD = shapely.box(-180.0, -90.0, 180.0, 90.0)
SMALLEST_AREA = 0.015
"""Area in square degrees below which an island or lake is left out: one 1/8-degree cell."""


def arcs_of(topology: dict[str, Any]) -> list[np.ndarray]:
    """Decode the quantised, delta-coded arcs of a TopoJSON topology to degrees."""
    scale = np.asarray(topology["transform"]["scale"])
    origin = np.asarray(topology["transform"]["translate"])
    return [np.cumsum(np.asarray(arc), axis=0) * scale + origin for arc in topology["arcs"]]


def ring(indices: list[int], arcs: list[np.ndarray]) -> np.ndarray:
    """Join arcs to a ring; a negative index means the arc is walked backwards."""
    parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in indices]
    return np.concatenate([parts[0], *(part[1:] for part in parts[1:])])


def unwrapped(line: np.ndarray) -> np.ndarray:
    """Return a ring without jumps at the date line; one that runs around the pole is closed along 90 S."""
    longitude = np.unwrap(line[:, 0], period=360.0)
    out = np.column_stack([longitude, line[:, 1]])
    if abs(longitude[-1] - longitude[0]) < HALF_TURN:
        return out
    return np.vstack([out, [longitude[-1], -90.0], [longitude[0], -90.0], out[:1]])


def polygons(topology: dict[str, Any]) -> list[shapely.Polygon]:
    """Return all land polygons, lakes as holes, cut at the date line."""
    arcs = arcs_of(topology)
    found: list[shapely.Polygon] = []
    for geometry in topology["objects"]["land"]["geometries"]:
        members = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
        for rings in members:
            shell, *holes = (unwrapped(ring(indices, arcs)) for indices in rings)
            whole = shapely.make_valid(shapely.Polygon(shell, holes))
            for turn in (-360.0, 0.0, 360.0):
                shifted = shapely.transform(whole, lambda xy, turn=turn: xy + np.array([turn, 0.0]))
                found += flat(shapely.intersection(shifted, WORLD))
    return found


def flat(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    """Return the polygons in a geometry of any kind."""
    if geometry.geom_type == "Polygon":
        return [geometry] if not geometry.is_empty else []
    return [p for part in getattr(geometry, "geoms", []) for p in flat(part)]


def simplified(polygon: shapely.Polygon) -> list[np.ndarray]:
    """Return the simplified rings of a polygon in stored steps; shells run anticlockwise, holes clockwise."""
    rings = []
    for part in flat(shapely.simplify(polygon, TOLERANCE, preserve_topology=True)):
        if part.area < SMALLEST_AREA:
            continue
        oriented = shapely.orient_polygons(part)
        keep = [oriented.exterior, *(h for h in oriented.interiors if shapely.Polygon(h).area >= SMALLEST_AREA)]
        rings += [np.rint(np.asarray(line.coords) * STEPS_PER_DEGREE).astype("int16") for line in keep]
    return rings


def main() -> None:
    """Read the TopoJSON file, write the array file, say how large it became."""
    parser = argparse.ArgumentParser(description="Make the coastline that figures are drawn with.")
    parser.add_argument("source", type=Path, help="land-10m.json of world-atlas 2.0.2")
    parser.add_argument("target", type=Path, help="npz file to write")
    args = parser.parse_args()
    data = args.source.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != INPUT_SHA256:
        sys.exit(f"{args.source}: SHA-256 is {digest}, not {INPUT_SHA256}; take land-10m.json of world-atlas 2.0.2")
    rings = [r for polygon in polygons(json.loads(data)) for r in simplified(polygon)]
    steps = np.concatenate([np.diff(r, axis=0, prepend=np.zeros((1, 2), "int16")) for r in rings])
    lengths = np.array([len(r) for r in rings], dtype="int32")
    np.savez_compressed(args.target, lengths=lengths, longitude=steps[:, 0], latitude=steps[:, 1])
    sys.stdout.write(f"{args.target}: {len(rings)} rings, {len(steps)} points, {args.target.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
