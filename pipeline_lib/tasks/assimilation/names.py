"""What a product calls its contents; importing this loads no network."""

from __future__ import annotations

ANALYSIS, SPREAD = "analysis", "spread"
"""The product's states (time, ...) and, of ensembles, the standard deviation over the members."""
