"""Readers: what turns the raw files of a source into datasets, one file per layout. They know no stage.

A reader is registered under a name that catalog entries use::

    @READERS.register("my_radar")
    class MyRadar:
        \"\"\"Composites of my radar.\"\"\"

        @staticmethod
        def check(file, variables): ...      # can this one file be read? it was just fetched

        @staticmethod
        def open(files): ...                 # all files of a part, lazily

What comes out has units, times and axes, and NaN for what is missing; the door behind
(:mod:`pipeline_lib.data.canonical`) does the rest for all sources alike.
"""
