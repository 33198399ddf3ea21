"""Bytes cut anywhere to whole frames, a frame being one sample of every channel."""

from __future__ import annotations

from asrgateway_server.errors import UndecodableAudio


class FrameAligner:
    """Keeps back the bytes of a frame that has not arrived whole.

    Args:
        frame_bytes: Size of one sample of every channel.
        channel_count: How many samples those are.
    """

    def __init__(self, frame_bytes: int, channel_count: int) -> None:
        self._frame_bytes = frame_bytes
        self._channel_count = channel_count
        self._rest = b""

    def align(self, data: bytes) -> bytes:
        """Return the whole frames of what was kept back and ``data``; copy nothing if they fit."""
        if self._rest:
            data = self._rest + data
        surplus = len(data) % self._frame_bytes
        if not surplus:
            self._rest = b""
            return data
        self._rest = data[-surplus:]
        return data[:-surplus]

    def verify_end(self) -> None:
        """Raise UndecodableAudio if part of a frame is left."""
        if self._rest:
            raise UndecodableAudio(
                f"the audio ends inside a sample: {len(self._rest)} byte(s) beyond a multiple of "
                f"{self._frame_bytes} ({self._frame_bytes // self._channel_count} bytes for each channel); "
                "what came before was recognised",
                field="audio",
            )
