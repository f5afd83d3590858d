"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

VARIABLE = "forecast"
"""The product's forecasts (time, lead, target)."""
DISTRIBUTION = "distribution"
"""Mean, standard deviations and correlation of a bivariate Gaussian (time, lead, parameter)."""
