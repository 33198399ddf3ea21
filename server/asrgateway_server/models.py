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


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One row of the catalogue.

    Attributes:
        name: What callers ask for.
        backend: The registry's key of what recognizes.
        language_codes: BCP-47 codes of the languages it knows.
        sample_rate_hertz: The rate of the audio it is given.
        features: What it can do.
    """

    name: str
    backend: str
    language_codes: tuple[str, ...]
    sample_rate_hertz: int
    features: frozenset[Feature]


EMBEDDED: Final = Model(
    name="embedded",
    backend="pocketsphinx",
    language_codes=("en-US",),
    sample_rate_hertz=16_000,
    features=frozenset({Feature.INTERIM_RESULTS, Feature.WORD_TIME_OFFSETS, Feature.VOICE_ACTIVITY_EVENTS}),
)

DEFAULT_ALIAS: Final = "default"


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


def catalogue(default_model: str) -> Catalogue:
    """Return what is served when ``default_model`` is the model for callers that name none.

    Raises:
        UnknownModel: ``default_model`` is not one of them.
    """
    rows = (EMBEDDED,)
    served = Catalogue(
        models=MappingProxyType({row.name: row for row in rows}),
        aliases=MappingProxyType({DEFAULT_ALIAS: default_model}),
    )
    served.find(default_model)
    return served
