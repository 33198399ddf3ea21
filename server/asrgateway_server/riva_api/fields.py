"""The words of the contract in what Riva's clients read: fields, and values of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_RIVA_FIELDS: Final[Mapping[str, str]] = {
    "model": "config.model",
    "decoding_config": "config.encoding",
    "decoding_config.sample_rate_hertz": "config.sample_rate_hertz",
    "decoding_config.audio_channel_count": "config.audio_channel_count",
    "decoding_config.channel_mode": "config.enable_separate_recognition_per_channel",
    "language_codes": "config.language_code",
    "features.sensitive_word_filter": "config.profanity_filter",
    "features.enable_automatic_punctuation": "config.enable_automatic_punctuation",
    "features.enable_inverse_text_normalization": "config.verbatim_transcripts",
    "features.enable_word_time_offsets": "config.enable_word_time_offsets",
    "adaptation.hotwords": "config.speech_contexts",
    "endpointing": "config.endpointing_config",
    "request_id": "id",
    "commit": "runtime_config.force_eou",
}
_RIVA_WORDS: Final[Mapping[str, str]] = {
    # Riva's field says the opposite.
    "features.enable_inverse_text_normalization=true": "config.verbatim_transcripts=false",
    "features.enable_inverse_text_normalization=false": "config.verbatim_transcripts=true",
    "LINEAR16": "LINEAR_PCM",
    "OGG_OPUS": "OGGOPUS",
    "use channel mode MIX": "leave out enable_separate_recognition_per_channel",
    "the call is strict": "riva_strict is set",
    "its weight": "the weight of its boost",
    "hot words": "phrases",
    "hot word": "phrase",
    "commits": "force_eou",
}
_PREFIX: Final = "streaming_config."
_INDEX: Final = re.compile(r"\[\d+\].*")
_PATH: Final = r"(?:decoding_config|language_codes|features\.|adaptation\.|endpointing\.)[\w.]*(?:\[\d+\])?"
_WORDS: Final = re.compile(rf"\b(?:{'|'.join(_RIVA_WORDS)})\b|\b(?:{re.escape(_PREFIX)})?{_PATH}")


def riva_field(path: str) -> str:
    """Return Riva's name of a field of the contract, or of what holds it; the path itself where there is none."""
    known = _INDEX.sub("", path.removeprefix(_PREFIX))
    while known:
        if known in _RIVA_FIELDS:
            return _RIVA_FIELDS[known]
        known = known.rpartition(".")[0]
    return path


def riva_text(text: str) -> str:
    """Return what is said of a request with Riva's words in place of the contract's."""
    return _WORDS.sub(lambda found: _RIVA_WORDS.get(found[0]) or riva_field(found[0]), text)
