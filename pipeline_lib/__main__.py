"""Entry point of ``python -m pipeline_lib``."""

from __future__ import annotations

import gc
import sys

from pipeline_lib.cli.app import main

if __name__ == "__main__":
    code = main()
    # The last search for garbage, in all that the libraries have set up, takes longer than many a command.
    gc.freeze()
    sys.exit(code)
