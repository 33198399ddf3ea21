"""The responses to a client, on the client's clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from asrgateway_server.errors import GatewayError
from asrgateway_server.events import (
    CommitEmpty,
    Emotion,
    OptionWarning,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
    Word,
)
from asrgateway_server.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the call has come; milliseconds of audio.

    Attributes:
        received_ms: The client's audio received.
        sent_ms: The client's audio handed to the backend.
        final_ms: End of the last final result.
        silence_ms: Silence that the gateway added.
        channel_final_ms: The same as ``final_ms`` of each channel; empty unless each is recognized by itself.
    """

    received_ms: int
    sent_ms: int
    final_ms: int
    silence_ms: int
    channel_final_ms: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The call has started: the model takes audio.

    Attributes:
        model: The model that recognizes the call.
        sample_rate_hertz: The rate of the audio that the model receives.
        upstream_request_id: The upstream's id of the task; empty if it has none.
        downgrades: Warnings about options that the model ignores or changes.
    """

    model: Model
    sample_rate_hertz: int
    upstream_request_id: str
    downgrades: tuple[OptionWarning, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Text of one utterance, numbered.

    Attributes:
        index: Number of the utterance in the call.
        revision: Number of this text among those of the utterance, from 1.
        is_final: No other text of this utterance follows.
        text: The whole text.
        committed: The beginning of ``text`` that the backend promises to keep.
        stability: Share of the last revision's words that this one kept, 0 to 1; None where ``committed`` is better,
            or there is nothing to compare.
        start_ms: Where the utterance begins; None where the backend has no times.
        end_ms: Where it ends, or how far it goes so far.
        words: With their times; empty unless the client wants them.
        language_code: The language of the speech; empty where the model does not return it.
        emotion: The speaker's emotion; None unless the client wants it and the model returns it.
        is_forced: A commit ended it.
    """

    index: int
    revision: int
    is_final: bool
    text: str
    committed: str
    stability: float | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    words: tuple[Word, ...] = ()
    language_code: str = ""
    emotion: Emotion | None = None
    is_forced: bool = False


class StreamEventType(Enum):
    """What happened between two tasks; named as in the contract."""

    RECONNECTED = auto()
    FAILED_OVER = auto()
    ROLLED_OVER = auto()
    HIBERNATED = auto()
    WOKE = auto()
    AUDIO_DROPPED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """Something happened to the call's tasks.

    Attributes:
        type: What.
        reason: Why, in a sentence.
        start_ms: Where the audio concerned begins.
        end_ms: Where it ends.
        from_model: The model before; empty where it did not change.
        to_model: The model after, likewise.
        downgrades: Warnings about options that the new model ignores or changes.
    """

    type: StreamEventType
    reason: str
    start_ms: int
    end_ms: int
    from_model: str = ""
    to_model: str = ""
    downgrades: tuple[OptionWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingAway:
    """The gateway is going to end the call.

    Attributes:
        left_ms: The time until then.
    """

    left_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    """The summary of a call. Delays as ``Delays`` defines them; None where an instant is missing.

    Attributes:
        audio_ms: The client's audio.
        silence_ms: Silence that the gateway added.
        replayed_ms: Audio that was sent to the model again.
        reconnects: How often the model was lost and reached again.
        billed_ms: The audio that the vendor bills; None where it does not say.
        estimated_cost_cny: The catalogue's price of the audio billed, or sent; None without a price.
        final_results: How many final results were sent.
        error: Of a channel, why it has failed; None if it has not.
        channels: The summaries of the channels, where each is recognized by itself.
    """

    first_package_delay_seconds: float | None
    last_package_delay_seconds: float | None
    upstream_first_package_delay_seconds: float | None
    upstream_last_package_delay_seconds: float | None
    audio_ms: int
    silence_ms: int
    replayed_ms: int
    reconnects: int
    billed_ms: int | None
    estimated_cost_cny: float | None
    final_results: int
    upstream_request_ids: tuple[str, ...]
    error: GatewayError | None = None
    channels: tuple[CallFinished, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFailed:
    """A channel is not recognized any more; the others go on.

    Attributes:
        error: Why.
        start_ms: Where its audio begins that has no final result.
    """

    error: GatewayError
    start_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OfChannel:
    """A response that concerns one channel of several.

    Attributes:
        channel: Its number, from 0.
        response: The response.
    """

    channel: int
    response: ChannelResponse


#: What may concern one channel.
ChannelResponse = (
    Result | SpeechStarted | SpeechEnded | CommitEmpty | UpdateApplied | OptionWarning | StreamEvent | ChannelFailed
)
Response = (
    OfChannel
    | Started
    | Result
    | SpeechStarted
    | SpeechEnded
    | CommitEmpty
    | UpdateApplied
    | OptionWarning
    | StreamEvent
    | ChannelFailed
    | GoingAway
    | CallFinished
)
