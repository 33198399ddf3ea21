"""Frames that follow each other and say their length in a header: found by their headers, whatever is between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from asrgateway_server.audio.sniff import ID3_BYTES, ID3_TAG, id3_tag_bytes

_ID3: Final = re.compile(ID3_TAG)


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What the header of a frame says.

    Attributes:
        frame_bytes: Size of the frame with its header.
        samples: Its length, for each channel.
        sample_rate_hertz: Samples per second.
        channel_count: Of the audio.
        kind: What all frames of a stream have in common.
    """

    frame_bytes: int
    samples: int
    sample_rate_hertz: int
    channel_count: int
    kind: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame."""

    header: FrameHeader
    data: bytes


class FrameSearch:
    """Returns frames one after the other; where there is none, the next one that others follow.

    Attributes:
        stray_bytes: How many bytes in a row belonged to no frame.

    Args:
        pattern: How a frame may begin.
        header_bytes: How much of it ``parse`` needs.
        parse: Reads a header; None: it is none.
        followers: How many headers of the same kind have to follow where a frame is not known to begin.
    """

    def __init__(
        self,
        pattern: bytes,
        header_bytes: int,
        parse: Callable[[bytes], FrameHeader | None],
        followers: int = 1,
    ) -> None:
        self.stray_bytes = 0
        self._pattern = re.compile(b"(?=" + pattern + b"|" + ID3_TAG + b")", re.DOTALL)
        self._header_bytes = header_bytes
        self._parse = parse
        self._followers = followers
        self._pending = b""
        self._is_synchronised = False
        self._tag_bytes = 0

    def start_here(self) -> None:
        """Take the next byte for the beginning of a frame."""
        self._is_synchronised = True

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Return the frames that ``data`` completes."""
        return self._frames(data, is_end=False)

    def flush(self) -> Iterator[Frame]:
        """Return what is whole, now that nothing follows."""
        return self._frames(b"", is_end=True)

    def _frames(self, data: bytes, *, is_end: bool) -> Iterator[Frame]:
        pending, position = self._pending + data, 0
        least = max(self._header_bytes, ID3_BYTES)
        while len(pending) - position >= (self._header_bytes if is_end else least):
            position = self._skip_tag(pending, position)
            if len(pending) - position < self._header_bytes:
                break
            header = self._parse(pending[position : position + self._header_bytes])
            is_sure = self._is_synchronised or self._is_followed(pending, position, header, is_end=is_end)
            if is_sure is None or (header and is_sure and position + header.frame_bytes > len(pending)):
                break
            if header is None or not is_sure:
                position = self._search(pending, position)
                continue
            self._is_synchronised = True
            self.stray_bytes = 0
            yield Frame(header, pending[position : position + header.frame_bytes])
            position += header.frame_bytes
        self._pending = pending[position:]

    def _skip_tag(self, pending: bytes, position: int) -> int:
        if self._tag_bytes == 0 and _ID3.match(pending, position):
            self._tag_bytes = id3_tag_bytes(pending[position : position + ID3_BYTES])
        skipped = min(self._tag_bytes, len(pending) - position)
        self._tag_bytes -= skipped
        return position + skipped

    def _is_followed(self, pending: bytes, position: int, header: FrameHeader | None, *, is_end: bool) -> bool | None:
        """Whether frames of the same kind follow; None if that cannot be known yet."""
        if header is None:
            return False
        kind = header.kind
        for _ in range(self._followers):
            position += header.frame_bytes
            if len(pending) < position + self._header_bytes:
                return position == len(pending) if is_end else None
            header = self._parse(pending[position : position + self._header_bytes])
            if header is None or header.kind != kind:
                return False
        return True

    def _search(self, pending: bytes, position: int) -> int:
        """Return where the next frame may begin."""
        self._is_synchronised = False
        found = self._pattern.search(pending, position + 1)
        end = found.start() if found else max(position + 1, len(pending) - ID3_BYTES + 1)
        self.stray_bytes += end - position
        return end
