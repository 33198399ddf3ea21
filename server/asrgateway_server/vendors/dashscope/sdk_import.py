"""The vendor's SDK is imported where it is first used, in whatever thread that is: by one at a time."""

from __future__ import annotations

import threading
from typing import Final

#: Held while the SDK is imported. Its modules import each other: two threads that begin at different ends wait for each
#: other, and Python then gives up one of them.
IMPORTING: Final = threading.RLock()
