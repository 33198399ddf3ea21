"""``python -m asrgateway_server``: the command line."""

import sys

from asrgateway_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
