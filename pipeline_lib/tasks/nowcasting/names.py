"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

VARIABLE = "forecast"
"""The product's forecasts (time, lead, y, x)."""
RETRIEVED = "retrieved"
"""What a retrieval makes of them (time, lead, y, x), if the task has one."""
BOUND = "retrieved_from_truth"
"""What it makes of the true frames of the same times (time, lead, y, x), where the period holds them."""
KNOWN = "known"
"""The product's coordinate (y, x): 1 where a frame should have a value, 0 where no frame of the training had one."""
