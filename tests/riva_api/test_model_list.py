"""The catalogue, as Riva's clients read it."""

from __future__ import annotations

from asrgateway_server.models import Catalogue, Model
from asrgateway_server.riva_api.model_list import models_from

CATALOGUE = Catalogue(
    models={
        "bilingual": Model(
            name="bilingual",
            backend="b",
            language_codes=("zh", "en"),
            sample_rates_hertz=(8000, 16_000),
            options=frozenset(),
        )
    },
    aliases={"parakeet": ("bilingual",)},
)


def entries(wanted: str = "") -> list[tuple[str, str, str]]:
    return [
        (entry.model_name, entry.parameters["language_code"], entry.parameters["type"])
        for entry in models_from(CATALOGUE, wanted).model_config
    ]


def test_each_language_and_method_of_a_model_is_an_entry() -> None:
    assert entries("bilingual") == [
        ("bilingual", "zh", "online"),
        ("bilingual", "zh", "offline"),
        ("bilingual", "en", "online"),
        ("bilingual", "en", "offline"),
    ]


def test_aliases_are_listed_as_models() -> None:
    assert {name for name, _, _ in entries()} == {"bilingual", "parakeet"}


def test_a_name_that_nothing_has_leaves_nothing() -> None:
    assert entries("whisper") == []


def test_no_parameter_that_clients_read_is_missing() -> None:
    online, offline = models_from(CATALOGUE, "parakeet").model_config[:2]
    assert dict(online.parameters) == {
        "type": "online",
        "language_code": "zh",
        "streaming": "True",
        "sample_rate_hertz": "16000",
    }
    assert offline.parameters["streaming"] == "False"
