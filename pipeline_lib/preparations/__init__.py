"""Preparations: what turns canonical source variables into the variables of a dataset.

A preparation is shared by the preprocess stage and by predictions on files from outside, so that a network sees the
same kind of input in both.
"""
