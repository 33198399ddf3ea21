"""Riva's config to the contract's, field by field."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.errors import InvalidRequest, UnsupportedOption
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api.encodings import encoding_of, has_header
from asrgateway_server.riva_api.options import RivaOptions

_LONGEST_ID: Final = 128
_LONGEST_KEY: Final = 64
#: Clients say this for any language.
_ANY_LANGUAGE: Final = ("", "multi", "auto")
#: Many clients send it unless they are told otherwise, whatever is spoken.
_USUAL_LANGUAGE: Final = "en-us"
#: What the contract takes as the silence that ends an utterance.
_SILENCE_MS: Final = (200, 6000)
_STOP_HISTORY_EOU: Final = "stop_history_eou"
# Each costs time before the contract's own limits are looked at.
_MOST_PHRASES: Final = 10_000
_MOST_KEYS: Final = 64
_WITHOUT_MATCH: Final = ("start_history", "start_threshold", "stop_threshold", "stop_threshold_eou")


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something in a request that is ignored or changed.

    Attributes:
        field: Its path.
        reason: Why, and what is done instead.
    """

    field: str
    reason: str


@dataclass(slots=True)
class _Draft:
    config: pb.StreamingConfig = field(default_factory=pb.StreamingConfig)
    ignored: list[Ignored] = field(default_factory=list)

    def ignore(self, name: str, reason: str) -> None:
        self.ignored.append(Ignored(name, reason))


def config_from(
    message: asr.RecognitionConfig, start: bytes, request_id: str, options: RivaOptions
) -> tuple[pb.StreamingConfig, tuple[Ignored, ...]]:
    """Return the contract's config, and what of Riva's has no place in it.

    Args:
        message: Riva's config.
        start: The first bytes of the audio.
        request_id: The client's own id of the call.
        options: The operator's.

    Raises:
        InvalidRequest: The encoding is unknown, or there are too many phrases or keys.
        UnsupportedOption: Something has no place, and the operator is strict.
    """
    verify_count("config.custom_configuration", len(message.custom_configuration))
    phrases = sum(len(context.phrases) for context in message.speech_contexts)
    verify_count("config.speech_contexts", phrases, _MOST_PHRASES, "phrases")
    draft = _Draft()
    draft.config.model = message.model
    draft.config.request_id = request_id
    _set_audio(draft, message, start)
    _set_language(draft, message.language_code, options)
    _set_features(draft, message)
    draft.config.adaptation.hotwords.extend(_hotwords(draft, message))
    _set_silence(draft, message)
    _ignore_rest(draft, message)
    if options.is_strict:
        draft.config.strict = draft.config.fail_on_audio_loss = True
    refuse_if_strict(options, draft.ignored)
    return draft.config, tuple(draft.ignored)


def verify_count(name: str, count: int, most: int = _MOST_KEYS, unit: str = "keys") -> None:
    """Raise InvalidRequest if there is more of something than is worth reading."""
    if count > most:
        raise InvalidRequest(f"{name} has {count} {unit}; at most {most} are taken", field=name)


def refuse_if_strict(options: RivaOptions, ignored: Sequence[Ignored]) -> None:
    """Raise UnsupportedOption if anything is ignored and the operator is strict."""
    if ignored and options.is_strict:
        first = ignored[0]
        raise UnsupportedOption(f"{first.field}: {first.reason}, and riva_strict is set", field=first.field)


def note_of(message: asr.RecognitionConfig, options: RivaOptions) -> str:
    """Return what the client should know of its config, though it is obeyed; empty if there is nothing."""
    code = message.language_code
    if code.lower() != _USUAL_LANGUAGE or code.lower() in options.ignored_languages:
        return ""
    return f"config.language_code: {code} is obeyed; if your program sent it by itself, set the language of the speech"


def id_of(message: asr.StreamingRecognizeRequest | asr.RecognizeRequest) -> str:
    """Return the client's own id of its call, cut at what the contract takes."""
    return message.id.value[:_LONGEST_ID]


def _set_audio(draft: _Draft, message: asr.RecognitionConfig, start: bytes) -> None:
    audio = draft.config.decoding_config
    audio.encoding = encoding_of(message.encoding, start)
    is_separate = message.enable_separate_recognition_per_channel
    audio.channel_mode = pb.CHANNEL_MODE_SEPARATE if is_separate else pb.CHANNEL_MODE_FIRST
    if has_header(audio.encoding):
        return
    if message.sample_rate_hertz:
        audio.sample_rate_hertz = message.sample_rate_hertz
    if message.audio_channel_count:
        audio.audio_channel_count = message.audio_channel_count


def _set_language(draft: _Draft, code: str, options: RivaOptions) -> None:
    if code.lower() in _ANY_LANGUAGE:
        return
    if code.lower() in options.ignored_languages:
        draft.ignore("config.language_code", "the operator has this code ignored, and the model decides")
    else:
        draft.config.language_codes.append(code)


def _set_features(draft: _Draft, message: asr.RecognitionConfig) -> None:
    # In proto3 false and unset are the same, and Riva's clients mean false.
    features = draft.config.features
    features.enable_automatic_punctuation = message.enable_automatic_punctuation
    features.enable_inverse_text_normalization = not message.verbatim_transcripts
    features.enable_word_time_offsets = message.enable_word_time_offsets
    if message.profanity_filter:
        features.sensitive_word_filter.use_builtin_list = True


def _hotwords(draft: _Draft, message: asr.RecognitionConfig) -> Iterator[pb.Hotword]:
    for position, context in enumerate(message.speech_contexts):
        phrases = [phrase for phrase in context.phrases if phrase.strip()]
        if phrases and context.boost < 0:
            reason = "no model makes words rarer, so those of a negative boost are left out"
            draft.ignore(f"config.speech_contexts[{position}].boost", reason)
            continue
        weight = _weight(context.boost)
        yield from (pb.Hotword(text=phrase, weight=weight) for phrase in phrases)


def _weight(boost: float) -> int | None:
    """Return a weight of the contract; the scales of boosts differ from server to server."""
    return None if boost == 0 or math.isnan(boost) else round(min(max(boost, 1.0), 5.0))


def _set_silence(draft: _Draft, message: asr.RecognitionConfig) -> None:
    wishes = dict(_silences(draft, message))
    for name, wanted_ms in wishes.items():
        if draft.config.endpointing.server_vad.HasField("silence"):
            draft.ignore(name, "stop_history has said when an utterance ends")
            continue
        lowest, highest = _SILENCE_MS
        ms = min(max(wanted_ms, lowest), highest)
        draft.config.endpointing.server_vad.silence.FromMilliseconds(ms)
        if ms != wanted_ms:
            draft.ignore(name, f"it must be {lowest} to {highest} ms; {ms} ms is used")


def _silences(draft: _Draft, message: asr.RecognitionConfig) -> Iterator[tuple[str, int]]:
    """Yield the wishes for the silence that ends an utterance, the first one first."""
    endpointing = message.endpointing_config
    for name in ("stop_history", _STOP_HISTORY_EOU):
        if (ms := getattr(endpointing, name)) > 0:
            yield f"config.endpointing_config.{name}", ms
    if text := message.custom_configuration.get(_STOP_HISTORY_EOU, ""):
        name = f"config.custom_configuration.{_STOP_HISTORY_EOU}"
        if text.isascii() and text.isdecimal() and len(text) < 10:
            yield name, int(text)
        else:
            draft.ignore(name, "it must be a number of milliseconds")


def _ignore_rest(draft: _Draft, message: asr.RecognitionConfig) -> None:
    for name in _WITHOUT_MATCH:
        if getattr(message.endpointing_config, name) > 0:
            draft.ignore(f"config.endpointing_config.{name}", "the model decides by its own voice-activity detection")
    if message.diarization_config.enable_speaker_diarization:
        draft.ignore("config.diarization_config", "speakers are not told apart")
    for key in sorted(set(message.custom_configuration) - {_STOP_HISTORY_EOU}):
        draft.ignore(f"config.custom_configuration.{key[:_LONGEST_KEY]}", "this gateway does not know it")
