"""The messages of one call: its configuration first, then audio, commits and updates."""

from collections.abc import Iterator
from typing import Final

from asrgateway.v1.recognition_pb2 import Commit, ConfigUpdate, RecognizeRequest, StreamingConfig

AudioItem = bytes | Commit | ConfigUpdate
"""What a program sends after the configuration."""

MAX_AUDIO_BYTES: Final = 1 << 20  # Half of the gateway's default limit, and over 30 s of 16 kHz speech.


def first_request(config: StreamingConfig) -> RecognizeRequest:
    """Wrap the configuration that opens a call."""
    return RecognizeRequest(streaming_config=config)


def requests_for(item: AudioItem) -> Iterator[RecognizeRequest]:
    """Wrap one item; audio longer than ``MAX_AUDIO_BYTES`` becomes several messages.

    Raises:
        TypeError: The item is none of the three kinds.
    """
    match item:
        case bytes():
            # Empty audio is sent too: it shows that the client is alive.
            for start in range(0, max(1, len(item)), MAX_AUDIO_BYTES):
                yield RecognizeRequest(audio=item[start : start + MAX_AUDIO_BYTES])
        case Commit():
            yield RecognizeRequest(commit=item)
        case ConfigUpdate():
            yield RecognizeRequest(update=item)
        case _:
            raise wrong_item(item)


def wrong_item(item: object) -> TypeError:
    """Return the error for an item that is none of the three kinds."""
    return TypeError(f"audio yields bytes, Commit or ConfigUpdate, not {type(item).__name__}")
