"""The workload's audio as a meeting recorder would send it: Opus in Ogg, a page for each packet of 100 ms."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any, Final

import av

from benchmarks.workload import PACKET_MS, SAMPLE_RATE_HERTZ
from containers import FIRST, OPUS_TAGS, ogg_page, opus_head

_OPUS_HERTZ: Final = 48_000
_PAGE_PACKETS: Final = PACKET_MS // 20
_BITS_PER_SECOND: Final = "24000"


def opus_pages(count: int) -> Iterator[bytes]:
    """Yield the pages of so many packets of 100 ms; the first one follows the headers."""
    head = ogg_page([opus_head()], position=0, sequence=0, flags=FIRST)
    headers = head + ogg_page([OPUS_TAGS], position=0, sequence=1)
    packets = cycle(_packets())
    for number in range(count):
        page = ogg_page(
            list(islice(packets, _PAGE_PACKETS)),
            position=(number + 1) * PACKET_MS * _OPUS_HERTZ // 1000,
            sequence=number + 2,
        )
        yield headers + page if number == 0 else page


def _packets() -> list[bytes]:
    """A second of loud noise in packets of 20 ms, coded as speech is."""
    noise = random.Random(0).randbytes(SAMPLE_RATE_HERTZ * 2)
    frame = av.AudioFrame(format="s16", layout="mono", samples=SAMPLE_RATE_HERTZ)
    frame.planes[0].update(noise)
    frame.sample_rate = SAMPLE_RATE_HERTZ
    output = io.BytesIO()
    with av.open(output, "w", format="ogg") as target:
        options = {"b": _BITS_PER_SECOND, "application": "voip", "frame_duration": "20"}
        stream: Any = target.add_stream("libopus", rate=_OPUS_HERTZ, options=options)  # Any: of video or audio
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=_OPUS_HERTZ)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            target.mux(stream.encode(part))
        target.mux(stream.encode(None))
    with av.open(io.BytesIO(output.getvalue()), "r") as source:
        found = [bytes(packet) for packet in source.demux() if packet.size]
    return found[:50]
