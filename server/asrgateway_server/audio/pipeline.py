"""One call's audio: the client's bytes in, PCM at the rate of a model out."""

from __future__ import annotations

from asrgateway_server.audio.encodings import open_decoder
from asrgateway_server.audio.pcm import PcmFormat
from asrgateway_server.audio.resampler import Resampler
from asrgateway_server.config import AudioFormat, ChannelMode


class AudioPipeline:
    """Decodes, mixes and resamples.

    Attributes:
        sample_rate_hertz: Of what it returns: 16-bit little-endian, mono; with mode SEPARATE all channels, interleaved.
    """

    def __init__(self, audio: AudioFormat, sample_rate_hertz: int) -> None:
        self.sample_rate_hertz = sample_rate_hertz
        self._mode = audio.channel_mode
        self._decoder = open_decoder(audio)
        self._resampler: Resampler | None = None
        self._is_open = False
        self._received_frames = 0

    @property
    def received_ms(self) -> int:
        """The client's clock: the audio received, headers left out."""
        pcm_format = self._decoder.pcm_format
        return self._received_frames * 1000 // pcm_format.sample_rate_hertz if pcm_format else 0

    @property
    def has_more(self) -> bool:
        """Whether the bytes so far hold more than was decoded: ``feed(b"")`` goes on."""
        return self._decoder.has_more

    @property
    def channel_count(self) -> int | None:
        """The client's channels; None until a header has told it."""
        pcm_format = self._decoder.pcm_format
        return pcm_format.channel_count if pcm_format else None

    def feed(self, data: bytes) -> bytes:
        """Return the PCM that ``data`` completes, or as much of it as may be decoded at once.

        Raises:
            UndecodableAudio: The bytes are not what the config says.
            InvalidRequest: Their header contradicts the config.
        """
        return self._convert(self._decoder.decode(data))

    def flush(self) -> bytes:
        """Return the rest; nothing may follow."""
        rest = self._convert(self._decoder.flush())
        return rest + self._resampler.flush() if self._resampler else rest

    def _convert(self, pcm: bytes) -> bytes:
        pcm_format = self._decoder.pcm_format
        if pcm_format is None or not pcm:
            return b""
        self._received_frames += len(pcm) // pcm_format.frame_bytes
        if not self._is_open:
            self._resampler = _resampler(pcm_format, self.sample_rate_hertz, self._mode)
            self._is_open = True
        return self._resampler.resample(pcm) if self._resampler else pcm

    def verify_end(self) -> None:
        """Raise UndecodableAudio if the audio may not end where it has."""
        self._decoder.verify_end()


def _resampler(source: PcmFormat, sample_rate_hertz: int, mode: ChannelMode) -> Resampler | None:
    """Return what the audio needs; None where it already is what the model takes."""
    channel_count = source.channel_count if mode is ChannelMode.SEPARATE else 1
    if source == PcmFormat(sample_rate_hertz, channel_count):
        return None
    return Resampler(source, sample_rate_hertz, mode)
