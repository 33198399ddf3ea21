"""The catalogue: what each model is, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    STORED_VOCABULARY = auto()
    SEMANTIC_ENDPOINTING = auto()


#: The option that each feature honours. A path without a value: every value of it; with one: that value only.
_OPTION_OF: Final[Mapping[Feature, str]] = {
    Feature.WORD_TIME_OFFSETS: "features.enable_word_time_offsets",
    Feature.VOICE_ACTIVITY_EVENTS: "features.enable_voice_activity_events",
    Feature.AUTOMATIC_PUNCTUATION: "features.enable_automatic_punctuation",
    Feature.INVERSE_TEXT_NORMALIZATION: "features.enable_inverse_text_normalization",
    Feature.DISFLUENCY_REMOVAL: "features.enable_disfluency_removal",
    Feature.EMOTION: "features.enable_emotion",
    Feature.STORED_VOCABULARY: "adaptation.vocabulary_id",
    Feature.SEMANTIC_ENDPOINTING: "endpointing.semantic",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One row of the catalogue.

    Attributes:
        name: What callers ask for.
        backend: The registry's key of what recognizes.
        language_codes: BCP-47 codes of the languages it knows.
        sample_rates_hertz: Rates of audio it is given, ascending.
        options: Paths within StreamingConfig of the options it honours; ``path=value`` for one value only.
        regions: Where the vendor serves it; empty for the embedded model.
        price_per_second_cny: List price of a second of audio; None where it costs nothing.
    """

    name: str
    backend: str
    language_codes: tuple[str, ...]
    sample_rates_hertz: tuple[int, ...]
    options: frozenset[str]
    regions: tuple[str, ...] = ()
    price_per_second_cny: float | None = None

    @property
    def features(self) -> frozenset[Feature]:
        """What it can do, as far as its options show."""
        shown = {feature for feature, option in _OPTION_OF.items() if {option, f"{option}=true"} & self.options}
        return frozenset({Feature.INTERIM_RESULTS, *shown})

    @property
    def is_remote(self) -> bool:
        """Whether it runs somewhere else."""
        return bool(self.regions)

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
            "keep_alive",
            "endpointing.server_vad=",
        }
    ),
)

# Source: Model Studio manual, "Paraformer client events" and "real-time speech recognition", November 2026.
_PARAFORMER_V1_OPTIONS: Final = frozenset(
    {
        "features.enable_word_time_offsets",
        "features.enable_voice_activity_events",
        "features.enable_automatic_punctuation=true",
        "features.enable_inverse_text_normalization=true",
        "features.enable_disfluency_removal",
        "adaptation.vocabulary_id",
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


def _paraformer(
    name: str, language_codes: tuple[str, ...], sample_rates_hertz: tuple[int, ...], options: frozenset[str]
) -> Model:
    return Model(
        name=name,
        backend="paraformer",
        language_codes=language_codes,
        sample_rates_hertz=sample_rates_hertz,
        options=options,
        regions=("cn-beijing",),
        price_per_second_cny=0.00024,
    )


DASHSCOPE_MODELS: Final = (
    _paraformer(
        "paraformer-realtime-v2",
        ("zh", "en", "ja", "yue", "ko", "de", "fr", "ru"),
        (8_000, 16_000),
        _PARAFORMER_V2_OPTIONS,
    ),
    _paraformer("paraformer-realtime-8k-v2", ("zh",), (8_000,), _PARAFORMER_V2_OPTIONS | {"features.enable_emotion"}),
    _paraformer("paraformer-realtime-v1", ("zh",), (16_000,), _PARAFORMER_V1_OPTIONS),
    _paraformer("paraformer-realtime-8k-v1", ("zh",), (8_000,), _PARAFORMER_V1_OPTIONS),
)

DEFAULT_ALIAS: Final = "default"
#: What the alias stands for when there is a key and the operator says nothing.
_BEST_WITH_A_KEY: Final = "paraformer-realtime-v2"


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


def catalogue(*, default_model: str, has_key: bool) -> Catalogue:
    """Return what is served.

    Args:
        default_model: The model for callers that name none; empty: the best there is.
        has_key: The vendor's models can be reached.

    Raises:
        UnknownModel: ``default_model`` is not one of them.
    """
    rows = (EMBEDDED, *(DASHSCOPE_MODELS if has_key else ()))
    default = default_model or (_BEST_WITH_A_KEY if has_key else EMBEDDED.name)
    served = Catalogue(
        models=MappingProxyType({row.name: row for row in rows}),
        aliases=MappingProxyType({DEFAULT_ALIAS: default}),
    )
    served.find(default)
    return served
