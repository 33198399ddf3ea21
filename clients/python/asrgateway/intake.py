"""Takes a program's items and makes LINEAR16 of its audio, so that a part of it can be sent again."""

from typing import Final

from asrgateway.kept_items import SampleFormat
from asrgateway.requests import AudioItem
from asrgateway.v1.recognition_pb2 import AudioEncoding, StreamingConfig
from asrgateway.wav_header import UnknownHeader, WavHeader, read_header

_LINEAR16: Final = (AudioEncoding.AUDIO_ENCODING_UNSPECIFIED, AudioEncoding.AUDIO_ENCODING_LINEAR16)


class Intake:
    """Passes on the items of one program; of a WAV stream only the samples.

    Attributes:
        config: The config that fits what is passed on; None until the header of a WAV stream is there.
        sample_format: Of the audio; None if it is not known, so that no call can be resumed.
    """

    def __init__(self, config: StreamingConfig) -> None:
        self.config: StreamingConfig | None = None
        self.sample_format: SampleFormat | None = None
        self._given = config
        self._waiting: list[AudioItem] = []
        self._left_bytes: int | None = None
        decoding = config.decoding_config
        if decoding.encoding != AudioEncoding.AUDIO_ENCODING_WAV:
            self.config = config
            if decoding.encoding in _LINEAR16 and decoding.sample_rate_hertz > 0:
                self.sample_format = SampleFormat(
                    rate_hertz=decoding.sample_rate_hertz, channel_count=max(1, decoding.audio_channel_count)
                )

    def add(self, item: AudioItem) -> list[AudioItem]:
        """Take an item; return those that are to be sent."""
        if self.config is not None:
            return self._items(item)
        self._waiting.append(item)
        return self._read_header(item)

    def end(self) -> list[AudioItem]:
        """Return the items that still wait for a header, which does not come."""
        if self.config is None:
            self.config = self._given
        waiting, self._waiting = self._waiting, []
        return waiting

    def _items(self, item: AudioItem) -> list[AudioItem]:
        """Pass an item on, or what of it lies before the end of the samples."""
        if self._left_bytes is None or not isinstance(item, bytes):
            return [item]
        samples = item[: self._left_bytes]
        self._left_bytes -= len(samples)
        return [samples] if samples or not item else []

    def _read_header(self, item: AudioItem) -> list[AudioItem]:
        if not isinstance(item, bytes):
            return self.end()
        start = b"".join(part for part in self._waiting if isinstance(part, bytes))
        try:
            header = read_header(start)
        except UnknownHeader:
            return self.end()
        if header is None:
            return []
        if not _agrees(header, self._given):
            return self.end()
        self._begin(header)
        return self._items(start[header.header_bytes :])

    def _begin(self, header: WavHeader) -> None:
        self._waiting.clear()
        self._left_bytes = header.data_bytes
        self.sample_format = header.sample_format
        self.config = StreamingConfig()
        self.config.CopyFrom(self._given)
        decoding = self.config.decoding_config
        decoding.encoding = AudioEncoding.AUDIO_ENCODING_LINEAR16
        decoding.sample_rate_hertz = header.sample_format.rate_hertz
        decoding.audio_channel_count = header.sample_format.channel_count


def _agrees(header: WavHeader, config: StreamingConfig) -> bool:
    """Whether the config says nothing else; otherwise the gateway names the field."""
    decoding, found = config.decoding_config, header.sample_format
    return decoding.sample_rate_hertz in (0, found.rate_hertz) and decoding.audio_channel_count in (
        0,
        found.channel_count,
    )
