"""What forecasts at a site may see and start from: against plain loops, with gaps and with late predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.learning.site_forecaster import SiteForecaster
from pipeline_lib.models.sites import Fields, Site
from pipeline_lib.tasks.site_forecast.columns import Columns, available, nearest_point, site_of, starts_of
from pipeline_lib.tasks.site_forecast.options import TrainingOptions
from pipeline_lib.tasks.site_forecast.windows import SiteWindows, read_windows
from tests.tasks.site_forecast.stored import stored_request

TIMES, STATIONS, SIDE = 14, 3, 4
START = np.datetime64("2016-05-01T00:00", "ns")
HALF_HOUR = np.timedelta64(30, "m")
INPUTS = ["ff", "pressure", "cloud", "nwp_u", "nwp_v"]
MEANS = dict.fromkeys(INPUTS, 0.5)
SCALES = dict.fromkeys(INPUTS, (0.5, 2.0))
OPTIONS = {"station": 1, "nwp": ("nwp_u", "nwp_v"), "speed": True, "seen": 3, "leads": 2, "step_minutes": 30}
OPTIONS["nwp_delay_hours"] = 0
SUM = {"accumulated": True, "leads": 1, "accumulated_hours": 1}


def dataset() -> xr.Dataset:
    """Each value tells what it is: 1000 times the number of its variable, and where it stands."""
    shapes = {
        "ff": (TIMES, STATIONS),
        "pressure": (TIMES,),
        "cloud": (TIMES, 2, SIDE, SIDE),
        "nwp_u": (TIMES, SIDE, SIDE),
        "nwp_v": (TIMES, SIDE, SIDE),
    }
    dims = {"ff": ("time", "station"), "pressure": ("time",), "cloud": ("time", "level", "row", "column")}
    values = {
        name: (dims.get(name, ("time", "row", "column")), 1000.0 * number + np.arange(np.prod(shape)).reshape(shape))
        for number, (name, shape) in enumerate(shapes.items())
    }
    coords = {
        "time": START + np.arange(TIMES) * HALF_HOUR,
        "station_row": ("station", [0.2, 2.6, 1.0]),
        "station_column": ("station", [0.0, 1.4, 3.0]),
    }
    return xr.Dataset(values, coords)


class Nothing(SiteForecaster):
    """A forecaster that only takes inputs apart."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def windows(ds: xr.Dataset, **options: object) -> SiteWindows:
    training = TrainingOptions(**{**OPTIONS, **options})
    columns = Columns.of(ds, INPUTS, training, MEANS)
    site = site_of(ds, INPUTS, training, SCALES)
    return SiteWindows(columns, starts_of(columns, training, whole_future=True), site)


def test_what_is_packed_is_unpacked_and_nothing_of_the_future_but_the_prediction():
    ds = dataset()
    made = windows(ds)
    assert made.starts.tolist() == list(range(2, TIMES - 2))
    batch = made.cut(np.arange(made.windows))
    assert batch.inputs.shape == (made.windows, made.site.values)
    seen = Nothing(made.site).unpack(batch.inputs)
    for number, start in enumerate(made.starts):
        past, known = slice(start - 2, start + 1), slice(start - 2, start + 3)
        expected = np.stack(
            [ds.ff[past, 1], ds.pressure[past], ds.ff[past, 0], ds.ff[past, 2]], axis=1
        )  # the site's own series first
        np.testing.assert_array_equal(seen.series[number], expected)
        np.testing.assert_array_equal(seen.fields[number], ds.cloud[past])
        np.testing.assert_array_equal(seen.ahead[number, :, 0], ds.nwp_u[known])
        np.testing.assert_array_equal(seen.ahead[number, :, 1], ds.nwp_v[known])
        np.testing.assert_array_equal(batch.target[number, :, 0], ds.ff[start + 1 : start + 3, 1])
        turn = 2 * np.pi * start / 48
        np.testing.assert_allclose(seen.hour[number], [np.sin(turn), np.cos(turn)], atol=1e-6)
        u, v = (ds[name].values[known, 3, 1] for name in ("nwp_u", "nwp_v"))
        np.testing.assert_allclose(
            Nothing(made.site).nearest(Nothing(made.site).unpack(batch.inputs))[number, :, 0], np.hypot(u, v), rtol=1e-6
        )
    few = windows(ds, neighbours=(2,))
    assert Nothing(few.site).unpack(few.cut(np.arange(1)).inputs).series.shape == (1, 3, 3)


def test_stations_with_numbers_are_found_by_them_wherever_they_stand():
    ds = dataset().assign_coords(station=[301, 12, 75])
    turned = ds.isel(station=[2, 0, 1])
    for neighbours in (None, (75, 301)):
        first = windows(ds, station=12, neighbours=neighbours)
        assert first.columns.neighbours == (neighbours or (301, 75))
        again = windows(turned, station=12, neighbours=first.columns.neighbours)
        torch.testing.assert_close(again.seen_at(again.starts), first.seen_at(first.starts), rtol=0, atol=0)
        np.testing.assert_array_equal(again.truth_at(again.starts), first.truth_at(first.starts))
        assert again.site == first.site
    named = windows(ds.assign_coords(station=["b", "a", "c"]), station=1)
    torch.testing.assert_close(named.seen_at(named.starts), windows(dataset(), station=1).seen_at(named.starts))
    with pytest.raises(ConfigError, match=r"training.station: is 1, the 3 stations are 301, 12, 75"):
        windows(ds, station=1)
    with pytest.raises(DataError, match=r"station: 12 is the number of several stations"):
        windows(ds.assign_coords(station=[12, 12, 75]), station=12)


def test_nothing_after_the_start_but_the_prediction_changes_what_is_seen():
    ds, rng = dataset(), np.random.default_rng(0)
    made = windows(ds)
    before = made.seen_at(made.starts[:1])
    for name in ("ff", "pressure", "cloud"):
        ds[name].values[3:] = rng.random(ds[name].values[3:].shape)
    for name in ("nwp_u", "nwp_v"):
        ds[name].values[5:] = rng.random(ds[name].values[5:].shape)
    torch.testing.assert_close(windows(ds).seen_at(made.starts[:1]), before, rtol=0, atol=0)


gaps = st.lists(
    st.sampled_from(["", "", "", "", "ff", "neighbour", "cloud", "nwp", "time"]), min_size=4, max_size=TIMES
)


@given(gaps, st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_starts_are_those_that_a_loop_finds(lacking, seen, leads, whole_future):
    ds = dataset().isel(time=slice(len(lacking)))
    for i, what in enumerate(lacking):
        if what == "ff":
            ds.ff.values[i, 1] = np.nan
        if what == "neighbour":
            ds.ff.values[i, 2] = np.nan
        if what == "cloud":
            ds.cloud.values[i, 1, 0, 3] = np.nan
        if what == "nwp":
            ds.nwp_v.values[i, 3, 3] = np.nan
    there = [i for i, what in enumerate(lacking) if what != "time"]
    training = TrainingOptions(**{**OPTIONS, "seen": seen, "leads": leads})
    expected = []
    for start in there:
        past, future = range(start - seen + 1, start + 1), range(start + 1, start + 1 + leads)
        if all(i in there and not lacking[i] for i in past) and all(i in there and lacking[i] != "nwp" for i in future):
            expected.append(there.index(start))
    cut = ds.isel(time=there)
    if len(there) < 2 or not (np.diff(there) == 1).any():
        return
    columns = Columns.of(cut, INPUTS, training, MEANS)
    assert starts_of(columns, training, whole_future=whole_future).tolist() == expected


def test_a_field_may_lack_as_much_as_is_asked_for_and_is_seen_as_its_mean_there():
    ds = dataset()
    ds.cloud.values[6, 0, 0, :2] = np.nan
    assert 6 not in windows(ds).starts
    made = windows(ds, missing=0.1)
    assert 6 in made.starts
    seen = Nothing(made.site).unpack(made.seen_at(np.array([6])))
    assert seen.fields[0, -1, 0, 0, :2].tolist() == [0.5, 0.5]


def test_what_may_be_missing_is_a_share_of_each_field_and_never_the_nearest_point_of_what_foretells():
    ds = dataset().assign(nwp_p=dataset().nwp_u, nwp_t=dataset().nwp_u)
    inputs = [*INPUTS, "nwp_p", "nwp_t"]
    training = TrainingOptions(**{**OPTIONS, "nwp": tuple(inputs[3:]), "missing": 0.3})

    def starts() -> list[int]:
        columns = Columns.of(ds, inputs, training, dict.fromkeys(inputs, 0.5))
        return starts_of(columns, training, whole_future=True).tolist()

    everywhere = list(range(2, TIMES - 2))
    assert starts() == everywhere
    ds.nwp_p.values[8, 3, 1] = np.nan  # the nearest point, of a field that foretells nothing
    ds.nwp_v.values[9, 0, :] = np.nan  # a fourth of a field, elsewhere
    assert starts() == everywhere
    ds.nwp_v.values[9, 3, 1] = np.nan
    assert starts() == [start for start in everywhere if not start - 2 <= 9 <= start + 2]
    ds.nwp_v.values[9] = 1.0
    ds.nwp_t.values[4] = np.nan  # a whole field: a fourth of all values
    assert starts() == [start for start in everywhere if not start - 2 <= 4 <= start + 2]


@pytest.mark.parametrize("inputs", [INPUTS, INPUTS[:2]])
def test_a_period_without_any_time_has_no_starts(inputs):
    ds = dataset().isel(time=slice(0))
    training = TrainingOptions(**OPTIONS) if len(inputs) > 2 else TrainingOptions(station=1)
    columns = Columns.of(ds, inputs, training, MEANS)
    assert columns.fields.shape[0] == columns.ahead.shape[0] == 0
    assert starts_of(columns, training, whole_future=False).size == 0
    assert site_of(ds, inputs, training, SCALES) == site_of(dataset(), inputs, training, SCALES)


@pytest.mark.parametrize(
    ("inputs", "options", "told"),
    [
        (["pressure"], {"station": 1}, "training.station: is 1, and no series is of several stations; leave it out"),
        (["pressure"], {"neighbours": (0, 2)}, "training.neighbours: are 0, 2, and no series that is seen"),
        (["ff", "cloud"], {**SUM, "station": 1, "neighbours": (0,)}, "training.neighbours: are 0, and no series"),
        (["ff", "pressure"], {"station": 1, "neighbours": (0,)}, ""),
        (["pressure"], {"neighbours": ()}, ""),
        # The station says which grid point is the nearest.
        (["pressure", "nwp_u"], {"station": 1, "nwp": ("nwp_u",), "nwp_delay_hours": 0}, ""),
    ],
)
def test_options_of_stations_are_refused_where_they_would_change_nothing(inputs, options, told, tmp_path):
    training = TrainingOptions(**{"seen": 3, "leads": 2, "step_minutes": 30, **options})
    request = stored_request(tmp_path, dataset(), inputs)
    if told:
        with pytest.raises(ConfigError, match=told):
            read_windows(request, training, "train")
    else:
        assert read_windows(request, training, "train").windows


@given(
    st.integers(0, 47), st.integers(1, 12), st.sampled_from([3.0, 6.0, 12.0, 24.0]), st.sampled_from([0, 1.5, 4, 7, 25])
)
def test_a_prediction_is_seen_only_once_it_is_there(half_hour, leads, run_hours, delay):
    training = TrainingOptions(**{**OPTIONS, "leads": leads, "nwp_run_hours": run_hours, "nwp_delay_hours": delay})
    start = START + np.timedelta64(1, "D") + half_hour * HALF_HOUR
    runs = [START + np.timedelta64(round(60 * run_hours * n), "m") for n in range(round(96 / run_hours))]
    late = np.timedelta64(round(60 * delay), "m")
    ok = True
    for step in range(1, leads + 1):
        last = max(run for run in runs if run <= start + step * HALF_HOUR)
        ok &= bool(last + late <= start)
    rounded = start + np.array([0, -400, 400]) * np.timedelta64(1, "ms")  # as files may have them
    assert available(rounded, training).tolist() == [ok] * 3


def test_a_sum_that_follows_is_not_seen_and_belongs_to_the_start():
    ds = dataset().rename(pressure="rain")
    inputs = ["rain", "cloud"]
    training = TrainingOptions(accumulated=True, leads=1, seen=2, step_minutes=30)
    columns = Columns.of(ds, inputs, training, MEANS)
    made = SiteWindows(
        columns,
        starts_of(columns, training, whole_future=True),
        site_of(ds, inputs, training, dict.fromkeys(inputs, (0.0, 1.0))),
    )
    assert made.starts.tolist() == list(range(1, TIMES))
    batch = made.cut(np.array([0]))
    assert batch.target.tolist() == [[[float(ds.rain[1])]]]
    assert made.site.series == ()
    assert not np.isin(batch.inputs.numpy(), ds.rain.values.astype(np.float32)).any()
    ds.rain.values[3:6] = np.nan
    told = Columns.of(ds, inputs, training, MEANS)
    assert starts_of(told, training, whole_future=True).tolist() == [1, 2, *range(6, TIMES)]
    assert starts_of(told, training, whole_future=False).tolist() == list(range(1, TIMES))


def test_the_nearest_point_by_grid_points_or_by_degrees():
    ds = dataset()
    assert nearest_point(ds, "nwp_u", 1) == (3, 1)
    north, east = 42 + np.arange(SIDE) * 0.025, 6 + np.arange(SIDE) * 0.025
    real = ds.drop_vars(["station_row", "station_column"]).rename(row="latitude", column="longitude")
    real = real.assign_coords(
        latitude=north,
        longitude=east,
        station_latitude=("station", [42.01, 42.06, 43.0]),
        station_longitude=("station", [6.0, 6.04, 6.0]),
    )
    assert nearest_point(real, "nwp_u", 1) == (2, 2)
    with pytest.raises(DataError, match="does not reach station 2"):
        nearest_point(real, "nwp_u", 2)
    with pytest.raises(DataError, match="does not say where the station is"):
        nearest_point(ds.drop_vars("station_row"), "nwp_u", 1)


def test_the_only_place_of_a_station_may_be_a_single_number():
    ds, axes = dataset()[["nwp_u"]], np.arange(SIDE) + 4.0
    assert nearest_point(ds.assign_coords(station_row=2.2, station_column=0.0), "nwp_u", None) == (2, 0)
    real = ds.rename(row="latitude", column="longitude").assign_coords(latitude=axes + 39, longitude=axes)
    real = real.assign_coords(station_latitude=44.2, station_longitude=5.9)
    assert nearest_point(real, "nwp_u", None) == (1, 2)
    with pytest.raises(DataError, match="nwp_u: does not say where the station is on its grid"):
        nearest_point(real.rename(latitude="y", longitude="x"), "nwp_u", None)


def test_of_several_places_one_is_chosen():
    with pytest.raises(ConfigError, match=r"training.station: is None, the 3 stations are 0, 1, 2"):
        nearest_point(dataset(), "nwp_u", None)


def test_models_are_told_in_which_cell_of_the_fields_the_site_is():
    def cell(ds: xr.Dataset, station: int | None, inputs: tuple[str, ...] = ("pressure", "cloud")) -> object:
        return site_of(ds, inputs, TrainingOptions(station=station), SCALES).cell

    ds, nowhere = dataset(), dataset().drop_vars(["station_row", "station_column"])
    assert [cell(ds, station) for station in range(STATIONS)] == [(0, 0), (3, 1), (1, 3)]
    assert cell(nowhere, None) == cell(ds, 1, ("ff",)) == "middle"
    assert cell(ds, None) == cell(nowhere, 1) == "unknown"
    assert cell(ds.assign_coords(station_row=("station", [9.0, 0.0, 0.0])), 0) == "unknown"
    sites = [Site(seen=1, leads=1, targets=(), fields=Fields(rows=7, columns=4), cell=c) for c in ("middle", (1, 2))]
    assert [site.centre for site in sites] == [(3, 2), (1, 2)]
    assert [Site.model_validate(site.model_dump(mode="json")) for site in sites] == sites


@pytest.mark.parametrize(
    ("units", "options", "told"),
    [
        ({}, {}, ""),
        ({"nwp_u": "m/s"}, {}, ""),
        ({"nwp_v": "Pa"}, {}, "nwp_v: is in 'Pa', and ff in 'm s-1'"),
        ({"nwp_v": "Pa"}, {"speed": False}, ""),
        ({"nwp_u": "Pa"}, {"speed": False}, "nwp_u: is in 'Pa', and ff in 'm s-1'"),
        ({"nwp_v": "Pa"}, {"speed": False, "targets": 2}, "nwp_v: is in 'Pa', and ff in 'm s-1'"),
        ({"pressure": "Pa"}, {"speed": False, "targets": 2}, "pressure: is in 'Pa', and ff in 'm s-1'"),
        ({"nwp_u": "cm s-1"}, {}, "nwp_u: is in 'cm s-1', and ff in 'm s-1'"),
    ],
)
def test_what_is_compared_has_one_unit(units, options, told):
    ds = dataset()
    for name in INPUTS:
        ds[name].attrs["units"] = units.get(name, "m s-1")
    if not told:
        assert windows(ds, **options).windows
        return
    with pytest.raises(DataError, match=told):
        windows(ds, **options)


def test_what_foretells_has_one_level():
    inputs = ["ff", "cloud", "nwp_v"]
    for nwp in (("cloud", "nwp_v"), ("nwp_v", "cloud")):
        training = TrainingOptions(**{**OPTIONS, "nwp": nwp})
        with pytest.raises(DataError, match=r"cloud: has several levels \(time, level, row, column\): which of them"):
            Columns.of(dataset(), inputs, training, MEANS)
    third = TrainingOptions(**{**OPTIONS, "nwp": ("nwp_u", "nwp_v", "cloud")})
    assert Columns.of(dataset(), [*inputs, "nwp_u"], third, MEANS).ahead.shape[1] == 4


@given(
    st.integers(0, 47),
    st.integers(1, 60),
    st.integers(1, 3),
    st.lists(st.integers(0, 191), max_size=4),
    st.sampled_from([0, 4, 11.5]),
)
def test_a_stride_counts_from_the_first_possible_start_of_each_row(begin, stride, seen, gaps, delay):
    """Against a walk along the times; of a prediction that comes late whole parts of each day are without starts."""
    there = np.setdiff1d(np.arange(192), gaps)
    times = START + (begin + there) * HALF_HOUR
    ds = xr.Dataset({"ff": ("time", np.ones(len(there))), "nwp": (("time", "y", "x"), np.ones((len(there), 1, 1)))})
    ds = ds.assign_coords(time=times, station_row=0.0, station_column=0.0)
    rules = {"nwp": ("nwp",), "nwp_delay_hours": delay, "seen": seen, "leads": 12, "step_minutes": 30}
    training = TrainingOptions(**rules)
    columns = Columns.of(ds, ["ff", "nwp"], training, MEANS)
    possible = set(starts_of(columns, training, whole_future=False).tolist())
    expected, first = [], None
    for place in range(len(times)):
        if place and times[place] - times[place - 1] != HALF_HOUR:
            first = None
        if place in possible:
            first = place if first is None else first
            if (place - first) % stride == 0:
                expected.append(place)
    assert starts_of(columns, training, whole_future=False, stride=stride).tolist() == expected
    assert bool(expected) == bool(possible)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"station": None}, "training.station: is None, the 3 stations are 0, 1, 2"),
        ({"station": 3}, "training.station: is 3, the 3 stations are 0, 1, 2"),
        ({"neighbours": (1,)}, "training.neighbours: 1 is no other station"),
        ({"nwp": ("nwp_u", "wind")}, "'wind' is not among the inputs"),
        ({"targets": 2, "speed": False, "seen": 1}, "step"),
    ],
)
def test_what_does_not_go_together_is_told(options, told):
    if options.get("targets"):
        ds = dataset().drop_vars("pressure").rename(cloud="pressure")
        rules = TrainingOptions(**{**OPTIONS, **options, "nwp": (), "nwp_delay_hours": None})
        with pytest.raises(ConfigError, match="pressure is forecast and is no series"):
            Columns.of(ds, ["ff", "pressure", "nwp_u"], rules, MEANS)
        return
    with pytest.raises(ConfigError, match=told):
        windows(dataset(), **options)


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="an accumulated value is one"):
        TrainingOptions(accumulated=True, leads=2)
    with pytest.raises(ValueError, match="accumulated_hours is of a sum"):
        TrainingOptions(accumulated_hours=1)
    with pytest.raises(ValueError, match="targets: 1"):
        TrainingOptions(accumulated=True, leads=1, targets=2)
    with pytest.raises(ValueError, match="the length of a vector"):
        TrainingOptions(speed=True, nwp=("u",))
    with pytest.raises(ValueError, match="nwp names fewer fields than there are targets"):
        TrainingOptions(targets=2, nwp=("u",), nwp_delay_hours=0)
