"""KNMI composites: counts to mm/h, the grid, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.readers.knmi_radar import KnmiRadar
from tests.readers.layouts import MISSING, knmi

COUNTS = np.array([[0, 1, 250], [MISSING, 7, 65534]])


def opened(*files: Path):
    [ds] = KnmiRadar.open(files).values()
    return ds


def test_counts_become_a_rate_and_codes_go_missing(tmp_path: Path) -> None:
    ds = opened(knmi(tmp_path, COUNTS))
    expected = [[[0.0, 0.12, 30.0], [np.nan, 0.84, 655.34 * 12]]]
    np.testing.assert_allclose(ds.rain_rate.values, expected, rtol=1e-12)
    assert ds.rain_rate.attrs["units"] == "mm h-1"
    assert ds.time.values == np.datetime64("2010-08-26T00:15")


def test_the_rate_is_that_of_the_interval_and_of_the_formula(tmp_path: Path) -> None:
    file = knmi(tmp_path, COUNTS, minutes=15, calibration_formulas=np.bytes_("GEO=0.1*PV+0.5"))
    assert opened(file).rain_rate.values[0, 0, 1] == pytest.approx((0.1 + 0.5) * 4)


def test_the_two_codes_may_differ(tmp_path: Path) -> None:
    file = knmi(tmp_path, COUNTS, calibration_out_of_image=np.array([250]))
    np.testing.assert_array_equal(np.isnan(opened(file).rain_rate.values[0]), [[0, 0, 1], [1, 0, 0]])


def test_pixels_lie_where_the_offsets_say(tmp_path: Path) -> None:
    ds = opened(knmi(tmp_path, COUNTS))
    np.testing.assert_allclose(ds.y, [-3650.5, -3651.5])
    np.testing.assert_allclose(ds.x, [0.5, 1.5, 2.5])
    assert ds.y.attrs["units"] == "km"
    assert "+a=6378137 +b=6356752" in ds.y.attrs["proj4"]


def test_files_are_one_dataset_that_is_read_when_needed(tmp_path: Path) -> None:
    files = [knmi(tmp_path, COUNTS + i * (COUNTS < 9), end=f"2010-08-26T00:{15 + 5 * i}") for i in range(3)]
    ds = opened(*files)
    assert ds.rain_rate.chunks[0] == (1, 1, 1)
    files[0].unlink()
    np.testing.assert_allclose(ds.rain_rate[1:, 1, 1], [0.96, 1.08])
    with pytest.raises(DataError, match="image cannot be read"):
        ds.rain_rate[0].load()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"hdftag_version_number": np.bytes_("4.0")}, "is of version '4.0' of the layout, not 3.x"),
        ({"image_geo_parameter": np.bytes_("REFLECTIVITY_[DBZ]")}, "holds 'REFLECTIVITY_[DBZ]'"),
        ({"geo_dim_pixel": np.bytes_("DEG,DEG")}, "not in kilometres"),
        ({"geo_number_rows": np.array([3])}, "its image is (2, 3), its grid (3.0, 3.0)"),
        ({"calibration_formulas": np.bytes_("GEO=PV")}, "unknown formula 'GEO=PV'"),
        ({"calibration_formulas": np.bytes_("GEO=0.01*PV-1.0")}, "negative rain, -1 mm"),
        (
            {"product_datetime_end": np.array([b"26-AUG-2010;00:20:00.000"])},
            "ends at 2010-08-26 00:20, not as its name",
        ),
        ({"product_datetime_start": np.array([b"26-AUG-2010;00:15:00.000"])}, "ends before it starts"),
        ({"product_datetime_end": np.array([b"yesterday"])}, "not a readable KNMI composite"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, changed: dict, told: str) -> None:
    file = knmi(tmp_path, COUNTS, **changed)
    with pytest.raises(DataError) as caught:
        KnmiRadar.check(file, ["rain_rate"])
    assert told in caught.value.line
    assert caught.value.line.startswith(file.name)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = knmi(tmp_path, np.random.default_rng(0).integers(0, 5000, (200, 200)))
    data = whole.read_bytes()
    for content in (data[:3000], data[: len(data) // 2], b"<html>", b""):
        whole.write_bytes(content)
        with pytest.raises(DataError, match="is not a readable KNMI composite"):
            KnmiRadar.check(whole, [])
    with h5py.File(whole, "w") as other:
        other.create_group("what")
    with pytest.raises(DataError, match="is not a readable KNMI composite"):
        KnmiRadar.check(whole, [])


def test_a_flipped_bit_in_the_image_is_noticed(tmp_path: Path) -> None:
    file = knmi(tmp_path, np.random.default_rng(0).integers(0, 5000, (200, 200)))
    with h5py.File(file, "r") as whole:
        place = whole["image1/image_data"].id.get_chunk_info(0)
    data = bytearray(file.read_bytes())
    data[place.byte_offset + place.size // 2] ^= 16
    file.write_bytes(data)
    with pytest.raises(DataError, match="image cannot be read"):
        KnmiRadar.check(file, [])


def test_another_grid_and_another_variable_are_refused(tmp_path: Path) -> None:
    one = knmi(tmp_path, COUNTS)
    moved = knmi(tmp_path, COUNTS, end="2010-08-26T00:20", geo_row_offset=np.array([3649.0]))
    with pytest.raises(DataError, match=f"lies on another grid than {one.name}"):
        KnmiRadar.open([one, moved])
    with pytest.raises(DataError, match="no variable 'rain_rte'; did you mean 'rain_rate'"):
        KnmiRadar.check(one, ["rain_rte"])


REAL = Path(os.environ.get("GYRE_MIRROR", "")) / "radar" / "knmi_20100826"


@pytest.mark.skipif("GYRE_MIRROR" not in os.environ, reason="GYRE_MIRROR does not name a folder with the real files")
def test_the_real_corner_lies_where_the_provider_says() -> None:
    """The lower left corner by the polar stereographic projection of an ellipsoid (Snyder 1987, chapter 21)."""
    ds = opened(*sorted(REAL.glob("*.h5"))[:2])
    a, b, true = 6378.137, 6356.752, np.radians(60.0)
    e = np.sqrt(1 - (b / a) ** 2)

    def t(latitude: float) -> float:
        return np.tan(np.pi / 4 - latitude / 2) / ((1 - e * np.sin(latitude)) / (1 + e * np.sin(latitude))) ** (e / 2)

    scale = a * np.cos(true) / np.sqrt(1 - (e * np.sin(true)) ** 2) / t(true)
    assert -scale * t(np.radians(49.362)) == pytest.approx(ds.y.values.min() - 0.5, abs=0.1)
    with h5py.File(sorted(REAL.glob("*.h5"))[0]) as file:
        counts = file["image1/image_data"][...]
    assert float(ds.rain_rate[0].sum()) == pytest.approx(0.12 * counts[counts < MISSING].sum())
    assert int(ds.rain_rate[0].isnull().sum()) == (counts == MISSING).sum()
