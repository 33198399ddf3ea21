"""The events of a client of dialect B, read and checked. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_FORMATS: Final = ("pcm", "opus")
_RATES: Final = (16_000, 8_000)
# Source: Model Studio, "Qwen-ASR realtime client events": the languages that can be set.
_LANGUAGES: Final = frozenset(
    (
        *("zh", "yue", "en", "ja", "de", "ko", "ru", "fr", "pt", "ar", "it", "es", "hi", "id", "th", "tr"),
        *("uk", "vi", "cs", "da", "fil", "fi", "is", "ms", "no", "pl", "sv"),
    )
)
_THRESHOLDS: Final = (-1.0, 1.0)
_SILENCES_MS: Final = (200, 6000)


class EventRefused(Exception):
    """An event cannot be served: the client gets ``error``, and the session goes on.

    Attributes:
        code: ``error.code``, if any.
        message: ``error.message``.
        param: The field at fault, if any.
        event_id: The client's event, as far as it is known.
    """

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, event_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.event_id = event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDetection:
    """How the server finds the end of an utterance.

    Attributes:
        threshold: -1 to 1; the lower, the more counts as speech.
        silence_ms: The silence that ends it.
    """

    threshold: float = 0.2
    silence_ms: int = 800


_SERVER_VAD: Final = TurnDetection()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """The settings of a session.

    Attributes:
        input_format: ``pcm`` or ``opus``.
        sample_rate_hertz: 16000 or 8000.
        language: Set by the client; None = any.
        turn_detection: None = the client commits where an utterance ends.
        transcription: ``input_audio_transcription`` as it was sent.
    """

    input_format: str = "pcm"
    sample_rate_hertz: int = 16_000
    language: str | None = None
    turn_detection: TurnDetection | None = _SERVER_VAD
    transcription: Mapping[str, Any] | None = None  # whatever JSON the client sent

    @property
    def corpus(self) -> str:
        """A text that makes words likely; empty if there is none."""
        corpus = (self.transcription or {}).get("corpus")
        text = corpus.get("text") if isinstance(corpus, dict) else None
        return text if isinstance(text, str) else ""


def read_event(text: str) -> dict[str, Any]:
    """Read one client event, which has a type.

    Raises:
        EventRefused: It is no event.
    """
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise EventRefused("The event is not valid JSON.", code="invalid_json") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise EventRefused("Missing required parameter: 'type'.", code="missing_required_parameter", param="type")
    return event


def updated(settings: SessionSettings, session: object) -> SessionSettings:
    """Return the settings after a ``session.update``; unknown fields are ignored.

    Args:
        settings: Those before.
        session: What the client sent.

    Raises:
        EventRefused: A value is wrong; nothing has changed.
    """
    if not isinstance(session, dict):
        raise EventRefused("Missing required parameter: 'session'.", code="missing_required_parameter", param="session")
    input_format, rate = _audio(session, settings)
    transcription = session.get("input_audio_transcription", settings.transcription)
    _check_transcription(transcription)
    return replace(
        settings,
        input_format=input_format,
        sample_rate_hertz=rate,
        language=_language(transcription),
        turn_detection=_turn_detection(session, settings),
        transcription=transcription if isinstance(transcription, dict) else None,
    )


def require_same_audio(before: SessionSettings, after: SessionSettings) -> None:
    """Check an update that follows the first audio.

    Raises:
        EventRefused: Format or rate have changed.
    """
    for name, param in (("sample_rate_hertz", "sample_rate"), ("input_format", "input_audio_format")):
        if getattr(before, name) != getattr(after, name):
            raise EventRefused("It cannot change after audio.", code="invalid_value", param=f"session.{param}")


def _audio(session: Mapping[str, Any], settings: SessionSettings) -> tuple[str, int]:
    """Return format and rate: from two fields, or from ``audio.input.format`` of newer SDKs, which replaces them."""
    new: object = session
    for name in ("audio", "input", "format"):
        new = new.get(name) if isinstance(new, dict) else None
    if new is None:
        new = {}
    if not isinstance(new, dict):
        raise _invalid("session.audio.input.format", new, "an object")
    input_format = new.get("type", session.get("input_audio_format", settings.input_format))
    rate = new.get("sample_rate", session.get("sample_rate", settings.sample_rate_hertz))
    _require_one_of("session.input_audio_format", input_format, _FORMATS)
    _require_one_of("session.sample_rate", rate, _RATES)
    return input_format, rate


def _language(transcription: object) -> str | None:
    if not isinstance(transcription, dict) or "language" not in transcription:
        return None
    language = transcription["language"]
    if not isinstance(language, str) or language not in _LANGUAGES:
        shown = "null" if language is None else language
        raise EventRefused(
            f"Language code '{shown}' is not recognized.",
            code="invalid_value",
            param="session.input_audio_transcription.language",
        )
    return language


def _check_transcription(transcription: object) -> None:
    """Refuse what is no transcription; the vendor's SDKs send null for nothing."""
    name = "session.input_audio_transcription"
    if not isinstance(transcription, dict | None):
        raise _invalid(name, transcription, "an object or null")
    corpus = (transcription or {}).get("corpus")
    if not isinstance(corpus, dict | None):
        raise _invalid(f"{name}.corpus", corpus, "an object or null")
    text = (corpus or {}).get("text")
    if not isinstance(text, str | None):
        raise _invalid(f"{name}.corpus.text", text, "a string or null")


def _turn_detection(session: Mapping[str, Any], settings: SessionSettings) -> TurnDetection | None:
    if "turn_detection" not in session:
        return settings.turn_detection
    given = session["turn_detection"]
    if given is None:
        return None
    if not isinstance(given, dict):
        raise _invalid("session.turn_detection", given, "an object or null")
    _require_one_of("session.turn_detection.type", given.get("type"), ("server_vad",))
    detection = TurnDetection(
        threshold=given.get("threshold", _SERVER_VAD.threshold),
        silence_ms=given.get("silence_duration_ms", _SERVER_VAD.silence_ms),
    )
    _require_within("session.turn_detection.threshold", detection.threshold, _THRESHOLDS, (int, float))
    _require_within("session.turn_detection.silence_duration_ms", detection.silence_ms, _SILENCES_MS, (int,))
    return detection


def _require_one_of(param: str, value: object, known: tuple[object, ...]) -> None:
    if not any(type(value) is type(item) and value == item for item in known):  # to Python, 16000.0 is 16000
        raise _invalid(param, value, ", ".join(f"'{item}'" for item in known))


def _require_within(
    param: str, value: object, limits: tuple[float, float], kinds: tuple[type[int] | type[float], ...]
) -> None:
    if type(value) not in kinds or not isinstance(value, kinds) or not limits[0] <= value <= limits[1]:
        raise _invalid(param, value, f"{limits[0]} to {limits[1]}")


def _invalid(param: str, value: object, supported: str) -> EventRefused:
    message = f"Invalid value: '{value}'. Supported values are: {supported}."
    return EventRefused(message, code="invalid_value", param=param)
