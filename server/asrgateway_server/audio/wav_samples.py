"""The samples of WAV files to 16-bit ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import av
from av.audio.frame import AudioFrame

from asrgateway_server.audio.g711 import ALAW, MULAW
from asrgateway_server.audio.samples import top_halves, widen

_PCM, _FLOAT, _ALAW, _MULAW = 1, 3, 6, 7
_ANY_RATE: Final = 16_000
_UNSIGNED: Final = (bytes(256), bytes(value ^ 0x80 for value in range(256)))

Converter = Callable[[bytes], bytes]


class _Floats:
    """Samples in floating point, in FFmpeg's name for them."""

    def __init__(self, name: str, sample_bytes: int) -> None:
        self._name = name
        self._sample_bytes = sample_bytes
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=_ANY_RATE)

    def __call__(self, data: bytes) -> bytes:
        """Return 16-bit samples; how many channels they are of does not matter."""
        if not data:
            return b""
        frame = AudioFrame(format=self._name, layout="mono", samples=len(data) // self._sample_bytes)
        frame.planes[0].update(data)
        frame.sample_rate = _ANY_RATE
        return b"".join(bytes(part.planes[0])[: part.samples * 2] for part in self._resampler.resample(frame))


#: By the tag of a format and the bits of a sample; what makes 16-bit samples of them, called once for each stream.
CONVERTERS: Final[Mapping[tuple[int, int], Callable[[], Converter | None]]] = {
    (_PCM, 8): lambda: partial(widen, low=_UNSIGNED[0], high=_UNSIGNED[1]),
    (_PCM, 16): lambda: None,
    (_PCM, 24): lambda: partial(top_halves, sample_bytes=3),
    (_PCM, 32): lambda: partial(top_halves, sample_bytes=4),
    (_FLOAT, 32): lambda: _Floats("flt", 4),
    (_FLOAT, 64): lambda: _Floats("dbl", 8),
    (_ALAW, 8): lambda: partial(widen, low=ALAW[0], high=ALAW[1]),
    (_MULAW, 8): lambda: partial(widen, low=MULAW[0], high=MULAW[1]),
}
