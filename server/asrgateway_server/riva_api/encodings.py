"""How Riva's clients code their audio: their config says so, and the first bytes know better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.riva_api import common_pb2 as common

#: So many bytes tell a header from samples.
HEADER_BYTES: Final = 4

# Clients send whole files and call them LINEAR_PCM, or nothing at all.
_BY_HEADER: Final[Mapping[bytes, pb.AudioEncoding.ValueType]] = {
    b"RIFF": pb.AUDIO_ENCODING_WAV,
    b"fLaC": pb.AUDIO_ENCODING_FLAC,
    b"OggS": pb.AUDIO_ENCODING_OGG_OPUS,
}
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
    """Return the encoding of audio that begins with ``start``, at least ``HEADER_BYTES`` unless it is shorter.

    Raises:
        InvalidRequest: The config names an encoding that nobody knows.
    """
    if by_header := _BY_HEADER.get(start[:HEADER_BYTES]):
        return by_header
    if named not in _BY_NAME:
        known = ", ".join(common.AudioEncoding.keys())
        raise InvalidRequest(f"{named} is not a value of this field; use one of {known}", field="config.encoding")
    return _BY_NAME[named]


def has_header(encoding: pb.AudioEncoding.ValueType) -> bool:
    """Say whether the audio itself has its rate and channels."""
    return encoding not in _WITHOUT_HEADER
