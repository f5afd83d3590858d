"""Fetch drivers, one file each. Planning imports them: heavy packages are imported where they are used."""
