"""Qwen3-ASR: the session dialect with the settings of its models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from asrgateway_server.config import Adaptation, ManualEndpointing, RecognitionConfig, ServerVad
from asrgateway_server.languages import language_hints
from asrgateway_server.vendors.dashscope.adapters.json_numbers import whole_numbers
from asrgateway_server.vendors.dashscope.adapters.realtime_session import PATH, RealtimeSessionAdapter

#: What every session is given, and the options of the contract behind it.
OWNED: Final[Mapping[str, str]] = {
    "modalities": "",
    "input_audio_format": "decoding_config.encoding",
    "sample_rate": "decoding_config.sample_rate_hertz",
    "audio": "decoding_config",
    "turn_detection": "endpointing",
    "input_audio_transcription": "language_codes and adaptation",
}

# Source: Model Studio manual, "Qwen-ASR realtime client events": the VAD's own value. One sample shows less.
_VADS_OWN_SILENCE_MS: Final = 800


class Qwen3AsrAdapter(RealtimeSessionAdapter):
    """One session; see ``WebSocketAdapter``.

    Source: Model Studio manual, "Qwen-ASR realtime client events".
    """

    def __init__(self, config: RecognitionConfig, task_id: str) -> None:
        settings = _Settings(config)
        super().__init__(
            f"{PATH}?model={quote(config.model.name, safe='')}",
            task_id,
            settings.session,
            config.adaptation,
            sample_rate_hertz=config.model_rate_hertz,
            closing_silence_ms=settings.closing_silence_ms,
        )


class _Settings:
    """What a session is set to."""

    def __init__(self, config: RecognitionConfig) -> None:
        self._config = config
        self._has_corpus = False
        self._vad = None if isinstance(config.endpointing, ManualEndpointing) else _vad(config)

    @property
    def closing_silence_ms(self) -> int | None:
        """So much silence makes the VAD close an utterance; None in manual mode."""
        if self._vad is None:
            return None
        return _VADS_OWN_SILENCE_MS if self._vad.silence_ms is None else self._vad.silence_ms

    def session(self, adaptation: Adaptation) -> Mapping[str, object]:
        """Return `session` with all its fields."""
        session: dict[str, object] = {
            "modalities": ["text"],
            "input_audio_format": "pcm",
            "sample_rate": self._config.model_rate_hertz,
            "turn_detection": _turn_detection(self._vad) if self._vad else None,
        }
        if transcription := self._transcription(adaptation):
            session["input_audio_transcription"] = transcription
        return session | whole_numbers(self._config.vendor_parameters)

    def _transcription(self, adaptation: Adaptation) -> Mapping[str, object]:
        """Return language and subject. It takes one language: of several none, and it finds out by itself."""
        transcription: dict[str, object] = {}
        hints = language_hints(self._config)
        if hints:
            (transcription["language"],) = hints
        corpus = _corpus(adaptation)
        if corpus or self._has_corpus:  # Left out, it might stay as it was.
            self._has_corpus = True
            transcription["corpus"] = {"text": corpus}
        return transcription


def _vad(config: RecognitionConfig) -> ServerVad:
    return config.endpointing if isinstance(config.endpointing, ServerVad) else ServerVad()


def _turn_detection(vad: ServerVad) -> Mapping[str, object]:
    """Return the VAD's values; what the client leaves open is left to the vendor."""
    given = {"threshold": vad.threshold, "silence_duration_ms": vad.silence_ms}
    return {"type": "server_vad", **{name: value for name, value in given.items() if value is not None}}


def _corpus(adaptation: Adaptation) -> str:
    """Return text in which the words to expect occur: this model knows neither weights nor a list of hot words."""
    words = ", ".join(word.text for word in adaptation.hotwords)
    return "\n".join(part for part in (adaptation.context, words) if part)
