"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

VARIABLE = "log_probability"
"""The product's variable (time, class)."""
TARGET = "class_variable"
"""Its attribute that names the dataset's variable with the true classes."""
