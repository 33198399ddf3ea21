"""The models of Model Studio, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from asrgateway_server.models import UpstreamEncoding
from asrgateway_server.vendors.dashscope import hotword_limits
from asrgateway_server.vendors.dashscope.model import DashScopeModel, HotwordResource

# The vendor's regions: every realtime recognizer is served in Beijing, some in Singapore too.
_BEIJING: Final = ("cn-beijing",)
_BOTH_REGIONS: Final = ("cn-beijing", "ap-southeast-1")

# Source: Model Studio manual, "Paraformer client events" and "real-time speech recognition", November 2026.
_PARAFORMER_V1_OPTIONS: Final = frozenset(
    {
        "features.enable_word_time_offsets",
        "features.enable_voice_activity_events",
        "features.enable_automatic_punctuation=true",
        "features.enable_inverse_text_normalization=true",
        "features.enable_disfluency_removal",
        "adaptation.vocabulary_id",
        "adaptation.hotwords",
        "endpointing.server_vad=",
        "keep_alive",
        "vendor_parameters",
    }
)
_PARAFORMER_V2_OPTIONS: Final = _PARAFORMER_V1_OPTIONS | {
    "features.enable_automatic_punctuation",
    "features.enable_inverse_text_normalization",
    "endpointing.server_vad.silence",
    "endpointing.server_vad.multi_threshold",
    "endpointing.semantic",
}
_HEARTBEAT: Final = frozenset({"heartbeat"})
#: Hot words go into the task itself.
_INSTANT_WORDS: Final = frozenset({"vocabulary"})
_INTERIM_SWITCH: Final = "intermediate_result_enabled"


def _paraformer(
    name: str,
    language_codes: tuple[str, ...],
    sample_rates_hertz: tuple[int, ...],
    options: frozenset[str],
    *,
    max_language_hints: int = 0,
) -> DashScopeModel:
    is_first = options is _PARAFORMER_V1_OPTIONS
    return DashScopeModel(
        name=name,
        backend="paraformer",
        language_codes=language_codes,
        sample_rates_hertz=sample_rates_hertz,
        options=options,
        switches=frozenset() if is_first else _HEARTBEAT,
        hotwords=hotword_limits.PHRASES if is_first else hotword_limits.PARAFORMER_TABLE,
        hotword_resource=HotwordResource.PHRASES if is_first else HotwordResource.TABLE,
        max_language_hints=max_language_hints,
        regions=_BEIJING,
        price_per_second_cny=0.00024,
        outlasts_silence=not is_first,
    )


_PARAFORMER_MODELS: Final = (
    _paraformer(
        "paraformer-realtime-v2",
        ("zh", "en", "ja", "yue", "ko", "de", "fr", "ru"),
        (8_000, 16_000),
        _PARAFORMER_V2_OPTIONS,
        max_language_hints=8,
    ),
    _paraformer("paraformer-realtime-8k-v2", ("zh",), (8_000,), _PARAFORMER_V2_OPTIONS | {"features.enable_emotion"}),
    _paraformer("paraformer-realtime-v1", ("zh",), (16_000,), _PARAFORMER_V1_OPTIONS),
    _paraformer("paraformer-realtime-8k-v1", ("zh",), (8_000,), _PARAFORMER_V1_OPTIONS),
)

# What follows resolves what the vendor's pages of 2025 and 2026 disagree about; each comment names both versions.
# Source: Model Studio manual, "Fun-ASR client events", "Qwen-Audio-ASR client events", "improve recognition accuracy".

# Free text and earlier messages go into `input.context`; `continue-task` replaces them.
_CONTEXT_OPTIONS: Final = frozenset({"adaptation.context", "adaptation.context_messages"})
_CONTEXT_UPDATES: Final = frozenset(f"update.{option}" for option in _CONTEXT_OPTIONS)
# Source: Model Studio manual, "improve recognition accuracy".
_KEPT_MESSAGES: Final = 5
_KEPT_CHARACTERS: Final = 400
_TASK_OPTIONS: Final = frozenset(
    {
        "features.enable_word_time_offsets",
        "features.enable_voice_activity_events",
        "features.enable_inverse_text_normalization=true",
        # On fun-asr-flash-8k-realtime: "no" in the user guide, "yes" in the accuracy guide. A client with a table that
        # was compiled for the model may use it.
        "adaptation.vocabulary_id",
        "endpointing.server_vad=",
        "endpointing.server_vad.silence",
        "endpointing.server_vad.threshold",
        "keep_alive",
        "vendor_parameters",
    }
)
# On qwen-audio-3.1 streaming: "only `vad_model` decides" in the manual, honoured in tests. So they are sent.
_SEGMENTATION_OPTIONS: Final = frozenset({"endpointing.server_vad.multi_threshold", "endpointing.semantic"})
_FUN_ASR_OPTIONS: Final = (
    _TASK_OPTIONS
    | _SEGMENTATION_OPTIONS
    | {
        "features.enable_automatic_punctuation=true",
        # "Paraformer only" on the page of client events, "yes" in the user guide of these models.
        "features.enable_disfluency_removal",
        "features.sensitive_word_filter",
        # Compiled to a table before the task begins.
        "adaptation.hotwords",
    }
)
_QWEN_AUDIO_OPTIONS: Final = (
    _TASK_OPTIONS
    | _SEGMENTATION_OPTIONS
    # `continue-task`: in the accuracy guide, missing from the translated pages of autumn 2026. The guide is explicit.
    | (_CONTEXT_OPTIONS | _CONTEXT_UPDATES)
    | {"features.enable_automatic_punctuation=true", "adaptation.hotwords"}
)
_MESSAGE_OPTIONS: Final = (
    _TASK_OPTIONS
    # Its Chinese page knows `continue-task`, its newer English page does not; an unknown message may end a task.
    | _CONTEXT_OPTIONS
    | {
        # It writes marks only where it also removes fillers.
        "features.enable_automatic_punctuation=false",
        "features.enable_disfluency_removal",
        "adaptation.hotwords",
    }
)

_THIRTY_LANGUAGES: Final = (
    *("zh", "en", "ja", "ko", "vi", "th", "id", "ms", "tl", "hi", "ar", "fr", "de", "es", "pt"),
    *("ru", "it", "nl", "sv", "da", "fi", "no", "el", "pl", "cs", "hu", "ro", "bg", "hr", "sk"),
)


def _fun_asr(
    name: str,
    language_codes: tuple[str, ...],
    options: frozenset[str],
    *,
    # 16 kHz only on the pages of 2025, any rate on those of 2026: 16 kHz is right on both.
    sample_rate_hertz: int = 16_000,
    switches: frozenset[str] = _HEARTBEAT,
    max_language_hints: int = 1,
    regions: tuple[str, ...] = _BEIJING,
    price_per_second_cny: float | None = 0.00033,
) -> DashScopeModel:
    is_instant = bool(switches & _INSTANT_WORDS)
    return DashScopeModel(
        name=name,
        backend="fun_asr",
        language_codes=language_codes,
        sample_rates_hertz=(sample_rate_hertz,),
        options=options,
        switches=switches,
        hotwords=hotword_limits.INSTANT if is_instant else hotword_limits.FUN_ASR_TABLE,
        hotword_resource=None if is_instant else HotwordResource.TABLE,
        max_language_hints=max_language_hints,
        has_interim_on_request=_INTERIM_SWITCH in switches,
        kept_context_messages=_KEPT_MESSAGES,
        kept_turn_characters=_KEPT_CHARACTERS,
        regions=regions,
        price_per_second_cny=price_per_second_cny,
    )


_FUN_ASR_MODELS: Final = (
    # Chinese, English and Japanese on a page of November 2025, thirty languages on those of 2026.
    *(
        _fun_asr(
            name,
            _THIRTY_LANGUAGES,
            _FUN_ASR_OPTIONS | _CONTEXT_OPTIONS | _CONTEXT_UPDATES,
            regions=_BOTH_REGIONS,
        )
        for name in ("fun-asr-realtime", "fun-asr-realtime-2025-11-07")
    ),
    _fun_asr("fun-asr-realtime-2026-02-28", ("zh", "en", "ja"), _FUN_ASR_OPTIONS),
    _fun_asr("fun-asr-realtime-2025-09-15", ("zh", "en"), _FUN_ASR_OPTIONS),
    *(
        replace(
            _fun_asr(name, ("zh",), _FUN_ASR_OPTIONS, sample_rate_hertz=8_000, price_per_second_cny=0.00022),
            hotwords=hotword_limits.SMALL_FUN_ASR_TABLE,
        )
        for name in ("fun-asr-flash-8k-realtime", "fun-asr-flash-8k-realtime-2026-01-28")
    ),
    _fun_asr(
        "qwen-audio-3.0-asr-flash-streaming",
        _THIRTY_LANGUAGES,
        _QWEN_AUDIO_OPTIONS,
        switches=_HEARTBEAT | _INSTANT_WORDS,
        max_language_hints=4,
        regions=_BOTH_REGIONS,
    ),
    # From here on billed by tokens.
    _fun_asr(
        "qwen-audio-3.1-asr-flash-streaming",
        _THIRTY_LANGUAGES,
        _QWEN_AUDIO_OPTIONS,
        switches=_HEARTBEAT | _INSTANT_WORDS,
        max_language_hints=4,
        regions=_BOTH_REGIONS,
        price_per_second_cny=None,
    ),
    _fun_asr(
        "qwen-audio-3.1-asr-flash-message",
        ("zh", "en", "id", "ja", "th", "fil", "vi", "ko", "ms"),
        _MESSAGE_OPTIONS,
        switches=_HEARTBEAT | _INSTANT_WORDS | {_INTERIM_SWITCH},
        # Its page of parameters has no `language_hints`, its model page says that a language can be set.
        max_language_hints=0,
        regions=_BOTH_REGIONS,
        price_per_second_cny=None,
    ),
)

# Source: Model Studio manual, "Qwen-ASR realtime client events". `corpus.text`, behind the adaptation: documented in
# 2025, gone from the page in 2026, whose guide says there is no such thing. It is sent: at worst it has no effect.
_QWEN3_OPTIONS: Final = frozenset(
    {
        "features.enable_voice_activity_events",
        "features.enable_automatic_punctuation=true",
        "features.enable_inverse_text_normalization=false",
        "features.enable_emotion",
        "adaptation.hotwords",
        "adaptation.context",
        "update.adaptation.hotwords",
        "update.adaptation.context",
        "endpointing.server_vad=",
        "endpointing.server_vad.silence",
        "endpointing.server_vad.threshold",
        "endpointing.manual",
        "keep_alive",
        "vendor_parameters",
    }
)
# 27 languages may be asked for; one page of server events lists only the first 18 as recognised.
_TWENTY_SEVEN_LANGUAGES: Final = (
    *("zh", "yue", "en", "ja", "de", "ko", "ru", "fr", "pt", "ar", "it", "es", "hi", "id", "th", "tr", "uk", "vi"),
    *("cs", "da", "fil", "fi", "is", "ms", "no", "pl", "sv"),
)
_MAX_CORPUS_TOKENS: Final = 10_000
_QWEN3_MODELS: Final = tuple(
    DashScopeModel(
        name=name,
        backend="qwen3_asr",
        language_codes=_TWENTY_SEVEN_LANGUAGES,
        sample_rates_hertz=(8_000, 16_000),
        options=_QWEN3_OPTIONS,
        hotwords=hotword_limits.CORPUS,
        max_context_tokens=_MAX_CORPUS_TOKENS,
        max_language_hints=1,
        is_bound_by_hints=True,
        regions=_BOTH_REGIONS,
        price_per_second_cny=0.00033,
    )
    for name in (
        "qwen3-asr-flash-realtime",
        "qwen3-asr-flash-realtime-2025-10-27",
        "qwen3-asr-flash-realtime-2026-02-10",
    )
)

# A notice said that the older of these would end on 2026-10-10; pages of November 2026 still list them all.
DASHSCOPE_MODELS: Final = (*_PARAFORMER_MODELS, *_FUN_ASR_MODELS, *_QWEN3_MODELS)

DEFAULT_MODEL: Final = "fun-asr-realtime"

_BLANK: Final = DashScopeModel(name="", backend="", language_codes=(), sample_rates_hertz=(), options=frozenset())
# Source: Model Studio manual, "Paraformer client events": Opus has to be in Ogg. How a session wants its packets framed
# stands nowhere.
_IN_TASKS: Final = (UpstreamEncoding.LINEAR16, UpstreamEncoding.OGG_OPUS)

#: What an operator's own model begins as that is like no other.
BLANK_MODELS: Final[Mapping[str, DashScopeModel]] = {
    "paraformer": replace(
        _BLANK,
        backend="paraformer",
        hotwords=hotword_limits.PARAFORMER_TABLE,
        hotword_resource=HotwordResource.TABLE,
        upstream_encodings=_IN_TASKS,
    ),
    "fun_asr": replace(
        _BLANK,
        backend="fun_asr",
        hotwords=hotword_limits.FUN_ASR_TABLE,
        hotword_resource=HotwordResource.TABLE,
        upstream_encodings=_IN_TASKS,
        kept_context_messages=_KEPT_MESSAGES,
        kept_turn_characters=_KEPT_CHARACTERS,
    ),
    "qwen3_asr": replace(
        _BLANK,
        backend="qwen3_asr",
        hotwords=hotword_limits.CORPUS,
        max_context_tokens=_MAX_CORPUS_TOKENS,
        is_bound_by_hints=True,
    ),
}
