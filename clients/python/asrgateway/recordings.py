"""The recordings that a command line names: files, folders, and standard input."""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from asrgateway.audio_file import SUFFIXES, UnusableFile, open_audio
from asrgateway.standard_input import StandardInput
from asrgateway.v1.recognition_pb2 import DecodingConfig

STANDARD_INPUT: Final = Path("-")


class Recording(Protocol):
    """Audio that can be sent."""

    @property
    def decoding_config(self) -> DecodingConfig:
        """The format that is sent to the gateway."""

    @property
    def seconds(self) -> float | None:
        """Its length; None: nobody knows."""

    def seconds_of(self, sent_bytes: int) -> float:
        """Return how much audio the first bytes hold."""

    def stream(self, *, is_fast: bool) -> AsyncIterator[bytes]:
        """Yield its messages, at speaking speed or as fast as they are taken."""


def find_recordings(paths: Iterable[Path]) -> list[Path]:
    """Return the files named, and those in the folders named, in order.

    Raises:
        UnusableFile: A folder has no recordings, or standard input is named twice.
    """
    paths = list(paths)
    if paths.count(STANDARD_INPUT) > 1:
        raise UnusableFile("standard input can be read once only: give '-' once")
    return [found for path in paths for found in (_in_folder(path) if path.is_dir() else [path])]


def open_recordings(
    paths: Iterable[Path],
    *,
    encoding: str | None,
    sample_rate_hertz: int | None,
    channel_count: int | None,
) -> Iterator[Recording]:
    """Find the format of each; ``-`` is standard input.

    Args:
        paths: As `find_recordings` returns them.
        encoding: Of all files; None: by their names.
        sample_rate_hertz: Of all raw audio; None: as each header says, and 16000 for standard input.
        channel_count: None: as each header says, or 1.

    Raises:
        OSError: A file cannot be read.
        UnusableFile: A file cannot be sent, or not with these options.
    """
    for path in paths:
        if path == STANDARD_INPUT:
            yield StandardInput(_stdin(), sample_rate_hertz=sample_rate_hertz, channel_count=channel_count)
        else:
            yield open_audio(path, encoding=encoding, sample_rate_hertz=sample_rate_hertz, channel_count=channel_count)


def _stdin() -> BinaryIO:
    return os.fdopen(0, "rb", closefd=False)


def _in_folder(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise UnusableFile(f"{folder} has no recordings: no file whose name ends with {', '.join(SUFFIXES)}")
    return found
