"""A coded recording on disk: sent as it is, for the gateway to decode."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asrgateway.pacing import at_speaking_speed
from asrgateway.v1.recognition_pb2 import AudioEncoding, DecodingConfig

ENCODING_OF_SUFFIX: Final[Mapping[str, str]] = {
    ".aac": "aac",
    ".amr": "amr",
    ".awb": "amr_wb",
    ".flac": "flac",
    ".mp3": "mp3",
    ".oga": "auto",
    ".ogg": "auto",
    ".opus": "ogg_opus",
    ".spx": "ogg_speex",
    ".webm": "webm_opus",
}
# Some seconds of speech at most, and few messages of a large file.
_MESSAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedFile:
    """A recording whose length only the gateway knows.

    Attributes:
        path: The file.
        decoding_config: The format that is sent to the gateway.
    """

    path: Path
    decoding_config: DecodingConfig

    @property
    def seconds(self) -> None:
        """Its length is not known here."""

    def seconds_of(self, sent_bytes: int) -> float:
        """Return 0: how much audio bytes hold is not known here."""
        del sent_bytes
        return 0.0

    def stream(self, *, is_fast: bool) -> AsyncIterator[bytes]:
        """Yield the whole file as fast as it is taken.

        Raises:
            OSError: The file cannot be read any more.
        """
        del is_fast  # At which speed it was spoken is not known here.
        return at_speaking_speed(self._messages(), 0.0)

    def _messages(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while message := file.read(_MESSAGE_BYTES):
                yield message


def open_coded(path: Path, encoding: str, *, sample_rate_hertz: int | None, channel_count: int | None) -> CodedFile:
    """Return a recording in a given encoding.

    Raises:
        OSError: The file cannot be read.
    """
    path.open("rb").close()
    return CodedFile(
        path=path,
        decoding_config=DecodingConfig(
            encoding=AudioEncoding.Value(f"AUDIO_ENCODING_{encoding.upper()}"),
            sample_rate_hertz=sample_rate_hertz,
            audio_channel_count=channel_count,
        ),
    )
