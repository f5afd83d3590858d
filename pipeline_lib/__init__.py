"""Gyre: from reanalysis and satellite data to trained models, scores and a report."""

__version__ = "0.1.0"
