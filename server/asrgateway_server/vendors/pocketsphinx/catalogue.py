"""The embedded model."""

from __future__ import annotations

from typing import Final

from asrgateway_server.models import HotwordLimits, Length, Model
from asrgateway_server.vendors.pocketsphinx.pronunciation import MAX_CHARACTERS, is_speakable

_HOTWORDS: Final = HotwordLimits(
    max_characters=MAX_CHARACTERS,
    lengths=(Length(applies=bool, measure=lambda text: len(text.split()), limit=7, unit="blank-separated parts"),),
    languages=frozenset(("en",)),
    is_writable=is_speakable,
    writing_text="English letters, hyphens, dots, apostrophes and blanks",
)

EMBEDDED: Final = Model(
    name="embedded",
    backend="pocketsphinx",
    language_codes=("en-US",),
    sample_rates_hertz=(16_000,),
    hotwords=_HOTWORDS,
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
