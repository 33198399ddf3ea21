"""The official SDK: which versions were tested, and a lock for its import.

It is imported where it is first used, in whatever thread that is: by one at a time.
"""

from __future__ import annotations

import logging
import re
import threading
from importlib import metadata
from typing import Final

#: Held while the SDK is imported. Its modules import each other: two threads that begin at different ends wait for each
#: other, and Python then gives up one of them.
IMPORTING: Final = threading.RLock()

log = logging.getLogger(__name__)

#: The official SDK transport and the hot words rely on private parts of these versions.
TESTED_VERSIONS: Final = "2.0.2 and later ones of 2.0"
_TESTED: Final = re.compile(r"2\.0\.([2-9]|[1-9]\d+)(\.post\d+)?")


def warn_of_untested_version() -> None:
    """Say so in the log if another version is installed than was tested; the SDK is not imported."""
    installed = metadata.version("dashscope")
    if not _TESTED.fullmatch(installed):
        log.warning("untested version of the official SDK", extra={"installed": installed, "tested": TESTED_VERSIONS})
