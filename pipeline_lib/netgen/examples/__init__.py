"""Systems that come along; a package, so that an edit of one counts as an edit of the code that reads them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
