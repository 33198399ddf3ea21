"""The catalogue: what each model is, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from asrgateway_server.errors import UnknownModel


class Feature(Enum):
    """What a model can do; named as in the contract."""

    INTERIM_RESULTS = auto()
    WORD_TIME_OFFSETS = auto()
    VOICE_ACTIVITY_EVENTS = auto()
    AUTOMATIC_PUNCTUATION = auto()
    INVERSE_TEXT_NORMALIZATION = auto()
    DISFLUENCY_REMOVAL = auto()
    EMOTION = auto()
    SENSITIVE_WORD_FILTER = auto()
    STORED_VOCABULARY = auto()
    HOTWORDS = auto()
    TEXT_CONTEXT = auto()
    MESSAGE_CONTEXT = auto()
    SEMANTIC_ENDPOINTING = auto()
    MANUAL_ENDPOINTING = auto()


#: The option that each feature honours. A path without a value: every value of it; with one: that value only.
_OPTION_OF: Final[Mapping[Feature, str]] = {
    Feature.WORD_TIME_OFFSETS: "features.enable_word_time_offsets",
    Feature.VOICE_ACTIVITY_EVENTS: "features.enable_voice_activity_events",
    Feature.AUTOMATIC_PUNCTUATION: "features.enable_automatic_punctuation",
    Feature.INVERSE_TEXT_NORMALIZATION: "features.enable_inverse_text_normalization",
    Feature.DISFLUENCY_REMOVAL: "features.enable_disfluency_removal",
    Feature.EMOTION: "features.enable_emotion",
    Feature.SENSITIVE_WORD_FILTER: "features.sensitive_word_filter",
    Feature.STORED_VOCABULARY: "adaptation.vocabulary_id",
    Feature.HOTWORDS: "adaptation.hotwords",
    Feature.TEXT_CONTEXT: "adaptation.context",
    Feature.MESSAGE_CONTEXT: "adaptation.context_messages",
    Feature.SEMANTIC_ENDPOINTING: "endpointing.semantic",
    Feature.MANUAL_ENDPOINTING: "endpointing.manual",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One row of the catalogue.

    Attributes:
        name: What callers ask for.
        vendor_model: What the vendor calls it; the name if empty.
        like: The vendor's model whose ways it has, as that is called; its own if empty.
        retirement_date: The day the vendor ends it; None if it has named none.
        endpoint: Where it is reached, once it is in a catalogue; ``regions`` is then that of the endpoint, if known.
        backend: The registry's key of what recognizes.
        language_codes: BCP-47 codes of the languages it knows.
        sample_rates_hertz: Rates of audio it is given, ascending.
        options: Paths within StreamingConfig of the options it honours; ``path=value`` for one value only. What may
            change in mid-call begins with ``update.``.
        switches: What else its dialect asks for, by the vendor's name; see ``task_parameters.py`` of its
            vendor.
        max_language_hints: How many of the call's languages it can be told.
        regions: Where the vendor serves it; empty for the embedded model.
        outlasts_silence: A task of it goes on for as long as silence is sent; without, it ends after 60 s.
        price_per_second_cny: List price of a second of audio, in Beijing where the regions differ; None where it costs
            nothing, or is not billed by the second.
    """

    name: str
    vendor_model: str = ""
    like: str = ""
    retirement_date: date | None = None
    endpoint: str = ""
    backend: str
    language_codes: tuple[str, ...]
    sample_rates_hertz: tuple[int, ...]
    options: frozenset[str]
    switches: frozenset[str] = frozenset()
    max_language_hints: int = 0
    regions: tuple[str, ...] = ()
    price_per_second_cny: float | None = None
    outlasts_silence: bool = True

    @property
    def upstream_name(self) -> str:
        """What the vendor calls it."""
        return self.vendor_model or self.name

    @property
    def kind(self) -> str:
        """The vendor's name for the model whose ways it has: what hot words it takes, and how."""
        return self.like or self.upstream_name

    @property
    def features(self) -> frozenset[Feature]:
        """What it can do, as far as its options show."""
        shown = {feature for feature, option in _OPTION_OF.items() if {option, f"{option}=true"} & self.options}
        return frozenset({Feature.INTERIM_RESULTS, *shown})

    @property
    def is_remote(self) -> bool:
        """Whether it runs somewhere else."""
        return bool(self.regions or self.endpoint)

    def rate_for(self, sample_rate_hertz: int | None) -> int:
        """Return the rate at which it is given audio of a rate: the nearest that keeps all of it, or loses least."""
        if sample_rate_hertz is None:
            return self.sample_rates_hertz[-1]
        return next(
            (rate for rate in self.sample_rates_hertz if rate >= sample_rate_hertz), self.sample_rates_hertz[-1]
        )


EMBEDDED: Final = Model(
    name="embedded",
    backend="pocketsphinx",
    language_codes=("en-US",),
    sample_rates_hertz=(16_000,),
    options=frozenset(
        {
            "features.enable_word_time_offsets",
            "features.enable_voice_activity_events",
            "features.enable_automatic_punctuation=false",
            "features.enable_inverse_text_normalization=false",
            "features.enable_disfluency_removal=false",
            "adaptation.hotwords",
            "keep_alive",
            "endpointing.server_vad=",
        }
    ),
)

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


def _paraformer(
    name: str,
    language_codes: tuple[str, ...],
    sample_rates_hertz: tuple[int, ...],
    options: frozenset[str],
    *,
    switches: frozenset[str] = _HEARTBEAT,
    max_language_hints: int = 0,
) -> Model:
    return Model(
        name=name,
        backend="paraformer",
        language_codes=language_codes,
        sample_rates_hertz=sample_rates_hertz,
        options=options,
        switches=switches,
        max_language_hints=max_language_hints,
        regions=_BEIJING,
        price_per_second_cny=0.00024,
        outlasts_silence=options is not _PARAFORMER_V1_OPTIONS,
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
    _paraformer("paraformer-realtime-v1", ("zh",), (16_000,), _PARAFORMER_V1_OPTIONS, switches=frozenset()),
    _paraformer("paraformer-realtime-8k-v1", ("zh",), (8_000,), _PARAFORMER_V1_OPTIONS, switches=frozenset()),
)

# What follows resolves what the vendor's pages of 2025 and 2026 disagree about; each comment names both versions.
# Source: Model Studio manual, "Fun-ASR client events", "Qwen-Audio-ASR client events", "improve recognition accuracy".

# Free text and earlier messages go into `input.context`; `continue-task` replaces them.
_CONTEXT_OPTIONS: Final = frozenset({"adaptation.context", "adaptation.context_messages"})
_CONTEXT_UPDATES: Final = frozenset(f"update.{option}" for option in _CONTEXT_OPTIONS)
_TASK_OPTIONS: Final = frozenset(
    {
        "features.enable_word_time_offsets",
        "features.enable_voice_activity_events",
        "features.enable_inverse_text_normalization=true",
        # On fun-asr-flash-8k-realtime: "no" in the user guide, "yes" in the accuracy guide. Whoever has a table that
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
) -> Model:
    return Model(
        name=name,
        backend="fun_asr",
        language_codes=language_codes,
        sample_rates_hertz=(sample_rate_hertz,),
        options=options,
        switches=switches,
        max_language_hints=max_language_hints,
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
        _fun_asr(name, ("zh",), _FUN_ASR_OPTIONS, sample_rate_hertz=8_000, price_per_second_cny=0.00022)
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
        switches=_HEARTBEAT | _INSTANT_WORDS | {"intermediate_result_enabled"},
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
# 27 languages may be asked for; one page of server events lists only the first 18 as heard.
_TWENTY_SEVEN_LANGUAGES: Final = (
    *("zh", "yue", "en", "ja", "de", "ko", "ru", "fr", "pt", "ar", "it", "es", "hi", "id", "th", "tr", "uk", "vi"),
    *("cs", "da", "fil", "fi", "is", "ms", "no", "pl", "sv"),
)
_QWEN3_MODELS: Final = tuple(
    Model(
        name=name,
        backend="qwen3_asr",
        language_codes=_TWENTY_SEVEN_LANGUAGES,
        sample_rates_hertz=(8_000, 16_000),
        options=_QWEN3_OPTIONS,
        max_language_hints=1,
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

DEFAULT_ALIAS: Final = "default"
#: What the alias stands for when there is a key and the operator says nothing.
_BEST_WITH_A_KEY: Final = "fun-asr-realtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The models that this gateway serves.

    Attributes:
        models: By name.
        aliases: Other names, each for the name of a model; one is ``default``.
    """

    models: Mapping[str, Model]
    aliases: Mapping[str, str]

    def find(self, name: str) -> Model:
        """Return the model behind a name or alias; the default one for an empty name.

        Raises:
            UnknownModel: Nothing has that name.
        """
        wanted = name or DEFAULT_ALIAS
        model = self.models.get(self.aliases.get(wanted, wanted))
        if model is None:
            known = ", ".join(sorted({*self.models, *self.aliases}))
            raise UnknownModel(
                f"no model is called {wanted[:64]!r}; known are: {known}", field="streaming_config.model"
            )
        return model


def catalogue(
    *,
    default_model: str,
    has_key: bool,
    has_embedded: bool = True,
    rows: Sequence[Model] | None = None,
    aliases: Mapping[str, str] = MappingProxyType({}),
) -> Catalogue:
    """Return what is served.

    Args:
        default_model: The model for callers that name none; empty: the best there is.
        has_key: The gateway has a key of its own for the vendor.
        has_embedded: The gateway runs the embedded model.
        rows: The vendor's models, the last one of a name counts; None: all there are, with a key.
        aliases: The operator's; ``default`` outweighs ``default_model``.

    Raises:
        UnknownModel: ``default_model`` is not one of them.
    """
    if rows is None:
        rows = DASHSCOPE_MODELS if has_key else ()
    models = {row.name: row for row in (*([EMBEDDED] if has_embedded else []), *rows)}
    preferred = (*([_BEST_WITH_A_KEY] if has_key or not has_embedded else []), EMBEDDED.name)
    best = next((name for name in (*preferred, *models) if name in models), EMBEDDED.name)
    default = aliases.get(default_model, default_model) or best
    served = Catalogue(models=MappingProxyType(models), aliases=MappingProxyType({DEFAULT_ALIAS: default, **aliases}))
    served.find(default)
    return served
