"""Entry point of ``python -m pipeline_lib``."""

from __future__ import annotations

import sys

from pipeline_lib.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
