"""How the gateway treats Riva's clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RivaOptions:
    """What the operator chooses.

    Attributes:
        is_strict: What has no place in the contract, or the model does not honour, is an error.
        ignored_languages: Language codes that count as none, in lower case.
        config_timeout_seconds: How long a call may take to send its config.
        first_audio_timeout_seconds: How long it may then take to send its first audio.
    """

    is_strict: bool = False
    ignored_languages: frozenset[str] = frozenset()
    config_timeout_seconds: float = 10.0
    first_audio_timeout_seconds: float = 300.0
