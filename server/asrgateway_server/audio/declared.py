"""What the config declares of the audio: which values are taken, and whether a header agrees."""

from __future__ import annotations

from typing import Final

from asrgateway_server.config import AudioFormat
from asrgateway_server.errors import InvalidRequest, UndecodableAudio

MIN_SAMPLE_RATE_HERTZ: Final = 4_000
MAX_SAMPLE_RATE_HERTZ: Final = 192_000
MAX_CHANNELS: Final = 16

FORMAT_FIELD: Final = "streaming_config.decoding_config"
ENCODING_FIELD: Final = f"{FORMAT_FIELD}.encoding"


def declared_rate(audio: AudioFormat, usual: int) -> int:
    """Return the rate of audio without a header.

    Raises:
        InvalidRequest: The config has none.
    """
    if audio.sample_rate_hertz is None:
        raise InvalidRequest(
            f"{audio.encoding.name} audio has no header, so its sample rate must be given, such as {usual}",
            field=f"{FORMAT_FIELD}.sample_rate_hertz",
        )
    return audio.sample_rate_hertz


def verify_format(what: str, rate_hertz: int, channel_count: int) -> None:
    """Raise UndecodableAudio unless audio of such a format is taken."""
    if not MIN_SAMPLE_RATE_HERTZ <= rate_hertz <= MAX_SAMPLE_RATE_HERTZ:
        raise UndecodableAudio(
            f"the {what} has {rate_hertz} Hz; {MIN_SAMPLE_RATE_HERTZ} to {MAX_SAMPLE_RATE_HERTZ} are taken",
            field="audio",
        )
    if not 1 <= channel_count <= MAX_CHANNELS:
        raise UndecodableAudio(f"the {what} has {channel_count} channels; 1 to {MAX_CHANNELS} are taken", field="audio")


def verify_declared(
    audio: AudioFormat, header: str, rates_hertz: tuple[int, ...], channel_counts: tuple[int, ...]
) -> None:
    """Raise InvalidRequest if the config contradicts a header, whose first value is the one that is named.

    Args:
        audio: What the config says.
        header: Whose header it is, such as "WAV".
        rates_hertz: The rates by which the audio may be declared.
        channel_counts: The counts by which it may be declared.
    """
    _verify("sample_rate_hertz", audio.sample_rate_hertz, header, rates_hertz)
    _verify("audio_channel_count", audio.channel_count, header, channel_counts)


def _verify(field: str, declared: int | None, header: str, found: tuple[int, ...]) -> None:
    if declared is not None and declared not in found:
        raise InvalidRequest(
            f"the config says {declared}, the {header} header {found[0]}; leave it out, or make them agree",
            field=f"{FORMAT_FIELD}.{field}",
        )
