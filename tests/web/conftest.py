"""What the tests of the page need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from browsers import CHROMIUM


@pytest.fixture
def chromium(installed: Callable[[Path], Path]) -> Path:
    """The browser."""
    return installed(CHROMIUM)
