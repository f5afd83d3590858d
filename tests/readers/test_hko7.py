"""HKO-7: pictures and masks out of archives."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.readers.hko7 import Hko7
from tests.readers.layouts import hko7

PIXELS = np.random.default_rng(0).integers(0, 256, (480, 480)).astype("uint8")
MASK = np.random.default_rng(1).random((480, 480)) < 0.7
STAMPS = ("150501235400", "150501000000", "150501000600")


def frames(**changed: Any) -> dict[str, Any]:
    return dict.fromkeys(STAMPS, (PIXELS, MASK)) | changed


def test_pixels_become_dbz_but_for_those_that_the_mask_leaves_out_and_are_no_noise(tmp_path: Path) -> None:
    file = hko7(tmp_path / "a.zip", frames(), stored=zipfile.ZIP_DEFLATED)
    Hko7.check(file, ["reflectivity"])
    [ds] = Hko7.open([file]).values()
    table = np.array([70 * p / 255 - 10 for p in range(256)])
    weak = (PIXELS >= 1) & (PIXELS <= 70)  # noise: the mask leaves it out, the picture has it
    expected = np.where(MASK | weak, table[PIXELS], np.nan)
    for frame in ds.reflectivity:
        np.testing.assert_allclose(frame, expected, rtol=0, atol=1e-12)
    assert [str(t)[:16] for t in ds.time.values] == ["2015-05-01T00:00", "2015-05-01T00:06", "2015-05-01T23:54"]
    assert ds.reflectivity.chunks[0] == (1, 1, 1)


def test_pixels_fill_512_kilometres_around_the_radar(tmp_path: Path) -> None:
    [ds] = Hko7.open([hko7(tmp_path / "a.zip", frames())]).values()
    step = 512 / 480
    np.testing.assert_allclose(np.diff(ds.x), step)
    np.testing.assert_allclose(np.diff(ds.y), -step)
    for axis in (ds.x, ds.y):
        assert float(axis.min()) - step / 2 == pytest.approx(-256)
        assert float(axis.max()) + step / 2 == pytest.approx(256)


def test_pictures_and_masks_may_lie_in_several_archives(tmp_path: Path) -> None:
    whole = hko7(tmp_path / "a.zip", frames())
    parts = {suffix: tmp_path / f"{suffix}.zip" for suffix in ("png", "mask")}
    with zipfile.ZipFile(whole) as archive:
        for suffix, part in parts.items():
            with zipfile.ZipFile(part, "w") as target:
                for name in archive.namelist():
                    if name.endswith(suffix):
                        target.writestr(name, archive.read(name))
    [one], [two] = Hko7.open([whole]).values(), Hko7.open(list(parts.values())).values()
    assert one.identical(two)


def repacked(file: Path, change: Any) -> Path:
    """The archive with each member changed by a function of name and content."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))
    return file


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({}, "holds no frame RAD<yymmddHHMMSS>.png"),
        ({"150501000000": (PIXELS, None)}, "RAD150501000000.png has no mask; pack radarPNG_mask too"),
        ({"150231000000": (PIXELS, MASK)}, "is not called after a time"),
        ({"150501000000": (PIXELS[:100], MASK)}, r"is L of \(480, 100\) pixels"),
        ({"150501000000": (np.stack([PIXELS] * 3, -1), MASK)}, "is RGB of"),
        ({"150501000000": (PIXELS, MASK[:100])}, "is not one 0 or 1 for each of 480 x 480 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, made: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        Hko7.check(hko7(tmp_path / "a.zip", made), [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda name, content: content[:-2000] if name.endswith("png") else content, "cannot be read"),
        (lambda name, content: content[:-20] if name.endswith("mask") else content, "cannot be read"),
        (
            lambda name, content: zlib.compress(b"\x02" * 480 * 480) if name.endswith("mask") else content,
            "not one 0 or 1",
        ),
    ],
)
def test_damaged_members_are_refused(tmp_path: Path, change: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        Hko7.check(repacked(hko7(tmp_path / "a.zip", frames()), change), [])


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    file = hko7(tmp_path / "a.zip", frames())
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(DataError, match="is not a readable archive"):
        Hko7.check(file, [])
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(DataError, match="differs from its checksum"):
        Hko7.check(file, [])
    with pytest.raises(DataError, match="is there twice"):
        Hko7.open([hko7(tmp_path / "b.zip", frames()), hko7(tmp_path / "c.zip", frames())])
