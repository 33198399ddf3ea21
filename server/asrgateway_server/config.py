"""What a client asks for, once per call."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from asrgateway_server.models import Model


class Encoding(Enum):
    """How the client's audio is coded."""

    LINEAR16 = auto()
    WAV = auto()


class ChannelMode(Enum):
    """Which channels of the client's audio are recognized."""

    MIX = auto()
    FIRST = auto()
    LAST = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """What the client's audio bytes are.

    Attributes:
        encoding: How they are coded.
        sample_rate_hertz: Samples per second and channel; None: the audio's header tells.
        channel_count: Interleaved channels; None: the audio's header tells, or one.
        channel_mode: Which of them are recognized.
    """

    encoding: Encoding = Encoding.LINEAR16
    sample_rate_hertz: int | None = None
    channel_count: int | None = None
    channel_mode: ChannelMode = ChannelMode.MIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Where an earlier call stopped.

    Attributes:
        audio_offset_ms: Added to every offset.
        next_result_index: Number of the first utterance.
    """

    audio_offset_ms: int = 0
    next_result_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionConfig:
    """One call's wishes, complete and checked.

    Attributes:
        model: The model that recognizes, aliases resolved.
        audio: What the audio bytes are.
        language_codes: BCP-47 codes, the likeliest first; empty: the model decides.
        interim_results: Tell text while it is spoken.
        word_time_offsets: Tell the times of words.
        voice_activity_events: Tell when speech begins and ends.
        is_strict: What the model cannot honour is an error, not a warning.
        resume: Where an earlier call stopped.
        wishes: Paths of the options that the client set and a model may be unable to honour; those of enums and
            booleans end in ``=value``.
    """

    model: Model
    audio: AudioFormat
    language_codes: tuple[str, ...] = ()
    interim_results: bool = False
    word_time_offsets: bool = False
    voice_activity_events: bool = False
    is_strict: bool = False
    resume: Resume = Resume()
    wishes: tuple[str, ...] = ()
