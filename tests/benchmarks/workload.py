"""What every stream does: real-time audio up, the emulator's scripted results down."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

MODEL: Final = "paraformer-realtime-v2"
#: Audio as base64, and a dialect of its own.
QWEN3_MODEL: Final = "qwen3-asr-flash-realtime"
SAMPLE_RATE_HERTZ: Final = 16_000
PACKET_MS: Final = 100
PACKET_SECONDS: Final = PACKET_MS / 1000
#: Loud noise: nothing on the way may take it for silence.
PACKET: Final = random.Random(0).randbytes(SAMPLE_RATE_HERTZ * 2 * PACKET_MS // 1000)

# The default script of the emulator's `script` recogniser.
_SENTENCE_MS: Final = 4000
_RESULTS_AT_MS: Final = (*range(200, _SENTENCE_MS, 300), _SENTENCE_MS)

_OPENINGS_PER_SECOND: Final = 120.0
_SHORTEST_RAMP_SECONDS: Final = 0.2
#: Streams go on for so long after the window: their ends, all at once, are not what is measured.
TAIL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many streams, and for how long; they open one after another and all end a while after the window.

    Attributes:
        streams: Streams at the same time.
        window_seconds: How long is measured.
        settle_seconds: From the last opening to the window.
    """

    streams: int
    window_seconds: float
    settle_seconds: float

    @property
    def ramp_seconds(self) -> float:
        """From the first opening to the last."""
        return max(_SHORTEST_RAMP_SECONDS, self.streams / _OPENINGS_PER_SECOND)

    def openings(self) -> list[float]:
        """When each stream opens, in seconds from the beginning: at random, as callers do, but always at the same."""
        moments = random.Random(self.streams)
        return sorted(moments.uniform(0, self.ramp_seconds) for _ in range(self.streams))


def expected_results(packets: int) -> int:
    """Return how many results a stream of so many packets gets; its end closes the open sentence."""
    sentences, rest_ms = divmod(packets * PACKET_MS, _SENTENCE_MS)
    interims = len([at_ms for at_ms in _RESULTS_AT_MS if at_ms <= rest_ms])
    return sentences * len(_RESULTS_AT_MS) + interims + bool(interims)
