"""Packages whose names differ between conda-forge and PyPI."""

from __future__ import annotations

PIP_NAME = {"pytorch": "torch", "matplotlib-base": "matplotlib", "dask-core": "dask"}
"""Name on PyPI by name on conda-forge."""

CONDA_NAME = {pip: conda for conda, pip in PIP_NAME.items()}
