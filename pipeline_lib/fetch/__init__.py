"""Bringing the files of a source here, checked: from a mirror folder or by a driver.

``registry`` knows the drivers, one file each in ``drivers/``; ``stage`` is the stage itself.
"""
