"""Names of scores of frames: what they ask for, and which mean nothing."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS
from pipeline_lib.tasks.nowcasting import Nowcasting
from pipeline_lib.tasks.nowcasting.counted import suffix
from pipeline_lib.tasks.nowcasting.options import ScoringOptions, TrainingOptions


@pytest.mark.parametrize(
    "name",
    [
        "csi_x",
        "csi_",
        "fss_2",
        "fss_2_4",
        "frame_mse_3",
        "frame_mse_",
        "csi_2_lead_0",
        "pod_1_2",
        "csi_2_decay",
        "power_left_1",
    ],
)
def test_names_that_mean_nothing_are_told(name):
    with pytest.raises(ConfigError, match="unknown metric"):
        METRICS.get(name)


def test_scores_of_masks_take_no_name_of_another_task():
    assert METRICS.get("event_f1_0.5_lead_6").__doc__.splitlines()[0] == "F1 at 0.5, lead 6."
    assert METRICS.get("event_accuracy_0.5").__doc__ == "Accuracy at 0.5."
    for name in ("accuracy", "accuracy_patches"):
        assert METRICS.module(name).startswith("pipeline_lib.tasks.segmentation.")


def test_names_say_what_is_counted_and_which_lead_is_needed():
    options = ScoringOptions(metrics=["csi_2", "csi_0.5", "hss_2", "fss_2_9", "fss_2_9_lead_6"])
    assert Nowcasting.counted(options) == {
        "balanced": False,
        "rates": False,
        "entropy": False,
        "thresholds": [0.5, 2.0],
        "fractions": [[2.0, 9]],
        "parted": [],
        "wavelengths": [],
        "temperature": False,
        "retrieved": None,
        "interior": {"rows": None, "columns": None},
    }
    parted = ScoringOptions(metrics=["csi_2_initiation", "pod_2_initiation_lead_6", "far_0.5_continuation", "csi_2"])
    assert Nowcasting.counted(parted)["parted"] == [[0.5, "continuation"], [2.0, "initiation"]]
    assert METRICS.get("pod_2_initiation_lead_6").__doc__ == "POD at 2, initiation, lead 6."
    assert Nowcasting.counted(ScoringOptions(metrics=["power_left_8", "power_left_4_lead_6"]))["wavelengths"] == [4, 8]
    assert METRICS.get("power_left_8_lead_6").__doc__ == "Power of waves up to 8 cells over that of the truth, lead 6."
    assert METRICS.get("fss_2_9_lead_6").__doc__ == "FSS at 2, 9 cells, lead 6."
    with pytest.raises(ConfigError, match="is 5, and fss_2_9_lead_6 needs 6"):
        Nowcasting.check(TrainingOptions(leads=5), options)
    Nowcasting.check(TrainingOptions(leads=6), options)


def test_a_false_alarm_ratio_is_undefined_if_a_lead_foretells_no_event():
    """A mean over the leads that are left would be of the first, which are the easiest."""
    hits, alarms, misses = [6.0, 4.0, 0.0], [2.0, 4.0, 0.0], [0.0, 2.0, 6.0]
    outcomes = {"hits": hits, "false_alarms": alarms, "misses": misses, "correct_negatives": [92.0, 90.0, 94.0]}
    counts = {name + suffix(2.0): np.array([values]) for name, values in outcomes.items()}
    at_leads = [METRICS.get(f"far_2_lead_{lead}").from_counts(counts)[0] for lead in (1, 2, 3)]
    assert at_leads == pytest.approx([0.25, 0.5, np.nan], nan_ok=True)
    assert np.isnan(METRICS.get("far_2").from_counts(counts)[0])
    assert METRICS.get("csi_2").from_counts(counts)[0] == pytest.approx((0.75 + 0.4 + 0) / 3)
