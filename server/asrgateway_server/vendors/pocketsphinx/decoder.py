"""PocketSphinx with its end-pointer: PCM in, hypotheses of utterances out. Pure, US English only.

What it returns does not depend on how the audio was cut into pieces. PocketSphinx holds the interpreter's lock
while it decodes, up to half a second at a time: keep it out of a process that must answer quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pocketsphinx import Decoder, Endpointer

from asrgateway_server.vendors.pocketsphinx.pronunciation import pronunciations

SAMPLE_RATE_HERTZ: Final = 16_000
_BYTES_PER_MS: Final = SAMPLE_RATE_HERTZ // 1000 * 2
_MS_PER_DECODER_FRAME: Final = 10

# A hot word becomes a word of its own, beside any that is spelt alike: ``hot:3`` in the dictionary and the language
# model. Measured on speech of flite: below 1 it loses against common words, from 1000 times it swallows its neighbours.
_HOT: Final = "hot:"
_PREFERENCE: Final = 3.0
_MAX_PREFERENCE: Final = _PREFERENCE**6
_NONE: Final[Mapping[str, int]] = MappingProxyType({})
# On four recordings of people (54 words) a narrower search and no second pass get as many words wrong, 35, in a quarter
# of the time: 17 s became 5 s, and the wait for the last result at most 0.3 s where it was 1.6 s.
_SEARCH: Final[Mapping[str, bool | int]] = MappingProxyType({"fwdflat": False, "maxhmmpf": 3000})


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenWord:
    """One word of a hypothesis.

    Attributes:
        text: The word in lower case.
        start_ms: Where it begins, counted from the first sample since ``reset``.
        end_ms: Where it ends, on the same scale.
    """

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """The text of one utterance, as far as it has been recognised.

    Attributes:
        words: The words so far; empty for a noise that is no word.
        start_ms: Where the utterance begins, counted from the first sample since ``reset``.
        end_ms: Where it ends, or how far it has been recognised.
        is_final: The utterance is over; the next hypothesis belongs to another one.
    """

    words: tuple[SpokenWord, ...]
    start_ms: int
    end_ms: int
    is_final: bool

    @property
    def text(self) -> str:
        """The words, separated by blanks."""
        return " ".join(word.text for word in self.words)


class SpeechDecoder:
    """One recogniser for one stream of audio at a time: mono, 16-bit little-endian, 16 kHz.

    Loading the model takes about 0.3 s and 100 MB, so an instance is kept and ``reset`` between streams.
    """

    def __init__(self) -> None:
        self._load(_NONE)
        self.reset()

    @property
    def hotwords(self) -> Mapping[str, int]:
        """The words that it expects."""
        return self._hotwords

    def reset(self, hotwords: Mapping[str, int] = _NONE) -> None:
        """Forget everything of the last stream, the learnt noise level included.

        Args:
            hotwords: Words and phrases to expect, as they should be written, and how much: from 1 on. What cannot be
                spoken in English is passed over. Other ones than last time load the model anew: a decoder that has
                had further words recognises differently for ever.
        """
        if self._is_open():
            self._decoder.end_utt()
        if dict(hotwords) != self._hotwords:
            self._load(hotwords)
        self._decoder.reinit_feat()
        self._pending = bytearray()
        self._heard_bytes = 0
        self._rearm()

    def feed(self, pcm: bytes) -> list[Hypothesis]:
        """Recognise more audio.

        Returns:
            The final hypothesis of each utterance that ended in it; then, if one is open and it is new or its
            words have changed since the last call, an interim one.
        """
        self._pending += pcm
        finals = []
        size = self._endpointer.frame_bytes
        position = 0
        while len(self._pending) - position > size:
            frame = bytes(self._pending[position : position + size])
            position += size
            if final := self._hear(self._endpointer.process(frame), size):
                finals.append(final)
        del self._pending[:position]
        interim = self._interim()
        return [*finals, interim] if interim else finals

    def commit(self) -> Hypothesis | None:
        """End the open utterance with the audio so far; None if there is none."""
        if not self._endpointer.in_speech:
            return None
        rest = bytes(self._pending)
        self._pending.clear()
        final = self._hear(self._endpointer.end_stream(rest), len(rest)) or self._close()
        self._rearm()
        return final

    def finish(self) -> Hypothesis | None:
        """End the stream; return the final hypothesis of the utterance that was open, if any."""
        return self.commit()

    def _load(self, hotwords: Mapping[str, int]) -> None:
        self._decoder = Decoder(samprate=SAMPLE_RATE_HERTZ, loglevel="FATAL", **_SEARCH)
        self._hotwords = dict(hotwords)
        self._parts: dict[str, tuple[tuple[str, int], ...]] = {}
        additions: list[tuple[str, str]] = []
        model = self._decoder.get_lm(self._decoder.current_search())
        for number, (text, weight) in enumerate(self._hotwords.items()):
            for variant, phones in enumerate(pronunciations(text, self._decoder.lookup_word), 1):
                if variant == 1:
                    model.add_word(f"{_HOT}{number}", min(_PREFERENCE**weight, _MAX_PREFERENCE))
                name = f"{_HOT}{number}" if variant == 1 else f"{_HOT}{number}({variant})"
                additions.append((name, " ".join(phones)))
                self._parts[name] = tuple(zip(text.split(), (part.count(" ") + 1 for part in phones), strict=True))
        for position, (name, sounds) in enumerate(additions, 1):
            self._decoder.add_word(name, sounds, position == len(additions))

    def _rearm(self) -> None:
        """Begin with a new end-pointer, whose clock starts where the audio has come to."""
        self._endpointer = Endpointer(sample_rate=SAMPLE_RATE_HERTZ)
        self._base_ms = self._heard_bytes // _BYTES_PER_MS
        self._start_ms: int | None = None
        self._last_text: str | None = None

    def _is_open(self) -> bool:
        return getattr(self, "_start_ms", None) is not None

    def _hear(self, speech: bytes | None, size: int) -> Hypothesis | None:
        """Decode what the end-pointer let through; return the final hypothesis if it closed the utterance."""
        self._heard_bytes += size
        if speech is None:
            return None
        if self._start_ms is None:
            self._start_ms = self._base_ms + round(self._endpointer.speech_start * 1000)
            self._decoder.start_utt()
        if speech:  # Where the utterance ends with the frame before, the end-pointer returns no bytes.
            self._decoder.process_raw(speech, no_search=False, full_utt=False)
        return None if self._endpointer.in_speech else self._close()

    def _close(self) -> Hypothesis:
        self._decoder.end_utt()
        final = self._hypothesis(self._start_ms or 0, is_final=True)
        self._start_ms = None
        self._last_text = None
        return final

    def _interim(self) -> Hypothesis | None:
        if self._start_ms is None:
            return None
        best = self._decoder.hyp()
        text = best.hypstr if best else ""
        if text == self._last_text:
            return None
        self._last_text = text
        return self._hypothesis(self._start_ms, is_final=False)

    def _hypothesis(self, start: int, *, is_final: bool) -> Hypothesis:
        heard_ms = self._heard_bytes // _BYTES_PER_MS
        spoken_until = self._base_ms + round(self._endpointer.speech_end * 1000) if is_final else heard_ms
        end = min(max(spoken_until, start), heard_ms)
        words = tuple(
            spoken
            for segment in self._decoder.seg() or ()
            if segment.word[0] not in "<[+"  # <s>, <sil>, [NOISE], ++BREATH++: no words
            for spoken in self._spoken(
                segment.word,
                min(start + segment.start_frame * _MS_PER_DECODER_FRAME, heard_ms),
                min(start + (segment.end_frame + 1) * _MS_PER_DECODER_FRAME, heard_ms),
            )
        )
        return Hypothesis(
            words=words,
            start_ms=start,
            end_ms=max(end, words[-1].end_ms if words else start),
            is_final=is_final,
        )

    def _spoken(self, name: str, start_ms: int, end_ms: int) -> list[SpokenWord]:
        """Return a word, or the words of a hot phrase, which share its time by their sounds."""
        parts = self._parts.get(name) or ((name.partition("(")[0], 1),)
        total = sum(sounds for _, sounds in parts)
        edges = [start_ms]
        for _, sounds in parts:
            edges.append(edges[-1] + (end_ms - start_ms) * sounds // total)
        edges[-1] = end_ms
        return [SpokenWord(text=text, start_ms=edges[i], end_ms=edges[i + 1]) for i, (text, _) in enumerate(parts)]
