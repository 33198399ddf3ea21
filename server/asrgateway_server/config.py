"""What a client asks for, once per call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from asrgateway_server.models import Model

if TYPE_CHECKING:  # A worker process imports this module, and would take 0.2 s longer to start.
    from pydantic import SecretStr

#: How much a hot word is preferred when nothing is said; what the vendor's manual advises.
DEFAULT_WEIGHT: Final = 4


class Encoding(Enum):
    """How the client's audio is coded."""

    LINEAR16 = auto()
    WAV = auto()
    MULAW = auto()
    ALAW = auto()
    FLAC = auto()
    MP3 = auto()
    OGG_OPUS = auto()
    WEBM_OPUS = auto()
    AAC = auto()
    AMR = auto()
    AMR_WB = auto()
    OGG_SPEEX = auto()
    AUTO = auto()


class ChannelMode(Enum):
    """Which channels of the client's audio are recognized."""

    MIX = auto()
    FIRST = auto()
    LAST = auto()
    SEPARATE = auto()
    """Each by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """What the client's audio bytes are.

    Attributes:
        encoding: How they are coded.
        sample_rate_hertz: Samples per second and channel; None: the audio's header says.
        channel_count: Interleaved channels; None: the audio's header says, or one.
        channel_mode: Which of them are recognized.
    """

    encoding: Encoding = Encoding.LINEAR16
    sample_rate_hertz: int | None = None
    channel_count: int | None = None
    channel_mode: ChannelMode = ChannelMode.MIX


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerVad:
    """The model's voice-activity detection ends an utterance; None: as the model does by itself.

    Attributes:
        silence_ms: Silence that ends it.
        threshold: From -1, more is taken for speech, to 1, more is taken for noise.
        is_multi_threshold: The awaited silence shrinks as an utterance grows.
    """

    silence_ms: int | None = None
    threshold: float | None = None
    is_multi_threshold: bool = False


@dataclass(frozen=True, slots=True)
class SemanticEndpointing:
    """The model ends an utterance by its meaning."""


@dataclass(frozen=True, slots=True)
class ManualEndpointing:
    """Only a commit ends an utterance."""


Endpointing = ServerVad | SemanticEndpointing | ManualEndpointing


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitiveWordFilter:
    """Words to mask or remove.

    Attributes:
        masked_words: Replaced by asterisks.
        removed_words: Left out.
        use_builtin_list: Use the vendor's own list too; None: as the vendor does by itself.
    """

    masked_words: tuple[str, ...] = field(default=(), repr=False)
    removed_words: tuple[str, ...] = field(default=(), repr=False)
    use_builtin_list: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What is done to the text; None: as the model does by itself. And what is returned beside it.

    Attributes:
        punctuation: Write punctuation marks.
        inverse_text_normalization: Write numbers in digits.
        disfluency_removal: Leave out filler words.
        word_time_offsets: Return the times of words.
        voice_activity_events: Return when speech begins and ends.
        emotion: Return how the speaker sounds.
        sensitive_words: Words to mask or remove; None: as the model does by itself.
    """

    punctuation: bool | None = None
    inverse_text_normalization: bool | None = None
    disfluency_removal: bool | None = None
    word_time_offsets: bool = False
    voice_activity_events: bool = False
    emotion: bool = False
    sensitive_words: SensitiveWordFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hotword:
    """A word or short phrase to expect.

    Attributes:
        text: As it should be written.
        weight: How much it is preferred, 1 to 5, and 50 where the model knows super hot words.
        language_code: BCP-47 code of its language; empty: any.
    """

    text: str = field(repr=False)
    weight: int = DEFAULT_WEIGHT
    language_code: str = ""


class ContextRole(Enum):
    """Who said an earlier message."""

    USER = auto()
    ASSISTANT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextMessage:
    """One earlier message of a conversation."""

    role: ContextRole
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """Words and subjects to expect.

    Attributes:
        vocabulary_id: A hot-word table stored with the vendor; empty: none.
        hotwords: Hot words of this call.
        context: Free text about the subject; empty: none.
        context_messages: What was said before, oldest first.
    """

    vocabulary_id: str = ""
    hotwords: tuple[Hotword, ...] = ()
    context: str = field(default="", repr=False)
    context_messages: tuple[ContextMessage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What a call shall expect from here on, in the place of what it expected.

    Attributes:
        adaptation: The new one, as a whole.
        options_set: As in ``RecognitionConfig``; each begins with ``update.``.
    """

    adaptation: Adaptation
    options_set: tuple[str, ...] = ()


class KeepAlivePolicy(Enum):
    """What is done while the client is quiet."""

    INJECT = auto()
    HIBERNATE = auto()
    OFF = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAlive:
    """What keeps a quiet call alive.

    Attributes:
        policy: What is done in silence.
        quiet_after_ms: How long the audio may lag behind the clock; None: as the operator says.
    """

    policy: KeepAlivePolicy = KeepAlivePolicy.INJECT
    quiet_after_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Where an earlier call stopped.

    Attributes:
        audio_offset_ms: Added to every offset.
        next_result_index: Number of the first utterance.
        channel_offsets_ms: Where each channel stopped, not before ``audio_offset_ms``; empty: all of them there.
    """

    audio_offset_ms: int = 0
    next_result_index: int = 0
    channel_offsets_ms: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionConfig:
    """One call's options, complete and checked.

    Attributes:
        model: The model that recognizes, aliases resolved.
        audio: What the audio bytes are.
        language_codes: BCP-47 codes, the likeliest first; empty: the model decides.
        interim_results: Return text while it is spoken.
        endpointing: When an utterance ends.
        features: What is done to the text, and returned beside it.
        adaptation: Words and subjects to expect.
        keep_alive: What keeps the call alive while the client is quiet.
        vendor_parameters: Passed on to the vendor as they are.
        is_strict: What the model cannot honour is an error, not a warning.
        fails_on_audio_loss: The call ends when audio is lost; if not, an event says so.
        resume: Where an earlier call stopped.
        options_set: Paths, within StreamingConfig, of the options that the client set and a model may be unable to
            honour; booleans end in ``=true`` or ``=false``, messages without a value in ``=``.
        needs_words: The call needs the words of interim results, whether the client wants them or not: what a replay
            gives again is cut by their times. Those of final results are always needed.
        vendor_metadata: What the client brought for its vendors, such as a key for this call alone, by the name of the
            metadata; each vendor knows its own names.
    """

    model: Model
    audio: AudioFormat
    language_codes: tuple[str, ...] = ()
    interim_results: bool = False
    endpointing: Endpointing = ServerVad()
    features: Features = Features()
    adaptation: Adaptation = Adaptation()
    keep_alive: KeepAlive = KeepAlive()
    vendor_parameters: Mapping[str, object] = field(default_factory=dict)
    is_strict: bool = False
    fails_on_audio_loss: bool = False
    resume: Resume = Resume()
    options_set: tuple[str, ...] = ()
    needs_words: bool = False
    vendor_metadata: Mapping[str, SecretStr] = field(default_factory=dict, repr=False)

    @property
    def model_rate_hertz(self) -> int:
        """The rate at which the model gets this call's audio."""
        return self.model.rate_for(self.audio.sample_rate_hertz)
