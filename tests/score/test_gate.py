"""The fairness gate: each way to be unfair is refused, naming competitor and place."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import ScoreError
from pipeline_lib.score.gate import InvalidRunError, Sample, check_aligned, check_complete, check_same_sample
from tests.eddy_maps import label_maps, sea_of

LABELS = label_maps(6)
SEA = sea_of(LABELS)
SAMPLE = Sample.of(LABELS, SEA, method={"patches": 50})


def changed(field: xr.DataArray, time: int, row: int, column: int, value: int) -> xr.DataArray:
    values = field.values.copy()
    values[time, row, column] = value
    return field.copy(data=values)


def test_equal_samples_pass_and_survive_json() -> None:
    again = Sample.from_plain(json.loads(json.dumps(SAMPLE.to_plain())))
    assert again == SAMPLE
    check_same_sample({"eddynet": SAMPLE, "unet": again})


def test_a_sample_made_in_parts_is_the_sample_made_at_once() -> None:
    parts = [Sample.of(LABELS[i : i + 2], SEA[i : i + 2], method={"patches": 50}) for i in (0, 2, 4)]
    assert Sample.joined(parts) == SAMPLE


def refuse(other: Sample, message: str) -> None:
    with pytest.raises(ScoreError, match=message):
        check_same_sample({"eddynet": SAMPLE, "unet": other})


def test_a_missing_date() -> None:
    keep = [0, 1, 3, 4, 5]
    lacking = Sample.of(LABELS[keep], SEA[keep], method={"patches": 50})
    refuse(lacking, "unet: has no score on 2005-06-03, where others have one")
    with pytest.raises(ScoreError, match="unet: has no score on 2005-06-03"):  # whoever comes first
        check_same_sample({"unet": lacking, "eddynet": SAMPLE})


def test_another_cell() -> None:
    longitude = list(SAMPLE.axes["longitude"])
    longitude[2] += 0.01
    refuse(moved(longitude=tuple(longitude)), r"unet: longitude number 2 is -5\.74, in eddynet it is -5\.75")
    refuse(moved(latitude=SAMPLE.axes["latitude"][:-1]), "unet: has 19 latitudes, eddynet has 20")
    refuse(replace(SAMPLE, axes={"component": (0.0,)}), r"unet: has axes \['component'\], eddynet has")


def moved(**axes: tuple[float, ...]) -> Sample:
    return replace(SAMPLE, axes={**SAMPLE.axes, **axes})


def test_single_precision_coordinates_are_the_same_cells() -> None:
    rounded = tuple(float(np.float32(x + 1e-9)) for x in SAMPLE.axes["longitude"])
    check_same_sample({"eddynet": SAMPLE, "unet": moved(longitude=rounded)})


def test_another_mask() -> None:
    other = Sample.of(LABELS, changed(SEA, 2, 5, 7, False), method={"patches": 50})
    refuse(other, r"unet: was scored with another mask than eddynet on 2005-06-03 \(519 cells against 520\)")


def test_other_labels() -> None:
    value = (int(LABELS.values[4, 9, 9]) + 1) % 3
    refuse(Sample.of(changed(LABELS, 4, 9, 9, value), SEA, method={"patches": 50}), "unet: .*other labels.*2005-06-05")


def test_labels_on_land_do_not_matter() -> None:
    check_same_sample({"a": SAMPLE, "b": Sample.of(changed(LABELS, 4, 9, 1, 2), SEA, method={"patches": 50})})


def test_other_options_and_units() -> None:
    refuse(replace(SAMPLE, method={"patches": 10}), "unet: was scored with other scoring options than eddynet")
    refuse(replace(SAMPLE, units={"eddy_class": "m"}), "unet: was scored with other variables or units than eddynet")


def test_aligned_fields_pass() -> None:
    check_aligned(LABELS, LABELS, where="unet")
    check_aligned(SEA, LABELS, where="unet")


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (LABELS.transpose("time", "longitude", "latitude"), "unet: has dimensions"),
        (LABELS[[0, 1, 3, 4, 5]], "unet: lacks 2005-06-03"),
        (LABELS[[1, 0, 2, 3, 4, 5]], "unet: dates are not in order"),
        (LABELS[:, ::-1], "unet: latitude number 0 is 32.375, in the labels it is 30"),
        (LABELS[:, :, :-1], "unet: has 29 longitudes, the labels have 30"),
        (LABELS.assign_attrs(units="m"), "unet: is in 'm', the labels are in '1'"),
    ],
)
def test_a_field_that_does_not_fit_the_labels(field: xr.DataArray, message: str) -> None:
    with pytest.raises(ScoreError, match=message):
        check_aligned(field, LABELS, where="unet")


def test_a_date_too_many() -> None:
    with pytest.raises(ScoreError, match="unet: holds, unlike the labels, 2005-06-06"):
        check_aligned(LABELS, LABELS[:5], where="unet")


def test_missing_values_inside_the_mask_make_a_run_invalid() -> None:
    valid = np.ones(LABELS.shape, dtype=bool)
    valid[:, :, :4] = False  # land may be missing
    check_complete(valid, SEA, where="unet")
    valid[3, 7, 11] = valid[5, 0, 9] = False
    with pytest.raises(InvalidRunError, match=r"unet: 2 of 3120 values .* first on 2005-06-04 at 30\.875N -4\.625E"):
        check_complete(valid, SEA, where="unet")
