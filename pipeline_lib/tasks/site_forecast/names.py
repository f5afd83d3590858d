"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

VARIABLE = "forecast"
"""The product's forecasts (time, lead, target)."""
DISTRIBUTION = "distribution"
"""Mean, standard deviations and correlation of a bivariate Gaussian (time, lead, parameter)."""
ASKED = (
    "targets", "station", "accumulated", "leads", "step_minutes", "nwp", "speed", "nwp_run_hours", "nwp_delay_hours",
)  # fmt: skip
"""Training options that say what is forecast, from when, and beside which prediction."""
STARTED_FROM = ("seen", "stride", "missing")
"""Those that decide which times forecasts start from; others of what is seen may differ between competitors."""
