"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A machine that does other work as well is slow now and then, which says nothing about the code. Continuous integration
# asks whether a change broke something: it takes the same examples every time; all others look for new ones.
settings.register_profile("gyre", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("gyre")
