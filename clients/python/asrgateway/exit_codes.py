"""What the exit codes of ``asr-client`` mean."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
"""A call ended with another status."""
UNUSABLE: Final = 2
"""Wrong usage, or a file that cannot be read."""
INTERRUPTED: Final = 130
