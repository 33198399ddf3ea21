"""Reads messages, and refuses those with too much beside their audio before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asrgateway_server.contract.requests import MAX_CONFIG_BYTES, too_large
from asrgateway_server.riva_api import asr_pb2 as asr

# A message has four; audio behind more of them is not looked for.
_MOST_FIELDS: Final = 16
_HAS_LENGTH: Final = 2


def streaming_request_from(data: bytes) -> asr.StreamingRecognizeRequest:
    """Read a message of live audio; see ``_verify``."""
    _verify(data, asr.StreamingRecognizeRequest.AUDIO_CONTENT_FIELD_NUMBER)
    return asr.StreamingRecognizeRequest.FromString(data)


@dataclass(slots=True)
class Recording:
    """A whole recording, and how to recognise it.

    Attributes:
        request: All but the audio, so that the message's own copy of that is gone.
        audio: The audio; empty once it was taken, so that nothing here keeps it while it is recognised.
    """

    request: asr.RecognizeRequest
    audio: bytes

    def take_audio(self) -> bytes:
        """Return the audio, and keep it no longer."""
        audio, self.audio = self.audio, b""
        return audio


def recording_from(data: bytes) -> Recording:
    """Read a whole recording; see ``_verify``."""
    _verify(data, asr.RecognizeRequest.AUDIO_FIELD_NUMBER)
    whole = asr.RecognizeRequest.FromString(data)
    return Recording(asr.RecognizeRequest(config=whole.config, id=whole.id), whole.audio)


def _verify(data: bytes, audio_field: int) -> None:
    """Raise InvalidRequest if a message is too large without its audio."""
    if len(data) > MAX_CONFIG_BYTES and (rest := len(data) - _audio_bytes(data, audio_field)) > MAX_CONFIG_BYTES:
        raise too_large(rest)


def _audio_bytes(data: bytes, audio_field: int) -> int:
    """Return the length of the audio in a serialised message; 0 if it is not found.

    Source: protobuf.dev, "Encoding".
    """
    position = 0
    try:
        for _ in range(_MOST_FIELDS):
            tag, position = _varint(data, position)
            length, position = _varint(data, position)
            if tag & 7 != _HAS_LENGTH or tag >> 3 == audio_field:
                return length if tag & 7 == _HAS_LENGTH else 0
            position += length
    except IndexError:
        pass
    return 0


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 or shift > 63:
            return value, position
