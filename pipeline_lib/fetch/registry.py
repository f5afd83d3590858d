"""The registry of fetch drivers."""

from __future__ import annotations

from pipeline_lib.fetch.base import Driver
from pipeline_lib.registry import Registry

DRIVERS: Registry[type[Driver]] = Registry("driver", "DRIVERS", "pipeline_lib.fetch.drivers")
