"""What runs every night: new periods of an experiment, their scores over time, and the published product.

It computes targets and calls the workflow; artefacts are made by the stages alone. The design: docs/adr/0006.
"""
