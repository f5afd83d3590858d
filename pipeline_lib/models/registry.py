"""The registry of models."""

from __future__ import annotations

from pipeline_lib.models.base import Model
from pipeline_lib.registry import Registry

MODELS: Registry[type[Model]] = Registry("model", "MODELS", "pipeline_lib.models")
"""All models by name; ``@MODELS.register("name")`` above a class puts it here."""
