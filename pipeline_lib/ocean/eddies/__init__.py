"""Eddies as closed contours of sea surface height (PET14: Mason, Pascual and McWilliams 2014)."""

from pipeline_lib.ocean.eddies.detect import EddyField, detect_eddies
from pipeline_lib.ocean.eddies.options import DetectionOptions
from pipeline_lib.ocean.eddies.table import ANTICYCLONIC, CYCLONIC, EDDY_SCHEMA, empty_table

__all__ = [
    "ANTICYCLONIC",
    "CYCLONIC",
    "EDDY_SCHEMA",
    "DetectionOptions",
    "EddyField",
    "detect_eddies",
    "empty_table",
]
