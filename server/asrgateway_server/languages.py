"""What becomes of the languages that a call asks for: models know them by codes of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from asrgateway_server.config import RecognitionConfig
from asrgateway_server.models import Model

#: Other codes of languages that models know, and the likeliest of the models' own codes first.
#: Source: IANA's registry of language subtags; `tl` and `fil` are each the code of other models. By `zh` they
#: mean Mandarin, Sichuanese, Minnan and Wu.
_OTHER_CODES: Final = {
    "cmn": ("zh",),
    "nan": ("zh",),
    "wuu": ("zh",),
    "tl": ("tl", "fil"),
    "fil": ("fil", "tl"),
    "nb": ("no",),
    "nn": ("no",),
    "in": ("id",),
    "mo": ("ro",),
    "arb": ("ar",),
    "zsm": ("ms",),
}
_CANTONESE: Final = "yue"
_CHINESE: Final = "zh"
#: Where Chinese is Cantonese.
_CANTONESE_REGIONS: Final = frozenset(("hk", "mo"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedLanguage:
    """One language of a call, and what is sent for it.

    Attributes:
        hint: The vendor's code that is sent to the model; empty: none is sent for this language.
        is_known: The model knows the language, or one that may stand for it.
        is_exact: It is that language, not one that stands for it.
    """

    hint: str
    is_known: bool
    is_exact: bool


def vendor_code(code: str, known: Collection[str]) -> tuple[str, bool]:
    """Return the vendor's code for a language; empty if none is known. And whether it is that language itself.

    The vendor knows no regions: ``en-US`` and ``en-GB`` are both ``en``. Only Chinese ones name a language.

    Args:
        code: BCP-47.
        known: The vendor's codes to choose among.
    """
    primary, *others = code.lower().split("-")
    if primary == _CHINESE and _is_cantonese(others):
        return (_CANTONESE, True) if _CANTONESE in known else (_first((_CHINESE,), known), False)
    return _first(_OTHER_CODES.get(primary, (primary,)), known), True


def requested_languages(config: RecognitionConfig) -> tuple[RequestedLanguage, ...]:
    """Return each of a call's languages, and what is sent for it.

    A hint that the model does not know is left out, since with it the vendor may recognise nothing at all. A model that
    takes fewer hints than the call has languages gets the likeliest; one that would recognise nothing but the hinted
    language gets none, and finds out by itself.
    """
    model = config.model
    found = [vendor_code(code, primaries(model)) for code in config.language_codes]
    hints = set(_hints(model, dict.fromkeys(code for code, _ in found if code)))
    return tuple(
        RequestedLanguage(hint=code if code in hints else "", is_known=bool(code), is_exact=is_exact)
        for code, is_exact in found
    )


def language_hints(config: RecognitionConfig) -> list[str]:
    """Return the hints that the model gets, as the vendor names languages, the likeliest first."""
    return list(dict.fromkeys(language.hint for language in requested_languages(config) if language.hint))


def knows_any(model: Model, codes: Collection[str]) -> bool:
    """Whether a model knows one of these languages, or one that may stand for it."""
    return any(vendor_code(code, primaries(model))[0] for code in codes)


def primaries(model: Model) -> tuple[str, ...]:
    """Return the languages that a model knows, without their regions."""
    return tuple(code.partition("-")[0] for code in model.language_codes)


def _hints(model: Model, codes: Collection[str]) -> Iterator[str]:
    if len(codes) <= model.max_language_hints or not model.is_bound_by_hints:
        yield from islice(codes, model.max_language_hints)


def _is_cantonese(subtags: Collection[str]) -> bool:
    return _CANTONESE in subtags or ("cmn" not in subtags and not _CANTONESE_REGIONS.isdisjoint(subtags))


def _first(codes: Collection[str], known: Collection[str]) -> str:
    return next((code for code in codes if code in known), "")
