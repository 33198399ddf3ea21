"""How an English word that stands in no dictionary is probably said: spelling to ARPABET phones. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

#: Returns the phones of a lower-case word, parted by blanks; None if the dictionary lacks it.
Lookup = Callable[[str], str | None]

#: A longer text is not said: PocketSphinx crashed when it let go of a word of 1,000,000 letters.
MAX_CHARACTERS: Final = 100

_SPEAKABLE: Final = re.compile(r"[A-Za-z][A-Za-z'.\- ]*")
_LONGEST_ACRONYM: Final = 5


def _table(text: str) -> Mapping[str, str]:
    """Read ``spelling: phones``, parted by semicolons."""
    return MappingProxyType({left.strip(): right.strip() for left, _, right in map(_halves, text.split(";"))})


def _halves(entry: str) -> tuple[str, str, str]:
    return entry.partition(":")


# A name is said by English rules or with the vowels of most other languages: both are tried.
_ENGLISH_VOWELS: Final = _table("a: AE; e: EH; i: IH; o: AA; u: AH; y: IH")
_OPEN_VOWELS: Final = _table("a: AA; e: EH; i: IY; o: OW; u: UW; y: IY")
# At the end of a word, both ways.
_LAST_VOWELS: Final = _table("a: AH; e:; i: IY; o: OW; u: UW; y: IY")
# Before one consonant and a silent e.
_LONG_VOWELS: Final = _table("a: EY; e: IY; i: AY; o: OW; u: UW; y: AY")

_FIRST: Final = _table("kn: N; gn: N; wr: R; ps: S; pt: T; pn: N; mn: N; x: Z; y: Y")
_GROUPS: Final = _table(
    "tion: SH AH N; sion: ZH AH N; ture: CH ER; eigh: EY; igh: AY; augh: AO; ough: AO;"
    "tch: CH; sch: SH; dge: JH; ch: CH; sh: SH; th: TH; ph: F; gh: G; wh: W;"
    "ck: K; qu: K W; ng: NG; nk: NG K; zh: ZH; kh: K; rh: R; sc: S K; ce: S EH; ci: S IH; cy: S IY;"
    "ee: IY; ea: IY; ie: IY; ey: IY; oo: UW; ew: UW; ue: UW; ou: AW; ow: OW;"
    "oa: OW; oi: OY; oy: OY; ai: EY; ay: EY; ei: EY; au: AO; aw: AO;"
    "ar: AA R; er: ER; ir: ER; ur: ER; or: AO R;"
    "b: B; c: K; d: D; f: F; g: G; h: HH; j: JH; k: K; l: L; m: M; n: N; p: P; q: K; r: R; s: S; t: T; v: V; w: W;"
    "x: K S; z: Z"
)
_LONGEST_GROUP: Final = max(map(len, _GROUPS))
_LETTERS: Final = _table(
    "a: EY; b: B IY; c: S IY; d: D IY; e: IY; f: EH F; g: JH IY; h: EY CH; i: AY; j: JH EY; k: K EY; l: EH L; m: EH M;"
    "n: EH N; o: OW; p: P IY; q: K Y UW; r: AA R; s: EH S; t: T IY; u: Y UW; v: V IY; w: D AH B AH L Y UW;"
    "x: EH K S; y: W AY; z: Z IY"
)


def is_speakable(text: str) -> bool:
    """Whether a word or phrase is written in English letters, with blanks, hyphens, dots and apostrophes at most."""
    return _SPEAKABLE.fullmatch(text.strip()) is not None


def pronunciations(text: str, lookup: Lookup) -> tuple[tuple[str, ...], ...]:
    """Return the ways in which a word or phrase may be said.

    Args:
        text: As it is written; see ``is_speakable``.
        lookup: The dictionary, which goes before the rules.

    Returns:
        Each way as the phones of each blank-separated part; empty if the text cannot be spoken, or is too long.
    """
    if len(text) > MAX_CHARACTERS or not is_speakable(text):
        return ()
    ways = [tuple(_said(part, lookup, vowels) for part in text.split()) for vowels in (_ENGLISH_VOWELS, _OPEN_VOWELS)]
    return tuple(dict.fromkeys(way for way in ways if all(way)))


def _said(part: str, lookup: Lookup, vowels: Mapping[str, str]) -> str:
    known = lookup(part.lower().strip(".-"))
    if known:
        return known
    return " ".join(_spelt(piece, lookup, vowels) for piece in re.split(r"[-.]+", part) if piece)


def _spelt(piece: str, lookup: Lookup, vowels: Mapping[str, str]) -> str:
    letters = piece.lower().replace("'", "")
    if not letters:
        return ""
    if (piece.isupper() and len(letters) <= _LONGEST_ACRONYM) or not set(letters) & set(vowels):
        return " ".join(_LETTERS[letter] for letter in letters)
    return lookup(piece.lower()) or _by_rule(letters, vowels)


def _by_rule(letters: str, vowels: Mapping[str, str]) -> str:
    letters = re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", letters)
    if not _has_silent_e(letters):
        return _grouped(letters, vowels, is_whole=True)
    letters = letters[:-1]  # It makes the vowel before it long.
    start, vowel, end = letters[:-2], letters[-2], letters[-1]
    if vowel not in _LONG_VOWELS:
        return _grouped(letters, vowels, is_whole=True)
    return f"{_grouped(start, vowels, is_whole=False)} {_LONG_VOWELS[vowel]} {_GROUPS[end]}".strip()


def _has_silent_e(letters: str) -> bool:
    """Whether a word ends in an e after a consonant after a vowel; by hand, as an expression would be quadratic."""
    if letters[-1] != "e" or letters[-2:-1] in {"", *_LONG_VOWELS}:
        return False
    return any(letter in _LONG_VOWELS for letter in letters[:-2])


def _grouped(letters: str, vowels: Mapping[str, str], *, is_whole: bool) -> str:
    phones = []
    position = 0
    while position < len(letters):
        size, phone = _next(letters, position, vowels, is_whole=is_whole)
        phones.append(phone)
        position += size
    return " ".join(filter(None, phones))


def _next(letters: str, position: int, vowels: Mapping[str, str], *, is_whole: bool) -> tuple[int, str]:
    if position == 0:
        for size in (2, 1):
            if letters[:size] in _FIRST and (len(letters) > size or not is_whole):
                return size, _FIRST[letters[:size]]
    for size in range(_LONGEST_GROUP, 0, -1):
        group = letters[position : position + size]
        if len(group) == size and group in _GROUPS:
            return size, _GROUPS[group]
    letter = letters[position]
    is_last = is_whole and position == len(letters) - 1 and position > 0
    return 1, (_LAST_VOWELS if is_last else vowels)[letter]
