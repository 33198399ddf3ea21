"""The catalogue, as Riva's clients read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from asrgateway_server.models import Catalogue, Model
from asrgateway_server.riva_api import asr_pb2 as asr

#: By `type`, on which clients filter: whether audio is recognised as it comes.
_TYPES: Final[Mapping[str, str]] = {"online": "True", "offline": "False"}


def models_from(catalogue: Catalogue, wanted: str) -> asr.RivaSpeechRecognitionConfigResponse:
    """Return an entry for each model or alias, each of its languages and each method.

    Args:
        catalogue: The models.
        wanted: The only model to return; empty: all of them.
    """
    served = {name: catalogue.find(name) for name in (*catalogue.models, *catalogue.aliases)}
    return asr.RivaSpeechRecognitionConfigResponse(
        model_config=[
            entry for name, model in sorted(served.items()) if wanted in ("", name) for entry in _entries(name, model)
        ]
    )


def _entries(name: str, model: Model) -> Iterator[asr.RivaSpeechRecognitionConfigResponse.Config]:
    for language_code in model.language_codes:
        for kind, is_streaming in _TYPES.items():
            parameters = {
                "type": kind,
                "language_code": language_code,
                "streaming": is_streaming,
                "sample_rate_hertz": str(max(model.sample_rates_hertz, default=16_000)),
            }
            yield asr.RivaSpeechRecognitionConfigResponse.Config(model_name=name, parameters=parameters)
