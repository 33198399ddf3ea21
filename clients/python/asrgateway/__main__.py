"""Runs the command-line client: ``python -m asrgateway``."""

import sys

from asrgateway.cli import main

if __name__ == "__main__":
    sys.exit(main())
