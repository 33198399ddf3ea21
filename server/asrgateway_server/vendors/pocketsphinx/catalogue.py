"""The embedded model."""

from __future__ import annotations

from typing import Final

from asrgateway_server.models import Model

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
            "adaptation.hotwords",
            "keep_alive",
            "endpointing.server_vad=",
        }
    ),
)
