"""The registered systems, one file or folder each.

A module that registers a model is imported while a run is planned, so it must not import torch at its top: a
network lives in a sibling module (``network.py``) or inside :meth:`~pipeline_lib.models.base.NetworkModel.build`.
"""
