"""What is said of a dataset before it is made is what it turns out to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.catalog import Catalog, Source
from pipeline_lib.config.outlook import PRECISION, RAIN, TEMPERATURE, outlook_of
from pipeline_lib.preparations.registry import PREPARATIONS
from pipeline_lib.rain import RainScale
from pipeline_lib.simulations.registry import SIMULATIONS

CATALOG = Catalog.load(Path(__file__).parents[2] / "config" / "catalog.yaml", wanted=[])
_CHEAPER = {"spin_up": 0, "refinement": 1, "substeps": 50, "members": 50}
_ATTRIBUTES = {
    RAIN: "rain_scale_a",
    TEMPERATURE: "temperature_scale_lowest",
    PRECISION: "error_variance",
}


def _one_of_each() -> list[str]:
    """Name a source of each simulation with each preparation of its states."""
    found: dict[tuple[str, str], str] = {}
    for name, source in CATALOG.sources.items():
        options = source.block.fetch.options
        if source.driver == "simulate" and options["simulation"] not in {"digits", "wind_field"}:  # nothing is said
            found.setdefault((options["simulation"], source.preparation.name), name)
    return sorted(found.values())


def _made(source: Source, times: int):
    simulation = SIMULATIONS.get(source.block.fetch.options["simulation"])
    options = simulation.Options.model_validate(source.block.fetch.options.get("options", {}))
    cheaper = {name: value for name, value in _CHEAPER.items() if name in type(options).model_fields}
    ds = simulation.run(options.model_copy(update=cheaper), times=times)
    ds = ds.rename({spec.name: name for name, spec in source.variables.items() if spec.name != name})
    for name, spec in source.variables.items():
        ds[name].attrs["units"] = spec.units  # as fetched files are brought to the contract
    step = np.timedelta64(round(source.time.step_hours * 3600), "s")
    ds = ds.assign_coords(time=np.datetime64("2000-01-01", "ns") + np.arange(times) * step)
    return PREPARATIONS.get(source.preparation.name).prepare(ds, source.preparation_options)


@pytest.mark.parametrize("name", _one_of_each())
def test_sizes_and_marks_are_those_of_the_dataset(name: str) -> None:
    source = CATALOG.source(name)
    known = outlook_of(source)
    ds = _made(source, 2)
    for variable, told in known.variables.items():
        assert told.shape in (None, ds[variable].shape[1:]), variable
        if told.marks is not None:
            assert told.marks == {mark for mark, attribute in _ATTRIBUTES.items() if attribute in ds[variable].attrs}
        if told.scale is not None:
            assert told.scale == RainScale.of_attributes(ds[variable].attrs)
        lowest, highest = told.limits
        assert not (ds[variable] < lowest).any()
        assert not (ds[variable] > highest).any()
    assert known.regular
    assert known.step_minutes == pytest.approx(source.time.step_hours * 60)


@pytest.mark.parametrize("name", ["storm-cells", "moving-digits", "rain-cells"])
def test_sequences_are_as_long_as_told(name: str) -> None:
    source = CATALOG.source(name)
    length = outlook_of(source).sequence
    assert length is not None
    ages = _made(source, length + 1)["age"].values
    assert list(ages[-2:]) == [length - 1, 0]


def test_files_from_elsewhere_tell_no_sizes_but_those_that_are_cut_to() -> None:
    known = outlook_of(CATALOG.source("med-adt-2005q2"))
    assert known.of("adt").shape is None
    assert known.of("adt").marks is None
    assert known.sequence is None
    knmi = outlook_of(CATALOG.source("knmi-20100826")).of("echo")
    assert knmi.marks == {RAIN}
    assert knmi.scale == RainScale(200.0, 1.6, -10.0, 60.0)
    assert knmi.shape == (64, 64)
    cloud = outlook_of(CATALOG.source("meteonet-cloud-mask-nw")).of("cloud")
    assert (cloud.shape, cloud.limits) == (None, (0, 1))
