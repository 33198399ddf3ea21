"""The recordings that a command line names: files, folders, and standard input."""

import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from asrgateway.audio_file import SUFFIXES, UncommonWavFile, UnusableFile, open_audio
from asrgateway.coded_file import ENCODING_OF_SUFFIX, open_coded
from asrgateway.report import Measured
from asrgateway.standard_input import StandardInput
from asrgateway.v1.recognition_pb2 import DecodingConfig

STANDARD_INPUT: Final = Path("-")
# What is sent at speaking speed.
_SAMPLES: Final = ("linear16", "wav")


class Recording(Measured, Protocol):
    """Audio that can be sent."""

    @property
    def decoding_config(self) -> DecodingConfig:
        """The format that is sent to the gateway."""

    def stream(self, *, is_fast: bool) -> AsyncIterator[bytes]:
        """Yield its messages, at speaking speed or as fast as they are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A recording that the command line names.

    Attributes:
        path: Where it is.
        name: The last part of its path, or its path within the folder that was named.
    """

    path: Path
    name: Path


def find_recordings(paths: Iterable[Path]) -> list[Found]:
    """Return the files named, and those in the folders named, in order.

    Raises:
        UnusableFile: A folder has no recordings, or standard input is named twice.
    """
    paths = list(paths)
    if paths.count(STANDARD_INPUT) > 1:
        raise UnusableFile("standard input can be read once only: give '-' once")
    return [found for path in paths for found in (_in_folder(path) if path.is_dir() else [_found(path, path.parent)])]


def open_recording(
    path: Path, *, encoding: str | None, sample_rate_hertz: int | None, channel_count: int | None
) -> Recording:
    """Find the format of a recording; ``-`` is standard input.

    Args:
        path: As `find_recordings` returns it.
        encoding: Of a file; None: by its name.
        sample_rate_hertz: Of raw audio; None: as the header says, and 16000 for standard input.
        channel_count: None: as the header says, or 1.

    Raises:
        OSError: The file cannot be read.
        UnusableFile: The file cannot be sent, or not with these options.
    """
    if path == STANDARD_INPUT:
        return StandardInput(_stdin(), sample_rate_hertz=sample_rate_hertz, channel_count=channel_count)
    coded = encoding or ENCODING_OF_SUFFIX.get(path.suffix.lower(), "")
    if coded and coded not in _SAMPLES:
        return open_coded(path, coded, sample_rate_hertz=sample_rate_hertz, channel_count=channel_count)
    try:
        return open_audio(path, encoding=encoding, sample_rate_hertz=sample_rate_hertz, channel_count=channel_count)
    except UncommonWavFile:
        return open_coded(path, "wav", sample_rate_hertz=sample_rate_hertz, channel_count=channel_count)


def _stdin() -> BinaryIO:
    return os.fdopen(0, "rb", closefd=False)


def _in_folder(folder: Path) -> list[Found]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise UnusableFile(f"{folder} has no recordings: no file whose name ends with {', '.join(SUFFIXES)}")
    return [_found(path, folder) for path in paths]


def _found(path: Path, folder: Path) -> Found:
    return Found(path=path, name=path.relative_to(folder))
