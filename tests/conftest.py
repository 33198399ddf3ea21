"""What several folders of tests need: sample speech, and tools that must be there in CI."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from calls import REAL_RECORDINGS, RECORDINGS, pcm

#: Folders with files that take longest. They come first, so that none of them is left over when the others are done.
SLOWEST: Final = ("web", "languages", "chaos", "benchmarks", "observability", "end_to_end")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest folders first."""
    items.sort(key=lambda item: next((place for place, name in enumerate(SLOWEST) if name in item.path.parts), 99))


@pytest.fixture(scope="session", autouse=True)
def commands_can_be_interrupted() -> None:
    """A shell lets what it runs in the background ignore Ctrl-C, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def no_litter_of_the_sdk() -> Iterator[None]:
    """Collect what the vendor's SDK leaves to the garbage collector, before it shows in somebody else's test."""
    yield
    if "dashscope" in sys.modules:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture(scope="session")
def mother() -> bytes:
    """`please call my mother tomorrow morning`: mono, 16-bit, 16 kHz."""
    return pcm(RECORDINGS / "mother.wav")


@pytest.fixture(scope="session")
def boy() -> bytes:
    """`the boy was there when the sun rose`: mono, 16-bit, 16 kHz."""
    return pcm(RECORDINGS / "boy.wav")


@pytest.fixture(scope="session")
def kestrel() -> bytes:
    """`the kestrel was there when the sun rose`, whose second word the recogniser does not know by itself."""
    return pcm(RECORDINGS / "kestrel.wav")


@pytest.fixture(scope="session")
def real_recordings() -> Path:
    """The folder with recordings of people, which the project does not ship."""
    if not REAL_RECORDINGS.is_dir():
        pytest.skip("the recordings of people are not here")
    return REAL_RECORDINGS


@pytest.fixture(scope="session")
def installed() -> Callable[[Path], Path]:
    """Return the tool's path; without the tool skip the test, or fail it in CI."""
    return _installed


def _installed(tool: Path) -> Path:
    if tool.exists():
        return tool
    if os.environ.get("CI"):
        pytest.fail(f"{tool} is not installed")
    pytest.skip(f"{tool} is not installed")
