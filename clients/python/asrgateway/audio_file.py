"""A recording on disk: its format, its length, and its bytes in messages."""

import wave
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asrgateway.coded_file import ENCODING_OF_SUFFIX
from asrgateway.pacing import at_speaking_speed
from asrgateway.v1.recognition_pb2 import AudioEncoding, DecodingConfig

ENCODINGS: Final = (
    "linear16",
    "wav",
    "mulaw",
    "alaw",
    "flac",
    "mp3",
    "ogg_opus",
    "webm_opus",
    "aac",
    "amr",
    "amr_wb",
    "ogg_speex",
    "auto",
)
"""What gateways decode."""

_ENCODING_OF_SUFFIX: Final[Mapping[str, str]] = {".wav": "wav", ".pcm": "linear16", ".raw": "linear16"}
SUFFIXES: Final = (*_ENCODING_OF_SUFFIX, *ENCODING_OF_SUFFIX)
"""Names of recordings in a folder end so."""

_FOREIGN_SUFFIXES: Final = frozenset({".aiff", ".m4a", ".mka", ".mp4", ".wma"})
_SAMPLE_BYTES: Final = 2
_FAST_MESSAGE_BYTES: Final = 32 << 10  # One second of 16 kHz speech: few messages, and progress still moves.


class UnusableFile(Exception):
    """The file cannot be sent, or not with these options."""


class UncommonWavFile(UnusableFile):
    """The file has no 16-bit PCM samples: the gateway may take it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFile:
    """A recording that can be sent.

    Attributes:
        path: The file.
        decoding_config: The format that is sent to the gateway.
        header_bytes: Bytes before the first sample.
        audio_bytes: Bytes of samples.
        frame_bytes: One sample of every channel.
        sample_rate_hertz: Frames per second.
    """

    path: Path
    decoding_config: DecodingConfig
    header_bytes: int
    audio_bytes: int
    frame_bytes: int
    sample_rate_hertz: int

    def messages(self, message_bytes: int = _FAST_MESSAGE_BYTES) -> Iterator[bytes]:
        """Read the whole file; the first message holds the header and as much audio as the others.

        Raises:
            OSError: The file cannot be read any more.
        """
        with self.path.open("rb") as file:
            message = file.read(self.header_bytes + message_bytes)
            while message:
                yield message
                message = file.read(message_bytes)

    def stream(self, *, is_fast: bool) -> AsyncIterator[bytes]:
        """Yield the whole file at speaking speed, or as fast as it is taken.

        Raises:
            OSError: The file cannot be read any more.
        """
        if is_fast:
            return at_speaking_speed(self.messages(), 0.0)
        return at_speaking_speed(self.messages(self.message_bytes), self.message_seconds)

    def samples(self) -> bytes:
        """Read the audio without its header.

        Raises:
            OSError: The file cannot be read any more.
            UnusableFile: There is none.
        """
        with self.path.open("rb") as file:
            file.seek(self.header_bytes)
            samples = file.read(self.audio_bytes)
        if not samples:
            raise UnusableFile(f"{self.path} holds no audio")
        return samples

    @property
    def channel_count(self) -> int:
        """Interleaved channels."""
        return self.frame_bytes // _SAMPLE_BYTES

    @property
    def message_bytes(self) -> int:
        """Bytes of the 100 ms that one message holds at speaking speed."""
        return max(1, self.sample_rate_hertz // 10) * self.frame_bytes

    @property
    def message_seconds(self) -> float:
        """The duration of one message at speaking speed: 0.1 unless the rate is no multiple of 10."""
        return self.message_bytes / self._bytes_per_second

    @property
    def seconds(self) -> float:
        """The duration of the whole recording."""
        return self.audio_bytes / self._bytes_per_second

    def seconds_of(self, sent_bytes: int) -> float:
        """Return how much audio the first bytes hold, header included."""
        return min(max(0, sent_bytes - self.header_bytes), self.audio_bytes) / self._bytes_per_second

    @property
    def _bytes_per_second(self) -> int:
        return self.sample_rate_hertz * self.frame_bytes


def open_audio(
    path: Path,
    *,
    encoding: str | None,
    sample_rate_hertz: int | None,
    channel_count: int | None,
) -> AudioFile:
    """Find the format of a file without reading its audio.

    Args:
        path: The file.
        encoding: One of ``ENCODINGS``; None: by its name.
        sample_rate_hertz: None: as its header says.
        channel_count: None: as its header says, or 1.

    Raises:
        OSError: The file cannot be read.
        UnusableFile: Its header and the arguments contradict each other, or something is missing.
    """
    size_bytes = path.stat().st_size
    if not path.is_file():
        raise UnusableFile(f"{path} is not a file")
    if encoding not in (None, "linear16", "wav"):
        raise UnusableFile(f"{encoding} audio cannot be sent like this: convert it to a WAV file")
    has_wav_header = _has_wav_header(path)
    if (encoding or _encoding_by_name(path)) == "wav":
        return _open_wav(path, size_bytes, sample_rate_hertz, channel_count)
    if has_wav_header:
        raise UnusableFile(f"{path} is a WAV file: use --encoding wav")
    if sample_rate_hertz is None:
        raise UnusableFile(f"{path} has no header with a sample rate: add --rate, such as --rate 16000")
    return AudioFile(
        path=path,
        decoding_config=DecodingConfig(
            encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16,
            sample_rate_hertz=sample_rate_hertz,
            audio_channel_count=channel_count,
        ),
        header_bytes=0,
        audio_bytes=size_bytes,
        frame_bytes=_SAMPLE_BYTES * (channel_count or 1),
        sample_rate_hertz=sample_rate_hertz,
    )


def _has_wav_header(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(12)
    return start[:4] == b"RIFF" and start[8:] == b"WAVE"


def _encoding_by_name(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in _FOREIGN_SUFFIXES or suffix in ENCODING_OF_SUFFIX:
        raise UnusableFile(
            f"{path.name}: {suffix[1:]} files cannot be sent like this: convert it, "
            f"such as with 'ffmpeg -i {path.name} -ac 1 -ar 16000 {path.stem}.wav'"
        )
    if suffix not in _ENCODING_OF_SUFFIX:
        raise UnusableFile(f"the name {path.name} does not show the encoding: add --encoding {' or '.join(ENCODINGS)}")
    return _ENCODING_OF_SUFFIX[suffix]


def _open_wav(path: Path, size_bytes: int, sample_rate_hertz: int | None, channel_count: int | None) -> AudioFile:
    try:
        with path.open("rb") as file, wave.open(file) as header:
            header_bytes = file.tell()
            rate, channels = header.getframerate(), header.getnchannels()
            frame_bytes = channels * header.getsampwidth()
            header_audio_bytes = header.getnframes() * frame_bytes
    except (wave.Error, EOFError) as error:
        cause = str(error) or "it ends inside its header"
        is_other = isinstance(error, wave.Error) and cause.startswith("unknown format")
        kind = UncommonWavFile if is_other else UnusableFile
        raise kind(f"{path} is not a WAV file with PCM samples: {cause}") from error
    if header.getsampwidth() != _SAMPLE_BYTES:
        raise UncommonWavFile(
            f"{path} has samples of {header.getsampwidth() * 8} bits, 16 are needed here: "
            f"convert it, such as with 'ffmpeg -i {path.name} -c:a pcm_s16le converted.wav'"
        )
    if rate == 0:
        raise UnusableFile(f"{path} is not a WAV file with PCM samples: its rate is 0 Hz")
    _agree("--rate", sample_rate_hertz, rate, "Hz")
    _agree("--channels", channel_count, channels, "channel(s)")
    rest_bytes = size_bytes - header_bytes
    return AudioFile(
        path=path,
        decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_WAV),
        header_bytes=header_bytes,
        # A recorder that cannot rewrite its header leaves 0 or the largest number in it.
        audio_bytes=min(header_audio_bytes, rest_bytes) or rest_bytes,
        frame_bytes=frame_bytes,
        sample_rate_hertz=rate,
    )


def _agree(option: str, given: int | None, found: int, unit: str) -> None:
    if given is not None and given != found:
        raise UnusableFile(f"{option} {given} contradicts the file's header, which says {found} {unit}")
