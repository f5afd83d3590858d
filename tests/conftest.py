"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# A machine that does other work as well is slow now and then, which says nothing about the code.
settings.register_profile("gyre", deadline=None)
settings.load_profile("gyre")
