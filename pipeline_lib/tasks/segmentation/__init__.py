"""Segmentation: every cell of a map gets a class, such as no eddy, anticyclonic or cyclonic eddy."""

from __future__ import annotations

CLASSES = ("none", "anticyclonic", "cyclonic")
"""Names of the class codes 0, 1, 2."""
