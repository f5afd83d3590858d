"""Published tables: valid, in our metrics' units, shown beside the right competitor, honest about comparability."""

from pathlib import Path

import pytest
import yaml

from pipeline_lib.catalog import Catalog
from pipeline_lib.config.loader import load_experiment
from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS
from pipeline_lib.models.registry import MODELS
from pipeline_lib.published.tables import FOLDER, PublishedTable, load_published, published_names
from pipeline_lib.tasks.nowcasting.options import OnlineOptions, TrainingOptions

EXPERIMENTS = Path(__file__).parents[2] / "config/experiments"
ROWLESS = {"binn-forecast-rk4", "ode-schemes"}
"""Of the first the printed numbers are bounds, which the table's remarks tell; networks of the second are smaller."""


@pytest.mark.parametrize("name", published_names())
def test_tables_speak_of_registered_metrics_and_models(name: str) -> None:
    table = load_published(name)
    for metric, column in table.metrics.items():
        for name in (metric, *column.beside):
            assert METRICS.get(name).direction
    assert {row.model for row in table.rows} <= set(MODELS.names())


def test_eddynet_s_table_is_complete_and_its_means_add_up() -> None:
    table = load_published("eddynet")
    assert [(row.model, row.settings["loss"]) for row in table.rows] == [
        ("eddynet", "dice"),
        ("eddynet", "cross_entropy"),
        ("eddynet_s", "dice"),
        ("eddynet_s", "cross_entropy"),
    ]
    for row in table.rows:
        assert set(row.values) == set(table.metrics)
        parts = [row.values[f"dice_{c}_patches"].value for c in ("none", "anticyclonic", "cyclonic")]
        assert row.values["mean_dice_patches"].value == pytest.approx(sum(parts) / 3, abs=0.001)
        assert all(printed.spread is not None for printed in row.values.values())


def test_learned_numbers_are_columns_too():
    table = load_published("pde_netgen_2020")
    assert table.learned == ["a", "b", "c"]
    row = table.row_for("generated_pde", {"learn": True})
    assert row is not None
    assert row.learned == {"a": 0.9331, "b": 0.7519, "c": -1.8039}
    assert table.numbers(row, "burgers-uncertainty") == {}
    assert load_published("eddynet").learned == []


def test_a_competitor_s_model_and_loss_find_its_row() -> None:
    table = load_published("eddynet")
    row = table.row_for("eddynet", {"loss": "cross_entropy", "patch": 128})
    assert row is not None
    assert row.values["mean_dice_patches"].value == 0.762
    assert table.row_for("eddynet", {"loss": "weighted_dice"}) is None
    assert table.row_for("eddynet", {}) is None
    assert table.row_for("unet", {"loss": "dice"}) is None


def test_numbers_are_in_our_units_and_not_comparable_elsewhere() -> None:
    table = load_published("eddynet")
    numbers = table.numbers(table.rows[0], "med-adt-2005q2")
    assert numbers["accuracy_patches"].value == pytest.approx(0.886)
    assert numbers["accuracy"].value == numbers["accuracy_all"].value == numbers["accuracy_patches"].value
    assert numbers["mean_dice"].value == 0.772
    assert not any(number.comparable for number in numbers.values())
    assert not table.comparability_with("some-other-source").comparable
    assert len(table.comparability_with("med-adt-2005q2").reasons) >= 4


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_tables_of_an_experiment_were_compared_with_its_source_and_know_its_models(path: Path) -> None:
    loaded = load_experiment(path)
    for name in loaded.spec.published:
        table = load_published(name)
        assert loaded.spec.source in table.comparability
        settings = [loaded.settings(competitor) for competitor in loaded.spec.names]
        found = any(table.row_for(str(known["model"]), known) for known in settings)
        assert found == (path.stem not in ROWLESS)


def test_networks_of_the_published_size_and_smaller_ones_find_the_same_rows() -> None:
    small, full = (load_experiment(EXPERIMENTS / f"nowcast-moving-digits{size}.yaml") for size in ("", "-full"))
    table = load_published("convlstm_2015")
    assert small.spec.names == full.spec.names
    for name in small.spec.names[1:]:
        row = table.row_for(str(full.settings(name)["model"]), full.settings(name))
        assert row is not None
        assert row == table.row_for(str(small.settings(name)["model"]), small.settings(name))
    assert table.row_for("convlstm", {"kernel_state": 5, "widths": [64]}) is None


def test_only_the_published_protocol_is_comparable_where_the_source_is() -> None:
    raw = yaml.safe_load((FOLDER / "eddynet.yaml").read_text())
    raw["comparability"] = {"the-same": {"comparable": True, "reasons": ["same data"]}}
    table = PublishedTable.model_validate(raw)
    numbers = table.numbers(table.rows[0], "the-same")
    assert {name for name, number in numbers.items() if number.comparable} == set(table.metrics)


def test_scores_of_the_french_clouds_fit_together_and_are_comparable_nowhere():
    table = load_published("clouds_france_2020")
    persistence, *networks = table.rows
    assert persistence.values["frame_mse"].value == pytest.approx(1 - 0.851, abs=5e-4)
    for row in networks:
        assert set(row.values) == set(table.metrics)
        assert row.values["event_f1_0.5"].value > persistence.values["event_f1_0.5"].value
        assert not any(number.comparable for number in table.numbers(row, "cold-clouds").values())
    assert table.confidence == "M"


def test_rows_of_hko_7_stand_beside_the_network_that_learned_the_same_way():
    table = load_published("hko7_2017")
    for row in table.rows:
        assert set(row.values) == set(table.metrics)
        thresholds = [row.values[f"csi_{rate}"].value for rate in ("0.5", "2", "5", "10", "30")]
        assert thresholds == sorted(thresholds, reverse=True)
        # Most cells are dry: HSS lies above CSI.
        assert all(row.values[f"hss_{rate}"].value > row.values[f"csi_{rate}"].value for rate in ("0.5", "30"))
    loaded = load_experiment(EXPERIMENTS / "nowcast-knmi.yaml")
    titles = {}
    for name in loaded.spec.names:
        row = table.row_for(loaded.spec.entry(name).model, loaded.settings(name))
        titles[name] = row.title if row else None
    assert titles["rover_nonlinear"] == "ROVER, non-linear"
    assert (titles["convgru"], titles["trajgru"], titles["unet"]) == ("ConvGRU", "TrajGRU", None)
    off, on = (TrainingOptions(online=value).model_dump(mode="json") for value in (None, OnlineOptions()))
    assert [table.row_for("trajgru", s).title for s in (off, on)] == ["TrajGRU", "TrajGRU, online"]
    unweighted = TrainingOptions(loss="balanced_off").model_dump(mode="json")
    assert table.row_for("convgru", unweighted).title == "ConvGRU-nobal"
    for row in table.rows:
        assert not any(number.comparable for number in table.numbers(row, loaded.spec.source).values())


def test_rows_of_moving_mnist_plus_stand_beside_the_same_kernels_and_links():
    table = load_published("moving_mnist_plus_2017")
    loaded = load_experiment(EXPERIMENTS / "nowcast-moving-digits-plus.yaml")
    found = {}
    for name in loaded.spec.names:
        row = table.row_for(loaded.spec.entry(name).model, loaded.settings(name))
        found[name] = row.values["frame_mse"].value if row else None
    assert found["last_frame"] is found["simvp"] is None
    assert found["trajgru_l13"] < found["convgru_k5"] < found["trajgru_l5"] < found["convgru_k3_d2"]
    assert table.confidence == "M"


def test_rows_of_hko_7_are_of_the_flow_between_the_last_two_frames():
    table, options = load_published("hko7_2017"), MODELS.get("rover").Options
    for response, title in (("linear", "ROVER, linear"), ("nonlinear", "ROVER, non-linear")):
        found = [
            table.row_for("rover", options(variant=variant, response=response).model_dump())
            for variant in ("rover1", "rover2", "rover3")
        ]
        assert [row and row.title for row in found] == [title, None, None]


def test_a_table_with_two_rows_of_one_title_is_refused():
    raw = yaml.safe_load((FOLDER / "eddynet.yaml").read_text())
    raw["rows"] += raw["rows"][:1]
    with pytest.raises(ValueError, match="two rows have one title"):
        PublishedTable.model_validate(raw)


def titles_beside(experiment: str, table: str) -> dict[str, str]:
    """The published row that each competitor of an experiment stands beside, if there is any."""
    loaded = load_experiment(EXPERIMENTS / f"{experiment}.yaml")
    assert table in loaded.spec.published
    rows = {n: load_published(table).row_for(loaded.spec.entry(n).model, loaded.settings(n)) for n in loaded.spec.names}
    return {name: row.title for name, row in rows.items() if row is not None}


def test_rows_of_hko_7_stand_beside_generated_rain_by_loss_dimension_and_protocol():
    found = titles_beside("nowcast-rain", "hko7_2017")
    # HKO-7 takes the last two frames; flows of more are another method.
    left = {"farneback", "rover2", "rover3"}
    assert set(found) == set(load_experiment(EXPERIMENTS / "nowcast-rain.yaml").spec.names) - left
    assert (found["rover1"], found["rover_nonlinear"]) == ("ROVER, linear", "ROVER, non-linear")
    assert (found["cnn_2d"], found["cnn_3d"]) == ("2D CNN", "3D CNN")
    assert (found["convgru"], found["convgru_nobal"]) == ("ConvGRU", "ConvGRU-nobal")
    assert (found["trajgru"], found["trajgru_online"]) == ("TrajGRU", "TrajGRU, online")


def test_every_published_network_of_moving_mnist_plus_but_three_has_a_competitor_of_full_size():
    """Of the others, kernels of 7 and 9 and 17 links are sizes between and beyond."""
    found = titles_beside("nowcast-moving-digits-plus-full", "moving_mnist_plus_2017")
    assert (found["cnn_2d"], found["cnn_3d"]) == ("2D CNN", "3D CNN")
    left = {row.title for row in load_published("moving_mnist_plus_2017").rows} - set(found.values())
    assert [title.split(",")[1].strip() for title in sorted(left)] == ["7x7", "17 links", "9 links"]


def test_the_test_of_moving_mnist_plus_in_full_has_as_many_sequences_as_published():
    plan = load_experiment(EXPERIMENTS / "nowcast-moving-digits-plus-full.yaml").spec
    source = Catalog.load(EXPERIMENTS.parent / "catalog.yaml").source(plan.source)
    first, last, a_day = plan.split.test.start, plan.split.test.end, round(24 / source.time.step_hours / 20)
    assert 10_000 <= ((last - first).days + 1) * a_day < 10_000 + a_day
    # From the first day of the test on, other digits.
    before = (first - source.time.start).days * a_day
    assert source.block.fetch.options["options"]["held_out"]["sequence"] == before
    assert source.time.end == last


def test_rows_of_the_radar_of_hong_kong_fit_together_and_are_comparable_nowhere():
    table = load_published("convlstm_radar_2015")
    assert len(table.rows) == 5
    for row in table.rows:
        assert set(row.values) == set(table.metrics)
        csi, far, pod = (row.values[f"{name}_0.5"].value for name in ("csi", "far", "pod"))
        # Of scores of summed counts, 1 / CSI = 1 / POD + 1 / (1 - FAR) - 1; means over leads nearly so.
        assert 1 / csi == pytest.approx(1 / pod + 1 / (1 - far) - 1, rel=0.08)
        assert not any(number.comparable for number in table.numbers(row, "knmi-20100826").values())
    assert titles_beside("nowcast-knmi", "convlstm_radar_2015") == {"rover1": "ROVER1"}
    assert set(table.metrics) <= set(load_experiment(EXPERIMENTS / "nowcast-knmi.yaml").scoring.metrics)


def test_networks_tested_on_other_digits_are_those_of_the_usual_test():
    usual, other = (load_experiment(EXPERIMENTS / f"nowcast-moving-digits{kind}.yaml") for kind in ("", "-ood"))
    for name in other.spec.names:
        assert other.settings(name) == usual.settings(name)
    assert other.spec.split == usual.spec.split
    catalog = Catalog.load(EXPERIMENTS.parent / "catalog.yaml")
    options = [catalog.source(loaded.spec.source).block.fetch.options["options"] for loaded in (usual, other)]
    held_out = options[1].pop("held_out")
    assert options[0] == options[1]
    assert held_out == {"sequence": 64 * 96, "subset": [500, 1796], "digits": 3}
    assert (other.spec.split.test.start - catalog.source(other.spec.source).time.start).days == 64
    assert set(titles_beside("nowcast-moving-digits-ood", "convlstm_ood_2015")) == {"convlstm_5_3"}


def test_rows_of_4dvarnet_stand_beside_the_same_method_and_prior():
    found = titles_beside("assimilation-partial", "fourdvarnet_l63")
    # Neither the quasi-Newton method nor a prior of equations is what was printed.
    assert set(found) == {"interpolation", "fsgd", "fixed_point", "fourdvarnet"}
    assert found["interpolation"].startswith("first guess, linear in time")
    assert found["fsgd"].startswith("weak 4D-Var by steps of one length")
    assert found["fourdvarnet"] == "4DVarNet, 75 epochs"
    l96 = titles_beside("assimilation-partial-lorenz96", "fourdvarnet_l96")
    assert set(l96) == {"interpolation", "weak_4dvar", "fourdvarnet", "fourdvarnet_ode"}
    # By whatever it is normalised, the table's order is that of one window.
    error = [row.values["analysis_nmse"].value for row in load_published("fourdvarnet_l96").rows]
    assert error == sorted(error, reverse=True)


@pytest.mark.parametrize(
    ("name", "source"), [("fourdvarnet_l63", "lorenz63-partial"), ("fourdvarnet_l96", "lorenz96-observed")]
)
def test_errors_of_4dvarnet_fit_together_and_are_comparable_nowhere(name, source):
    table = load_published(name)
    assert table.confidence == "C"
    assert "not normalised" in table.protocol
    for row in table.rows:
        assert not any(number.comparable for number in table.numbers(row, source).values())
        values = [row.values[m].value for m in table.metrics if m in row.values and m != "analysis_nmse"]
        # A mean over observed and unobserved values.
        assert len(values) < 2 or min(values[1:]) < values[0] < max(values[1:])
    assert table.comparability_with(source).reasons


def test_every_row_of_the_course_s_forecasters_has_a_competitor():
    found = titles_beside("lorenz63-forecast", "lorenz63_course")
    assert set(found.values()) == {row.title for row in load_published("lorenz63_course").rows}
    assert found["lstm_small"].startswith("LSTM with 10 hidden units")
    assert not {"lstm_random", "lstm_zero", "gru_random"} & set(found)


def test_settings_within_a_block_tell_rows_apart() -> None:
    table = load_published("fourdvarnet_l63")
    fixed = {"method": "weak_4dvar", "minimiser": "gradient_descent", "iterations": 1500}
    assert table.row_for("known_dynamics", {"assimilation": fixed}) is not None
    for other in ({**fixed, "minimiser": "lbfgs"}, {**fixed, "iterations": 10}, {"method": "enks"}, "weak_4dvar", None):
        assert table.row_for("known_dynamics", {"assimilation": other}) is None
    assert table.row_for("known_dynamics", {}) is None


def test_an_unknown_table_names_the_closest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'eddynet'"):
        load_published("edynet")


def test_a_broken_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = yaml.safe_load((FOLDER / "eddynet.yaml").read_text())
    raw["rows"][0]["values"]["made_up"] = {"value": 1.0}
    (tmp_path / "eddynet.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.setattr("pipeline_lib.published.tables.FOLDER", tmp_path)
    with pytest.raises(ConfigError, match=r"eddynet\.yaml: .*no column 'made_up'"):
        load_published("eddynet")
