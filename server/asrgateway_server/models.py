"""The catalogue: what each model is, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, StrEnum, auto
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


class UpstreamEncoding(StrEnum):
    """How a model is sent its audio."""

    LINEAR16 = "linear16"
    OGG_OPUS = "ogg_opus"


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
class Length:
    """How long a hot word may be.

    Attributes:
        applies: Whether this rule is for a word.
        measure: Returns a word's length.
        limit: The longest that is taken.
        unit: What is counted, as clients read it.
    """

    applies: Callable[[str], bool]
    measure: Callable[[str], int]
    limit: int
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HotwordLimits:
    """What a model takes as hot words, and how many.

    Attributes:
        max_words: Words of a call.
        weights: Those that are allowed.
        weights_text: The same as clients read it.
        super_weight: Of super hot words; None where there are none.
        max_super_words: How many of those.
        max_characters: The longest text that is looked at.
        lengths: The first rule that applies to a word holds.
        languages: Primary language codes that a word may have; empty: any.
        is_writable: Whether a text can be taken at all.
        writing_text: The same as clients read it.
    """

    max_words: int = 500
    weights: frozenset[int] = frozenset(range(1, 6))
    weights_text: str = "1 to 5"
    super_weight: int | None = None
    max_super_words: int = 0
    max_characters: int = 200
    lengths: tuple[Length, ...] = ()
    languages: frozenset[str] = frozenset()
    is_writable: Callable[[str], bool] = bool
    writing_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One row of the catalogue.

    Attributes:
        name: What clients ask for.
        vendor_model: What the vendor calls it; the name if empty.
        retirement_date: The day the vendor ends it; None if it has named none.
        endpoint: Where it is reached, once it is in a catalogue; ``regions`` is then that of the endpoint, if known.
        backend: The registry's key of what recognizes.
        language_codes: BCP-47 codes of the languages it knows.
        sample_rates_hertz: Rates of audio it is given, ascending.
        upstream_encoding: How that audio is coded on its way.
        upstream_encodings: How it may be; an operator chooses.
        options: Paths within StreamingConfig of the options it honours; ``path=value`` for one value only. What may
            change in mid-call begins with ``update.``.
        hotwords: What it takes as hot words, where it takes any.
        max_context_tokens: How long context and hot words may be together; None: as long as they like.
        kept_context_messages: How many context messages of each role it keeps, where it takes any.
        kept_turn_characters: How much it keeps of what was said and answered in one turn, likewise.
        owned_parameters: Names within ``vendor_parameters`` that the gateway fills by itself, each with the option that
            does the same; the option is empty where there is none.
        max_language_hints: How many of the call's languages may be hinted to it.
        is_bound_by_hints: With hints for some of a call's languages it recognises none of the others.
        has_interim_on_request: It says nothing while somebody speaks, unless the call wants interim results.
        regions: Where the vendor serves it; empty for the embedded model.
        outlasts_silence: A task of it goes on for as long as silence is sent; without, it ends after 60 s.
        price_per_second_cny: List price of a second of audio, in Beijing where the regions differ; None where it costs
            nothing, or is not billed by the second.
    """

    name: str
    vendor_model: str = ""
    retirement_date: date | None = None
    endpoint: str = ""
    backend: str
    language_codes: tuple[str, ...]
    sample_rates_hertz: tuple[int, ...]
    upstream_encoding: UpstreamEncoding = UpstreamEncoding.LINEAR16
    upstream_encodings: tuple[UpstreamEncoding, ...] = (UpstreamEncoding.LINEAR16,)
    options: frozenset[str]
    hotwords: HotwordLimits = HotwordLimits()
    max_context_tokens: int | None = None
    kept_context_messages: int = 0
    kept_turn_characters: int = 0
    owned_parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    max_language_hints: int = 0
    is_bound_by_hints: bool = False
    has_interim_on_request: bool = False
    regions: tuple[str, ...] = ()
    price_per_second_cny: float | None = None
    outlasts_silence: bool = True

    @property
    def upstream_name(self) -> str:
        """What the vendor calls it."""
        return self.vendor_model or self.name

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


DEFAULT_ALIAS: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The models that this gateway serves.

    Attributes:
        models: By name.
        aliases: Other names, each for the names of one or more models in the order in which calls try them; one is
            ``default``.
    """

    models: Mapping[str, Model]
    aliases: Mapping[str, tuple[str, ...]]

    def find(self, name: str) -> Model:
        """Return the first model of a route; raise as ``find_route`` does."""
        return self.find_route(name)[0]

    def find_route(self, name: str) -> tuple[Model, ...]:
        """Return the models behind a name or alias, in order; those of the default one for an empty name.

        Raises:
            UnknownModel: Nothing has that name.
        """
        wanted = name or DEFAULT_ALIAS
        if wanted in self.aliases:
            return tuple(self.models[candidate] for candidate in self.aliases[wanted])
        if wanted in self.models:
            return (self.models[wanted],)
        known = ", ".join(sorted({*self.models, *self.aliases}))
        raise UnknownModel(f"no model is called {wanted[:64]!r}; known are: {known}", field="streaming_config.model")
