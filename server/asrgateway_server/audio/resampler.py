"""Interleaved PCM of any rate and channel count to mono, or to all of its channels, at another rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final, cast

import av
from av.audio.frame import AudioFrame
from av.filter import Graph

from asrgateway_server.audio.pcm import BYTES_PER_SAMPLE, PcmFormat
from asrgateway_server.config import ChannelMode


def _share(count: int) -> float:
    """Return each channel's part in the mean: `pan` counts in 32768ths, and a sum above one of them wraps around."""
    return 32_768 // count / 32_768


# What each mode that mixes makes of n channels, in the words of FFmpeg's `pan` filter.
_PAN: Final[Mapping[ChannelMode, Callable[[int], str]]] = {
    ChannelMode.MIX: lambda count: "+".join(f"{_share(count):.9f}*c{channel}" for channel in range(count)),
    ChannelMode.FIRST: lambda _: "c0",
    ChannelMode.LAST: lambda count: f"c{count - 1}",
}


class Resampler:
    """Mixes and resamples one stream; the audio keeps its length and its place in time.

    With mode SEPARATE all channels stay, interleaved: one filter for all takes half the time of one for each.

    Source: FFmpeg filters `pan`, `aresample` (libswresample).
    """

    def __init__(self, source: PcmFormat, sample_rate_hertz: int, channel_mode: ChannelMode) -> None:
        self._source = source
        self._position = 0
        self._layout = f"{source.channel_count} channels"
        is_mixed = channel_mode is not ChannelMode.SEPARATE
        self._frame_bytes = BYTES_PER_SAMPLE if is_mixed else source.frame_bytes
        self._graph = Graph()
        chain = [
            self._graph.add_abuffer(
                sample_rate=source.sample_rate_hertz,
                format="s16",
                layout=self._layout,
                time_base=Fraction(1, source.sample_rate_hertz),
            ),
            *([self._graph.add("pan", f"mono|c0={_PAN[channel_mode](source.channel_count)}")] if is_mixed else ()),
            self._graph.add("aresample", str(sample_rate_hertz)),
            self._graph.add("aformat", "sample_fmts=s16"),
            self._graph.add("abuffersink"),
        ]
        self._graph.link_nodes(*chain).configure()

    def resample(self, pcm: bytes) -> bytes:
        """Return what the whole frames of ``pcm`` complete: 16-bit, at the new rate."""
        if not pcm:
            return b""
        frame = AudioFrame(format="s16", layout=self._layout, samples=len(pcm) // self._source.frame_bytes)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._source.sample_rate_hertz
        frame.pts = self._position
        self._position += frame.samples
        self._graph.push(frame)
        return self._pull()

    def flush(self) -> bytes:
        """End the stream; return what the filter still held, about a millisecond."""
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> bytes:
        pieces = []
        try:
            while True:
                frame = cast("AudioFrame", self._graph.pull())
                pieces.append(bytes(frame.planes[0])[: frame.samples * self._frame_bytes])
        except (av.BlockingIOError, av.EOFError):
            return b"".join(pieces)
