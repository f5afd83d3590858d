"""Scores of forecast frames, in two steps: sums per frame, which can be pooled and resampled, and scores of sums.

Frames are arrays whose last two axes are rows and columns; further axes in front (dates, leads, members) stay. Cells
that a boolean mask calls invalid have no part in any sum. Scores take the sums by name, as
:data:`pipeline_lib.metrics.Counts`, and are NaN where they are undefined.
"""
