"""The embedded recognizer: hypotheses of PocketSphinx to events."""

from __future__ import annotations

from asrgateway_server.backends.adapter_order import AdapterOrder, Step
from asrgateway_server.config import Adaptation
from asrgateway_server.events import (
    BackendEvent,
    CommitEmpty,
    FinalResult,
    Finished,
    InterimResult,
    Ready,
    SpeechEnded,
    SpeechStarted,
    Word,
)
from asrgateway_server.vendors.pocketsphinx.decoder import Hypothesis, SpeechDecoder, SpokenWord


class PocketSphinxAdapter:
    """US English, without punctuation; see ``InProcessAdapter``."""

    def __init__(self) -> None:
        self._decoder = SpeechDecoder()
        self._order = AdapterOrder()
        self._is_speaking = False

    def start(self, adaptation: Adaptation) -> list[BackendEvent]:
        """Begin a stream; see ``InProcessAdapter``."""
        self._order = AdapterOrder()
        self._order.take(Step.START)
        self._decoder.reset({word.text.strip(): word.weight for word in adaptation.hotwords})
        self._is_speaking = False
        self._order.take(Step.READY)
        return [Ready()]

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        """Recognise more; see ``InProcessAdapter``."""
        if not self._order.is_ready:
            self._order.take(Step.AUDIO)  # Raises.
        return [event for hypothesis in self._decoder.feed(pcm) for event in self._events(hypothesis)]

    def commit(self) -> list[BackendEvent]:
        """End the open utterance; see ``InProcessAdapter``."""
        self._order.take(Step.COMMIT)
        final = self._decoder.commit()
        return self._events(final, is_forced=True) if final else [CommitEmpty()]

    def update(self, adaptation: Adaptation) -> list[BackendEvent]:
        """See ``InProcessAdapter``; never called, since the decoder takes words only between tasks."""
        raise NotImplementedError

    def finish(self) -> list[BackendEvent | Finished]:
        """End the stream; see ``InProcessAdapter``."""
        self._order.take(Step.FINISH)
        final = self._decoder.finish()
        self._order.take(Step.END)
        return [*(self._events(final) if final else []), Finished()]

    def _events(self, hypothesis: Hypothesis, *, is_forced: bool = False) -> list[BackendEvent]:
        events: list[BackendEvent] = []
        if not self._is_speaking:
            events.append(SpeechStarted(offset_ms=hypothesis.start_ms))
        self._is_speaking = not hypothesis.is_final
        if hypothesis.is_final:
            events += [SpeechEnded(offset_ms=hypothesis.end_ms), _final(hypothesis, is_forced=is_forced)]
        elif hypothesis.words:
            events.append(_interim(hypothesis))
        return events


def _final(hypothesis: Hypothesis, *, is_forced: bool) -> FinalResult:
    return FinalResult(
        text=hypothesis.text,
        start_ms=hypothesis.start_ms,
        end_ms=hypothesis.end_ms,
        words=_words(hypothesis.words),
        is_forced=is_forced,
    )


def _interim(hypothesis: Hypothesis) -> InterimResult:
    return InterimResult(
        text=hypothesis.text,
        start_ms=hypothesis.start_ms,
        end_ms=hypothesis.end_ms,
        words=_words(hypothesis.words),
    )


def _words(words: tuple[SpokenWord, ...]) -> tuple[Word, ...]:
    return tuple(Word(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms) for word in words)
