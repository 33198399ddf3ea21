"""What audio is, by its first bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from asrgateway_server.config import Encoding

#: So many bytes show all that is known here: the first page of an Ogg file names its codec after 28 of them.
SNIFFED_BYTES: Final = 64

#: A tag of titles and pictures in front of audio; its size is in the last four bytes, seven bits in each.
ID3_TAG: Final = rb"ID3[\x02-\x04][^\xff][\x00-\xff][\x00-\x7f]{4}"
ID3_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Likeness:
    """What bytes look like.

    Attributes:
        description: In words, with an article.
        encoding: What to declare for it; None: nothing that is taken.
    """

    description: str
    encoding: Encoding | None


# By signs that sound does not have, except by a chance of one in 2 ** 32.
_MAGIC: Final = tuple(
    (re.compile(pattern, re.DOTALL), Likeness(description, encoding))
    for pattern, description, encoding in (
        (rb"RIFF.{4}WAVE", "a WAV file", Encoding.WAV),
        (rb"fLaC", "a FLAC stream", Encoding.FLAC),
        (rb"OggS.{22}\x01.OpusHead", "Opus in Ogg", Encoding.OGG_OPUS),
        (rb"OggS.{22}\x01.Speex   ", "Speex in Ogg", Encoding.OGG_SPEEX),
        (rb"OggS.{22}\x01.\x7fFLAC", "FLAC in Ogg", None),
        (rb"OggS.{22}\x01.\x01vorbis", "Vorbis in Ogg", None),
        (rb"\x1a\x45\xdf\xa3", "a WebM or Matroska file", Encoding.WEBM_OPUS),
        (rb"#!AMR\n", "AMR narrow band", Encoding.AMR),
        (rb"#!AMR-WB\n", "AMR wide band", Encoding.AMR_WB),
        (ID3_TAG, "an MP3 file with an ID3 tag", Encoding.MP3),
        (rb".{4}ftyp", "an MP4 or M4A file", None),
        (rb"\x02?#!SILK", "a SILK recording", None),
        (rb"FORM.{4}AIF[FC]", "an AIFF file", None),
        (rb"caff\x00", "a CAF file", None),
        (rb"\.snd\x00", "an AU file", None),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA file", None),
        (rb"\x1f\x8b\x08|PK\x03\x04", "a compressed archive", None),
        (rb"[\t\n\r -~]{32}", "text", None),
    )
)
# By the first four bytes of a frame, which other data may have too.
_FRAMES: Final = (
    (
        re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]", re.DOTALL),
        Likeness("an MP3 stream", Encoding.MP3),
    ),
    # With \xf8 and \xf9 in their place it may as well be a frame of FLAC.
    (re.compile(rb"\xff[\xf0\xf1][\x00-\xf3].", re.DOTALL), Likeness("AAC with ADTS headers", Encoding.AAC)),
)


def find_magic(start: bytes) -> Likeness | None:
    """Return what surely begins with these bytes; None if that is not known."""
    return next((likeness for pattern, likeness in _MAGIC if pattern.match(start)), None)


def sniff(start: bytes) -> Likeness | None:
    """Return what probably begins with these bytes; None if that is not known."""
    frames = (likeness for pattern, likeness in _FRAMES if pattern.match(start))
    return find_magic(start) or next(frames, None)


def advice(likeness: Likeness | None) -> str:
    """Return what a client should declare instead."""
    if likeness is None:
        return "set the encoding that it has"
    if likeness.encoding is None:
        return f"it looks like {likeness.description}, which is not taken"
    return f"it looks like {likeness.description}: set the encoding to {likeness.encoding.name}"


def id3_tag_bytes(start: bytes) -> int:
    """Return the size of the tag that begins with its first 10 bytes."""
    size = 0
    for byte in start[6:ID3_BYTES]:
        size = size << 7 | byte
    return ID3_BYTES + size
