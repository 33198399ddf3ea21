"""The vendor's names of languages."""

from __future__ import annotations

from asrgateway_server.config import RecognitionConfig


def language_hints(config: RecognitionConfig) -> list[str]:
    """Return the call's languages that the model knows, as the vendor names them, the likeliest first.

    The vendor knows no regions: ``en-US`` and ``en-GB`` are both ``en``. A hint that the model does not know is left
    out, since with it the vendor may hear nothing at all.
    """
    asked = (code.partition("-")[0].lower() for code in config.language_codes)
    return [code for code in dict.fromkeys(asked) if code in config.model.language_codes]
