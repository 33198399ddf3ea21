"""What is kept of a call, to be sent again."""

import pytest

from asrgateway import Commit, ConfigUpdate, Hotword, SpeechAdaptation
from asrgateway.kept_items import KEPT_SECONDS, KeptItems, SampleFormat
from asrgateway.requests import AudioItem

MONO = SampleFormat(rate_hertz=16_000, channel_count=1)
#: 100 ms of audio each.
A, B, C = (bytes([letter]) * 3200 for letter in b"abc")
UPDATE = ConfigUpdate(adaptation=SpeechAdaptation(hotwords=[Hotword(text="kestrel")]))


def sent(*items: AudioItem, begin_ms: int = 0) -> KeptItems:
    kept = KeptItems(MONO, begin_ms)
    for item in items:
        kept.add(item)
        assert kept.take() == item
    return kept


def sent_again(kept: KeptItems) -> list[AudioItem]:
    kept.take_back()
    return list(iter(kept.take, None))


def test_items_are_taken_in_order_and_once() -> None:
    kept = KeptItems(MONO)
    for item in (A, Commit(), B):
        kept.add(item)
    assert list(iter(kept.take, None)) == [A, Commit(), B]
    assert kept.take() is None


def test_what_was_sent_is_sent_again_before_what_was_not() -> None:
    kept = sent(A, B)
    kept.add(C)
    assert sent_again(kept) == [A, B, C]


def test_final_audio_is_not_sent_again() -> None:
    kept = sent(A, B, C)
    kept.release(200)
    assert kept.begin_ms == 200
    assert sent_again(kept) == [C]


def test_audio_is_cut_where_the_final_result_ended() -> None:
    kept = sent(A, B)
    kept.release(150)
    assert sent_again(kept) == [B[1600:]]


def test_audio_that_was_not_sent_is_never_released() -> None:
    kept = sent(A)
    kept.add(B)
    kept.release(1000)
    assert kept.begin_ms == 100
    assert sent_again(kept) == [B]


def test_a_time_before_the_last_one_releases_nothing() -> None:
    kept = sent(A, B)
    kept.release(100)
    kept.release(50)
    assert sent_again(kept) == [B]


def test_a_call_that_was_resumed_itself_counts_from_its_offset() -> None:
    kept = sent(A, B, begin_ms=5000)
    assert kept.begin_ms == 5000
    kept.release(5100)
    assert sent_again(kept) == [B]


def test_a_commit_stays_until_it_is_answered() -> None:
    kept = sent(A, Commit(), B, Commit(), C)
    kept.release(200)
    assert sent_again(kept) == [Commit(), Commit(), C]
    kept.answer_commit()
    assert sent_again(kept) == [Commit(), C]


def test_a_commit_that_was_not_sent_is_not_answered() -> None:
    kept = sent(A)
    kept.add(Commit())
    kept.answer_commit()
    assert sent_again(kept) == [A, Commit()]


def test_an_update_is_sent_again_at_its_place() -> None:
    kept = sent(A, UPDATE, B)
    kept.release(100)
    assert kept.adaptation is None
    assert sent_again(kept) == [UPDATE, B]


def test_an_update_before_released_audio_is_in_force() -> None:
    kept = sent(A, UPDATE, B)
    kept.release(150)
    assert kept.adaptation == UPDATE.adaptation
    assert sent_again(kept) == [B[1600:]]


def test_the_oldest_audio_is_dropped_after_a_minute() -> None:
    second = bytes(32_000)
    kept = sent(*[second] * (KEPT_SECONDS + 1), A)
    assert kept.begin_ms == 1100
    assert sum(len(item) for item in sent_again(kept) if isinstance(item, bytes)) == KEPT_SECONDS * 32_000


def test_a_minute_of_audio_that_waits_is_enough() -> None:
    kept = KeptItems(MONO)
    for _ in range(KEPT_SECONDS):
        assert not kept.is_full
        kept.add(bytes(32_000))
    assert kept.is_full
    kept.take()
    assert not kept.is_full


@pytest.mark.parametrize("rate_hertz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channel_count", [1, 2, 3])
def test_every_millisecond_has_its_place(rate_hertz: int, channel_count: int) -> None:
    sample_format = SampleFormat(rate_hertz=rate_hertz, channel_count=channel_count)
    for offset_ms in range(2000):
        place = sample_format.bytes_at(offset_ms)
        assert place % sample_format.frame_bytes == 0
        assert sample_format.ms_at(place) == offset_ms


def test_a_part_of_a_sample_stays_with_its_rest() -> None:
    kept = sent(A[:-1], A[-1:])
    kept.take_back()
    kept.take()
    kept.release(100)
    assert sent_again(kept)[0] == A[-2:-1]


def test_a_wrong_item_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="not str"):
        KeptItems(MONO).add("text")  # type: ignore[arg-type]  # the mistake in question
