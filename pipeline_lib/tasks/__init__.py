"""Kinds of problem (segmentation, forecasting, ...).

A task is a package with one module per stage that depends on the kind of problem: ``train``, ``predict``, ``score``
and ``report``. Its ``__init__`` registers the task with its options classes and imports nothing heavy, because
planning reads it. A module ``checks`` may tell what planning can know of a competitor beside its source
(:mod:`pipeline_lib.config.case`).
"""
