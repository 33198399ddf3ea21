from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from asrgateway_server.config import Adaptation, Hotword
from asrgateway_server.events import (
    CommitEmpty,
    FinalResult,
    Finished,
    InterimResult,
    Ready,
    SpeechEnded,
    SpeechStarted,
    Word,
)
from asrgateway_server.vendors.pocketsphinx import adapter as pocketsphinx
from asrgateway_server.vendors.pocketsphinx.adapter import PocketSphinxAdapter
from asrgateway_server.vendors.pocketsphinx.decoder import Hypothesis, SpokenWord
from calls import silence

HEARD = (SpokenWord(text="good", start_ms=100, end_ms=300), SpokenWord(text="morning", start_ms=300, end_ms=700))
WORDS = (Word(text="good", start_ms=100, end_ms=300), Word(text="morning", start_ms=300, end_ms=700))


def open_utterance(words: tuple[SpokenWord, ...] = HEARD) -> Hypothesis:
    return Hypothesis(words=words, start_ms=90, end_ms=750, is_final=False)


def closed_utterance(words: tuple[SpokenWord, ...] = HEARD) -> Hypothesis:
    return Hypothesis(words=words, start_ms=90, end_ms=800, is_final=True)


class ScriptedDecoder:
    """Tells what the test says, in place of a recogniser."""

    def __init__(self) -> None:
        self.hears: list[Hypothesis] = []
        self.closes: Hypothesis | None = None
        self.resets = 0
        self.hotwords: dict[str, int] = {}

    def reset(self, hotwords: dict[str, int]) -> None:
        self.resets += 1
        self.hotwords = hotwords

    def feed(self, pcm: bytes) -> list[Hypothesis]:
        return self.hears if pcm else []

    def commit(self) -> Hypothesis | None:
        return self.closes

    def finish(self) -> Hypothesis | None:
        return self.closes


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> ScriptedDecoder:
    decoder = ScriptedDecoder()
    monkeypatch.setattr(pocketsphinx, "SpeechDecoder", lambda: decoder)
    return decoder


@pytest.fixture
def adapter(decoder: ScriptedDecoder) -> PocketSphinxAdapter:
    assert decoder.resets == 0
    adapter = PocketSphinxAdapter()
    adapter.start(Adaptation())
    return adapter


def test_a_stream_is_ready_at_once(decoder: ScriptedDecoder) -> None:
    assert PocketSphinxAdapter().start(Adaptation()) == [Ready()]
    assert decoder.resets == 1


def test_the_first_words_begin_speech_and_are_an_interim_result(
    decoder: ScriptedDecoder, adapter: PocketSphinxAdapter
) -> None:
    decoder.hears = [open_utterance()]
    assert adapter.audio(b"..") == [
        SpeechStarted(offset_ms=90),
        InterimResult(text="good morning", start_ms=90, end_ms=750, words=WORDS),
    ]


def test_nothing_is_promised_about_an_interim_result(decoder: ScriptedDecoder, adapter: PocketSphinxAdapter) -> None:
    decoder.hears = [open_utterance()]
    *_, interim = adapter.audio(b"..")
    assert isinstance(interim, InterimResult)
    assert interim.committed == ""


def test_speech_begins_once_per_utterance(decoder: ScriptedDecoder, adapter: PocketSphinxAdapter) -> None:
    decoder.hears = [open_utterance()]
    adapter.audio(b"..")
    assert adapter.audio(b"..") == [InterimResult(text="good morning", start_ms=90, end_ms=750, words=WORDS)]


def test_speech_without_words_yet_is_told_without_a_result(
    decoder: ScriptedDecoder, adapter: PocketSphinxAdapter
) -> None:
    decoder.hears = [open_utterance(words=())]
    assert adapter.audio(b"..") == [SpeechStarted(offset_ms=90)]


def test_a_closed_utterance_ends_speech_and_is_a_final_result(
    decoder: ScriptedDecoder, adapter: PocketSphinxAdapter
) -> None:
    decoder.hears = [open_utterance()]
    adapter.audio(b"..")
    decoder.hears = [closed_utterance()]
    assert adapter.audio(b"..") == [
        SpeechEnded(offset_ms=800),
        FinalResult(text="good morning", start_ms=90, end_ms=800, words=WORDS),
    ]


def test_an_utterance_within_one_piece_begins_and_ends(decoder: ScriptedDecoder, adapter: PocketSphinxAdapter) -> None:
    decoder.hears = [closed_utterance(), open_utterance(words=())]
    assert adapter.audio(b"..") == [
        SpeechStarted(offset_ms=90),
        SpeechEnded(offset_ms=800),
        FinalResult(text="good morning", start_ms=90, end_ms=800, words=WORDS),
        SpeechStarted(offset_ms=90),
    ]


def test_a_noise_is_a_final_result_without_text(decoder: ScriptedDecoder, adapter: PocketSphinxAdapter) -> None:
    decoder.hears = [closed_utterance(words=())]
    assert adapter.audio(b"..")[-1] == FinalResult(text="", start_ms=90, end_ms=800)


def test_a_commit_forces_the_final_result(decoder: ScriptedDecoder, adapter: PocketSphinxAdapter) -> None:
    decoder.hears = [open_utterance()]
    adapter.audio(b"..")
    decoder.closes = closed_utterance()
    assert adapter.commit() == [
        SpeechEnded(offset_ms=800),
        FinalResult(text="good morning", start_ms=90, end_ms=800, words=WORDS, is_forced=True),
    ]


def test_a_commit_without_speech_is_answered_too(adapter: PocketSphinxAdapter) -> None:
    assert adapter.commit() == [CommitEmpty()]


def test_the_end_closes_the_open_utterance(decoder: ScriptedDecoder, adapter: PocketSphinxAdapter) -> None:
    decoder.hears = [open_utterance()]
    adapter.audio(b"..")
    decoder.closes = closed_utterance()
    assert adapter.finish() == [
        SpeechEnded(offset_ms=800),
        FinalResult(text="good morning", start_ms=90, end_ms=800, words=WORDS),
        Finished(),
    ]


def test_the_end_of_silence_is_just_the_end(adapter: PocketSphinxAdapter) -> None:
    assert adapter.finish() == [Finished()]


def test_a_stream_begins_outside_speech_whatever_became_of_the_last(
    decoder: ScriptedDecoder, adapter: PocketSphinxAdapter
) -> None:
    decoder.hears = [open_utterance(words=())]
    adapter.audio(b"..")
    adapter.start(Adaptation())
    assert adapter.audio(b"..") == [SpeechStarted(offset_ms=90)]


CALLS: dict[str, Callable[[PocketSphinxAdapter], object]] = {
    "audio": lambda adapter: adapter.audio(b".."),
    "commit": PocketSphinxAdapter.commit,
    "finish": PocketSphinxAdapter.finish,
}


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_before_the_start_or_after_the_end_is_our_mistake(
    adapter: PocketSphinxAdapter, call: Callable[[PocketSphinxAdapter], object]
) -> None:
    with pytest.raises(RuntimeError):
        call(PocketSphinxAdapter())
    adapter.finish()
    with pytest.raises(RuntimeError):
        call(adapter)


def test_a_task_begins_after_the_end_of_the_last(decoder: ScriptedDecoder, adapter: PocketSphinxAdapter) -> None:
    adapter.finish()
    adapter.start(Adaptation())
    decoder.hears = [open_utterance(words=())]
    assert adapter.audio(b"..") == [SpeechStarted(offset_ms=90)]


# With the recogniser itself ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_adapter() -> PocketSphinxAdapter:
    return PocketSphinxAdapter()


def test_speech_and_silence_alternate(real_adapter: PocketSphinxAdapter, mother: bytes) -> None:
    real_adapter.start(Adaptation())
    audio = mother + silence(1)
    events = [
        event for start in range(0, len(audio), 3_200) for event in real_adapter.audio(audio[start : start + 3_200])
    ]
    boundaries = [type(event) for event in events if isinstance(event, SpeechStarted | SpeechEnded)]
    assert boundaries == [SpeechStarted, SpeechEnded]
    assert [event.text for event in events if isinstance(event, FinalResult)] == [
        "please call my mother tomorrow morning"
    ]


def test_interim_results_reach_ever_further(real_adapter: PocketSphinxAdapter, mother: bytes) -> None:
    real_adapter.start(Adaptation())
    events = [
        event for start in range(0, len(mother), 3_200) for event in real_adapter.audio(mother[start : start + 3_200])
    ]
    reached = [event.end_ms or 0 for event in events if isinstance(event, InterimResult)]
    assert len(reached) > 2
    assert all(before < after for before, after in pairwise(reached))


def test_hot_words_reach_the_decoder_with_their_weights(adapter: PocketSphinxAdapter, decoder: ScriptedDecoder) -> None:
    words = (Hotword(text="Kestrel"), Hotword(text=" oak tree ", weight=1))
    adapter.start(Adaptation(hotwords=words))
    assert decoder.hotwords == {"Kestrel": 4, "oak tree": 1}
