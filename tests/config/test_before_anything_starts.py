"""Mistakes that an experiment and its catalog entry show are told by the plan, in one line, at their place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pipeline_lib.errors import ConfigError
from pipeline_lib.plan import load_plan
from tests.config.test_source_check import CONFIG, plan_of


def told(folder: Path, name: str, changes: str) -> list[str]:
    """Lines that a shipped experiment is refused with when some of it is changed."""
    shipped = yaml.safe_load((CONFIG / "experiments" / f"{name}.yaml").read_text())
    for base in {shipped.get("extends", name), name}:
        text = (CONFIG / "experiments" / f"{base}.yaml").read_text()
        (folder / f"{base if base != name else 'shipped'}.yaml").write_text(text)
    own = shipped if "extends" in shipped else {"extends": "shipped"}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(_merged(own, yaml.safe_load(changes))))
    with pytest.raises(ConfigError) as refused:
        plan_of(name, folder)
    return refused.value.lines


def _merged(base: dict, over: dict) -> dict:
    both = {key: _merged(base[key], over[key]) for key in over if isinstance(base.get(key), dict)}
    return {**base, **over, **both}


@pytest.mark.parametrize(
    ("name", "changes", "place"),
    [
        ("wind-vector", "training: {nwp: [nwp_u, nwp_u]}", "training.nwp: 'nwp_u'"),
        ("wind-vector", "training: {neighbours: [1, 1]}", "training.neighbours: 1"),
        ("lorenz63-forecast", "inputs: [state, state]", "inputs: 'state'"),
        ("eddies-mediterranean", "published: [eddynet, eddynet]", "published: 'eddynet'"),
        ("lorenz63-forecast", "operations: {start: 2001-01-01, models: [linear, linear]}", "models: 'linear'"),
    ],
)
def test_what_is_listed_twice_is_told(tmp_path, name, changes, place):
    lines = told(tmp_path, name, changes)
    assert any(f"{place} is listed twice" in line for line in lines), lines


@pytest.mark.parametrize(
    ("name", "changes", "needed"),
    [
        ("lorenz63-forecast", "training: {forecast_steps: 1000000000}", "1e+07 are needed"),
        ("lorenz63-forecast", "split: {gap_days: 1.0e+300}", "1e+300 are needed"),
        ("lorenz63-forecast", f"training: {{forecast_steps: {10**400}}}", "too large"),
    ],
)
def test_numbers_beyond_all_calendars_are_told_in_a_line(tmp_path, name, changes, needed):
    lines = told(tmp_path, name, changes)
    assert any(needed in line and "number" in line for line in lines), lines


def test_an_unknown_task_is_told_once(tmp_path):
    lines = told(tmp_path, "lorenz63-forecast", "task: dinamics")
    assert lines == ["lorenz63-forecast: unknown task 'dinamics'; did you mean 'dynamics'?"]


def test_models_are_looked_at_whatever_the_task(tmp_path):
    lines = told(tmp_path, "lorenz63-forecast", "{task: dinamics, models: [linear_mapp]}")
    assert len(lines) == 2
    assert "unknown model 'linear_mapp'; did you mean 'linear_map'" in lines[1]


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("lorenz63-forecast", "rmse_0"),
        ("lorenz63-forecast", "rmsee"),
        ("nowcast-rain", "csi_abc"),
        ("nowcast-rain", "fss_0.5_0"),
        ("nowcast-rain", "power_left_0"),
    ],
)
def test_a_metric_that_is_none_is_told_where_metrics_stand(tmp_path, name, metric):
    [line] = told(tmp_path, name, f"scoring: {{metrics: [{metric}]}}")
    assert line.startswith(f"{name}: scoring.metrics: unknown metric '{metric}'")


def _with_small_frames(folder: Path) -> Path:
    """Write our catalog with a mistake in the options of a simulation; return the file."""
    catalog = yaml.safe_load((CONFIG / "catalog.yaml").read_text())
    catalog["sources"]["storm-cells"]["metadata"]["gyre"]["fetch"]["options"]["side"] = 16
    file = folder / "catalog.yaml"
    file.write_text(yaml.safe_dump(catalog))
    return file


def _plan_with(catalog: Path, experiment: str):
    places = {"catalog": str(catalog), "experiments_dir": str(CONFIG / "experiments")}
    return load_plan({**places, "experiments": [experiment]})


def test_a_mistake_in_a_simulation_s_options_names_file_and_entry_and_stops_its_experiments_alone(tmp_path):
    catalog = _with_small_frames(tmp_path)
    assert _plan_with(catalog, "lorenz63-forecast").runs("lorenz63-forecast")
    with pytest.raises(ConfigError) as refused:
        _plan_with(catalog, "nowcast-growth")
    place = f"{catalog}: sources.storm-cells.metadata.gyre.fetch.options: "
    assert refused.value.lines == [f"{place}cells of radius 7.5 meet themselves in a periodic frame of 16 pixels"]


STORM = "{name: cnn, model: storm_cnn, options: {variables: [9]}}"
LEVELS = "{name: cnn, model: storm_cnn, options: {levels: 2, volumes: 2}}"
ORDER = "{name: cnn, model: storm_cnn, options: {levels: 4, variables: [1]}}"
CROP = "{name: net, model: deeprain, options: {crop: 51}}"
TWO = "{accumulated: false, accumulated_hours: null, targets: 2, leads: 1, seen: 4}"
REAL = "split: {train: [2016-01-01, 2016-06-30], validation: [2016-07-03, 2016-08-01], test: [2016-08-04, 2016-12-31]}"
GAUSSIAN = "{name: net, model: station_lstm, options: {head: gaussian}, training: {loss: likelihood}}"
OTHER = "{name: known, model: known_dynamics, options: {system: lorenz96}}"
FLOW, ROVER = (f"{{{{name: flow, model: {model}, options: {{{{{{}}}}}}}}}}" for model in ("optical_flow", "rover"))
FIRST = "{name: a, model: fourdvarnet}"
OF_STATES = [
    ("shallow-water-forcing", "scoring: {fields: [7]}", "scoring.fields: the states have fields from 0 to 5, not 7"),
    ("shallow-water-forcing", "scoring: {fields: [0, 0]}", "scoring.fields: names a field twice"),
    ("lorenz63-forecast", "scoring: {fields: [0]}", "scoring.fields: the states have no fields, not 0"),
    (
        "lorenz63-forecast",
        "{training: {free_run: 1}, scoring: {metrics: [mean_height_drift]}}",
        "scoring.metrics: mean_height_drift needs free runs of models that know their mean height, and .* not know",
    ),
    ("lorenz63-forecast", "training: {free_run: 28}", r"training.free_run: is 2800 states long, no period .* than \d+"),
    ("pde-netgen", "training: {forecast_steps: 500}", "training.forecast_steps: is 500, the longest stretch"),
    ("lorenz63-forecast", "inputs: [state, state2]", "inputs: source lorenz63 makes no variable"),
    (
        "lorenz63-forecast",
        f"models: [{OTHER}]",
        "models.known.options.system: lorenz96 has other states",
    ),
]
OF_ANALYSES = [
    ("lorenz96-assimilation", "inputs: [observation, state]", "inputs: state does not say how precise"),
    ("lorenz96-assimilation", "inputs: [state]", "inputs: are state; name the states and the observations of them"),
    (
        "assimilation-partial",
        f"{{training: {{assimilation: {{window: null, margin: 0}}}}, models: [{FIRST}]}}",
        "models.a.training.assimilation.window: fourdvarnet fills windows; set their length",
    ),
    (
        "assimilation-partial",
        f"{{training: {{assimilation: {{window: 100000}}}}, models: [{FIRST}]}}",
        r"training.assimilation.window: is 100000 time steps, a period of the test holds \d+; set a shorter",
    ),
]
OF_FRAMES = [
    (
        "nowcast-rain",
        "scoring: {interior: {rows: [100, 200]}}",
        r"scoring.interior.rows: \[100, 200\] is not within the",
    ),
    (
        "nowcast-growth",
        "scoring: {metrics: [b_mse]}",
        "scoring.metrics: b_mse needs frames of rain, and storm",
    ),
    (
        "nowcast-growth",
        "scoring: {metrics: [temperature_rmse]}",
        "scoring.metrics: temperature_rmse needs .*; take a source with preparation temperature_frames",
    ),
    ("nowcast-growth", "training: {loss: balanced}", "training.loss: loss balanced needs frames of rain"),
    (
        "nowcast-growth",
        "training: {step_minutes: 7}",
        "training.step_minutes: is 7, the times of storm-cells are 10",
    ),
    ("nowcast-growth", "training: {step_minutes: 20}", "training.step_minutes: is 20, the times of storm-cells"),
    (
        "nowcast-growth",
        "training: {seen: 500}",
        "training: windows of 5.. times do not fit into the sequences",
    ),
    (
        "nowcast-growth",
        "{training: {online: {block: 5}}, models: [last_frame]}",
        "models.last_frame.training.online: Last frame has no weights that could follow",
    ),
    (
        "nowcast-growth",
        "{training: {loss: cross_entropy}, models: [frame_unet]}",
        "models.frame_unet.training.loss: a cross entropy does not go with",
    ),
    (
        "nowcast-growth",
        f"models: [{STORM}]",
        r"models.cnn.options.variables: variable 9 is to be seen, there are \d after",
    ),
    (
        "nowcast-growth",
        f"{{inputs: [storm, vertical_velocity, reflectivity, buoyancy], models: [{ORDER}]}}",
        "models.cnn.options: input 1 has no levels, and is to have 4 levels: inputs are",
    ),
    ("nowcast-growth", f"models: [{LEVELS}]", "models.cnn.options: input 1 has 4 levels, and is to have 2 levels"),
]
OF_FRAMES += [
    ("nowcast-rain", "scoring: {metrics: [csi_2, csi_0]}", "scoring.metrics: csi_0 asks where it rains 0 mm/h"),
    ("nowcast-rain", "scoring: {metrics: [far_9999_lead_1]}", "scoring.metrics: far_9999_lead_1 asks where it rains"),
    ("nowcast-rain", "scoring: {metrics: [fss_0.001_3]}", r"fss_0.001_3 asks .* ends at 0\.0168 and"),
    (
        "cloud-cover",
        "scoring: {metrics: [csi_2]}",
        "scoring.metrics: csi_2 asks .*, which no values are: .* from 0 to 1",
    ),
    ("cloud-cover", "scoring: {metrics: [csi_0]}", "scoring.metrics: csi_0 asks .*, which all values are"),
    ("persiann", "scoring: {metrics: [csi_235]}", "scoring.metrics: csi_235 asks .*, which no values are"),
    ("persiann", "scoring: {metrics: [retrieved_csi_0]}", "scoring.metrics: retrieved_csi_0 asks .*, which all values"),
    (
        "nowcast-growth",
        "scoring: {metrics: [csi_35_initiation]}",
        "scoring.metrics: csi_35_initiation asks .*, which no",
    ),
    ("cloud-cover", "scoring: {metrics: [fss_0.5_49]}", "neighbourhood of fss_0.5_49 is longer than the 48 cells"),
    ("cloud-cover", "scoring: {metrics: [power_left_999]}", "wavelength of power_left_999 is longer than the 48 cells"),
    (
        "nowcast-knmi",
        "scoring: {metrics: [fss_2_31], interior: {columns: [40, 64]}}",
        "scoring.metrics: the neighbourhood of fss_2_31 is longer than the 24 cells that are scored",
    ),
]
OF_FRAMES += [
    ("persiann", "training: {wet: 0.1}", "last_frame.training.wet: is of echoes, and of temperatures every cell would"),
    ("cloud-cover", "training: {seen: 1}", "models.farneback.training.seen: a flow needs two frames, but 1 is seen"),
    ("nowcast-rain", "training: {seen: 2}", "models.rover2.options.variant: rover2 reads 3 frames, but 2 are seen"),
    (
        "cloud-cover",
        f"models: [{FLOW.format('levels: 9')}]",
        "models.flow.options.levels: frames of 48 x 48 .* at most 5",
    ),
    (
        "nowcast-growth",
        f"models: [{FLOW.format('motion_of: 9')}]",
        "flow.options.motion_of: 9 is beyond the last of 7 ch",
    ),
    (
        "nowcast-rain",
        f"models: [{ROVER.format('max_level: 9')}]",
        "flow.options.max_level: frames of 64 x 64 .* at most 5",
    ),
    (
        "cloud-cover",
        f"models: [{ROVER.format('max_level: 3, response: nonlinear')}]",
        "models.flow.options.response: nonlinear stretches frames around a reflectivity, and these do not say which",
    ),
]
AT_SITES = [
    ("wind-vector", "inputs: [u, v, nwp_u]", "training.nwp: 'nwp_v' is not among the inputs; name it in inputs"),
    (
        "wind-vector",
        f"{{training: {{targets: 1}}, scoring: {{metrics: [site_rmse]}}, models: [{GAUSSIAN}]}}",
        "models.net.options.head: is of 2 components",
    ),
    (
        "wind-vector",
        f"{{training: {{loss: squared}}, models: [{GAUSSIAN.replace('likelihood', 'squared')}]}}",
        "squared does not go",
    ),
    ("deeprain", "training: {seen: 500}", "training: windows of 500 times do not fit into the sequences of site-rain"),
    ("deeprain", f"models: [{CROP}]", "models.net.options.crop: is 51 cells, fields are 24 across; take a smaller"),
    ("deeprain", "{inputs: [rain], models: [{name: net, model: deeprain}]}", "deeprain: inputs: deeprain sees fields"),
    ("deeprain", "inputs: [reflectivity, rain]", "deeprain: inputs: reflectivity is forecast and is a field"),
    (
        "deeprain",
        f"{{inputs: [rain, age, reflectivity], training: {TWO}, scoring: {{metrics: [site_rmse]}}}}",
        "deeprain: inputs: age is in 1, and rain in kg m-2; name targets of one unit first",
    ),
    (
        "wind",
        "{source: meteonet-wind-se, inputs: [ff, msl, u10, v10], training: {nwp: [msl, u10, v10], step_minutes: 60}, "
        f"{REAL}}}",
        "training.nwp: msl is in Pa, and ff in m s-1; name those fields first that foretell the targets",
    ),
    ("wind-vector", "training: {loss: log_squared}", "training.loss: log_squared is for .*, and u has no valid_min"),
    (
        "wind",
        "training: {nwp_delay_hours: 30}",
        "training.nwp_delay_hours: is 30: with runs every 24 hours no forecast",
    ),
    ("wind", "training: {nwp_delay_hours: 18}", "is 18: .* no forecast of 6 hours could start"),
    ("wind-vector", "training: {step_minutes: 7}", "training.step_minutes: is 7, the times of .* are"),
]


OTHERS = [
    (
        "nowcast-growth",
        "frame_unet",
        {"seen": 2, "leads": 4, "stride": 2, "missing": 0.5, "retrieval": "{target: buoyancy}"},
    ),
    ("deeprain", "deeprain", {"seen": 4, "stride": 2, "missing": 0.5}),
    (
        "wind-vector",
        "station_lstm",
        {"leads": 20, "station": 1, "nwp_delay_hours": 1, "step_minutes": 60, "nwp": "[nwp_v, nwp_u]"},
    ),
]


@pytest.mark.parametrize(
    ("name", "model", "option", "value"),
    [(name, model, option, value) for name, model, options in OTHERS for option, value in options.items()],
)
def test_competitors_that_could_not_be_compared_are_told(tmp_path, name, model, option, value):
    """Each could be trained and scored, and at the end none could be ranked beside the other."""
    other = (
        f"{{models: [{{name: one, model: {model}}}, {{name: other, model: {model}, training: {{{option}: {value}}}}}]}}"
    )
    line = rf"models\.other\.training\.{option}: is .*, that of one .*: scores could not be compared"
    assert any(re.search(line, said) for said in told(tmp_path, name, other))


@pytest.mark.parametrize(("name", "changes", "line"), [*OF_STATES, *OF_ANALYSES, *OF_FRAMES, *AT_SITES])
def test_what_no_stage_could_do_is_told(tmp_path, name, changes, line):
    lines = told(tmp_path, name, changes)
    assert any(re.search(line, said) for said in lines), lines


def _plan_of_frames(folder: Path, scale: dict, changes: str):
    """Plan our experiment on generated rain with another scale of its frames, and other changes."""
    catalog = yaml.safe_load((CONFIG / "catalog.yaml").read_text())
    catalog["sources"]["rain-cells"]["metadata"]["gyre"]["preparation"]["options"].update(scale)
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog))
    shipped = yaml.safe_load((CONFIG / "experiments" / "nowcast-rain.yaml").read_text())
    (folder / "rain.yaml").write_text(yaml.safe_dump(_merged(shipped, yaml.safe_load(changes))))
    places = {"catalog": str(folder / "catalog.yaml"), "experiments_dir": str(folder)}
    return load_plan({**places, "experiments": ["rain"]})


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        # 10 lg 58.53 = 17.67 dBZ at 1 mm/h: 10 ** (-9.67 / 15.6) = 0.24, 10 ** (27.33 / 15.6) = 56, by hand.
        (
            "{training: {loss: squared}, scoring: {metrics: [csi_0.2]}}",
            "scoring.metrics: csi_0.2 asks .* at 0.24 and 56",
        ),
        ("{training: {loss: squared}, scoring: {metrics: [csi_57]}}", "scoring.metrics: csi_57 asks"),
        ("{training: {loss: balanced}, scoring: {metrics: [csi_2]}}", ""),
        ("{training: {loss: squared}, scoring: {metrics: [b_mse, csi_0.3, csi_55]}}", ""),
    ],
)
def test_rates_must_lie_on_the_scale_of_the_catalog_entry(tmp_path, asked, line):
    scale = {"lowest_dbz": 8.0, "highest_dbz": 45.0}
    if not line:
        assert _plan_of_frames(tmp_path, scale, asked).runs("rain")
        return
    with pytest.raises(ConfigError, match=line):
        _plan_of_frames(tmp_path, scale, asked)


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ("{training: {loss: balanced}, scoring: {metrics: [csi_2]}}", r"training\.loss: loss balanced asks .* 30 mm/h"),
        ("{training: {loss: squared}, scoring: {metrics: [b_mae]}}", r"scoring\.metrics: b_mae asks .* 30 mm/h"),
        ("{training: {loss: balanced_off}, scoring: {metrics: [rain_mse]}}", ""),
    ],
)
def test_weights_of_rain_rates_must_lie_on_the_scale_and_errors_need_none(tmp_path, asked, place):
    # Up to 10 ** ((40 - 17.67) / 15.6) = 27 mm/h; without weights the online competitor has none either.
    scale = {"highest_dbz": 40.0}
    asked = asked[:-1] + ", models: [last_frame]}"
    if not place:
        assert _plan_of_frames(tmp_path, scale, asked).runs("rain")
        return
    with pytest.raises(ConfigError, match=place):
        _plan_of_frames(tmp_path, scale, asked)
