"""How Riva's clients code their audio: their config says so, and the first bytes know better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.audio.sniff import find_magic
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.riva_api import common_pb2 as common

_BY_NAME: Final[Mapping[int, pb.AudioEncoding.ValueType]] = {
    common.ENCODING_UNSPECIFIED: pb.AUDIO_ENCODING_LINEAR16,
    common.LINEAR_PCM: pb.AUDIO_ENCODING_LINEAR16,
    common.MULAW: pb.AUDIO_ENCODING_MULAW,
    common.ALAW: pb.AUDIO_ENCODING_ALAW,
    common.FLAC: pb.AUDIO_ENCODING_FLAC,
    common.OGGOPUS: pb.AUDIO_ENCODING_OGG_OPUS,
}
_WITHOUT_HEADER: Final = (pb.AUDIO_ENCODING_LINEAR16, pb.AUDIO_ENCODING_MULAW, pb.AUDIO_ENCODING_ALAW)


def encoding_of(named: int, start: bytes) -> pb.AudioEncoding.ValueType:
    """Return the encoding of audio that begins with ``start``, ``SNIFFED_BYTES`` unless it is shorter.

    Clients send whole files and call them LINEAR_PCM, or nothing at all.

    Raises:
        InvalidRequest: The config names an encoding that nobody knows.
    """
    likeness = find_magic(start)
    if likeness is not None and likeness.encoding is not None:
        return pb.AudioEncoding.Value(f"AUDIO_ENCODING_{likeness.encoding.name}")
    if named not in _BY_NAME:
        known = ", ".join(common.AudioEncoding.keys())
        raise InvalidRequest(f"{named} is not a value of this field; use one of {known}", field="config.encoding")
    return _BY_NAME[named]


def has_header(encoding: pb.AudioEncoding.ValueType) -> bool:
    """Say whether the audio itself has its rate and channels."""
    return encoding not in _WITHOUT_HEADER
