"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

VARIABLE = "forecast"
"""The product's forecasts (time, lead, y, x)."""
RETRIEVED = "retrieved"
"""What a retrieval makes of them (time, lead, y, x), if the task has one."""
BOUND = "retrieved_from_truth"
"""What it makes of the true frames (valid_time, y, x), once for each time of the period."""
VALID_TIME = "valid_time"
"""Times of the true frames: a forecast of such a time lies at a start, ``time``, and the lead from there."""
KNOWN = "known"
"""The product's coordinate (y, x): 1 where a frame should have a value, 0 where no frame of the training had one."""
