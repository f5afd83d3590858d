"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

VARIABLE = "forecast"
"""The product's forecasts (time, lead, ...)."""
FORECAST_OF = "forecast_of"
"""Attribute of these: the name of the dataset's variable that is forecast."""
FREE_RUN, AGE = "free_run", "free_run_age"
"""Its free runs (time, ...), if it has any, and how long ago each started from the truth."""
HISTORY = "history"
"""Another: how many true states each of them started from, the present one included; without it, one."""
RUN_STEPS = "run_steps"
"""Attribute of the age: states of a free run that nothing cuts short, its start included."""
FIELD = "field"
"""Axis of states that hold several fields, each with a range of its own."""
SHELL = "shell"
"""Axis of the spectra of free runs and of true states: wavenumbers 0, 1, ... of the box."""
SUBGRID = "subgrid"
"""Of a dataset: the exact answer of a closure (time, ...), what the filtered tendency of a fine simulation holds beyond
that of the coarse solver, per unit of time. Of a product: what a model's closure answers to the same states."""
