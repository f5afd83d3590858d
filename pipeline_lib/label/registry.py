"""The registry of labellers."""

from __future__ import annotations

from pipeline_lib.label.base import Labeller
from pipeline_lib.registry import Registry

LABELLERS: Registry[type[Labeller]] = Registry("labeller", "LABELLERS", "pipeline_lib.label.labellers")
"""Labellers by name; each class keeps the protocol :class:`~pipeline_lib.label.base.Labeller`."""
