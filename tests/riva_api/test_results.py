"""The contract's results to Riva's."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api.results import Results, needs_space


def ms(count: int) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(count)
    return duration


def streamed(results: Results, sent_ms: int = 0, **fields: object) -> asr.StreamingRecognitionResult:
    target = asr.StreamingRecognitionResult()
    message = pb.RecognizeResponse(result=pb.RecognitionResult(**fields))  # type: ignore[arg-type] # any field
    message.cursor.sent_upstream.CopyFrom(ms(sent_ms))
    results.fill_streamed(target, message)
    return target


def joined(*texts: str) -> str:
    """What a client shows of these utterances."""
    results = Results()
    return "".join(streamed(results, transcript=text, is_final=True).alternatives[0].transcript for text in texts)


def test_a_final_has_its_text_and_end() -> None:
    assert streamed(Results(), transcript="你好", is_final=True, end_offset=ms(1250)) == asr.StreamingRecognitionResult(
        alternatives=[asr.SpeechRecognitionAlternative(transcript="你好")],
        is_final=True,
        channel_tag=1,
        audio_processed=1.25,
    )


def test_without_an_end_the_audio_processed_is_what_was_sent_upstream() -> None:
    assert streamed(Results(), sent_ms=500, transcript="a").audio_processed == 0.5


def test_an_empty_final_has_an_alternative_too() -> None:
    assert [each.transcript for each in streamed(Results(), is_final=True).alternatives] == [""]


@pytest.mark.parametrize(("stability", "seen"), [(None, 0.0), (0.5, 0.5), (1.0, 0.99)])
def test_an_interims_stability_stays_below_1(stability: float | None, seen: float) -> None:
    assert streamed(Results(), transcript="a", stability=stability).stability == pytest.approx(seen)


WORD = pb.WordInfo(word="hello", punctuation=",", start_offset=ms(1500), end_offset=ms(62_040))


def test_a_finals_words_have_their_mark_and_times_in_milliseconds() -> None:
    result = streamed(Results(), transcript="hello,", is_final=True, words=[WORD], language_code="en")
    assert list(result.alternatives[0].words) == [
        asr.WordInfo(word="hello,", start_time=1500, end_time=62_040, language_code="en")
    ]
    assert list(result.alternatives[0].language_code) == ["en"]


def test_an_interim_has_no_words() -> None:
    assert not streamed(Results(), transcript="hello,", words=[WORD]).alternatives[0].words


def test_channels_count_from_1() -> None:
    assert streamed(Results(), transcript="a", channel=1).channel_tag == 2


# The space between utterances -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        (("good morning", "how are you"), "good morning how are you"),
        (("早上好。", "你好吗。"), "早上好。你好吗。"),
        (("早上好", "hello"), "早上好 hello"),
        (("早上好。", "hello"), "早上好。hello"),
        (("hello", "《你好"), "hello《你好"),
        (("hello.", "你好"), "hello. 你好"),
        (("안녕하세요.", "반갑습니다."), "안녕하세요. 반갑습니다."),
        (("おはよう。", "カタカナ"), "おはよう。カタカナ"),
        (("one", "", "two"), "one two"),
    ],
)
def test_joined_texts_read_as_one(texts: tuple[str, ...], text: str) -> None:
    assert joined(*texts) == text


def test_interims_of_a_later_utterance_begin_with_the_space_too() -> None:
    results = Results()
    streamed(results, transcript="one", is_final=True)
    assert streamed(results, transcript="two").alternatives[0].transcript == " two"


def test_each_channel_has_its_own_text() -> None:
    results = Results()
    streamed(results, transcript="one", is_final=True, channel=0)
    assert streamed(results, transcript="two", channel=1).alternatives[0].transcript == "two"


@pytest.mark.parametrize("pair", ["中𠀀", "、中", "「你", "ー", "々々", "ｶﾞ"])
def test_all_of_chinese_and_japanese_has_no_spaces(pair: str) -> None:
    assert not needs_space(pair[0], pair[-1])


@pytest.mark.parametrize("mark", "“”\u2018\u2019—…·")
def test_a_mark_of_every_script_has_no_space_beside_a_chinese_letter(mark: str) -> None:
    assert not needs_space("好", f"{mark}hello")
    assert not needs_space(f"hello{mark}", "好")


@pytest.mark.parametrize(
    ("before", "after"),
    [("他说“好。”", "hello"), ("等等……", "hello"), ("等等……", "“你好”"), ("hello", "“你好”"), ("好——", "OK")],
)
def test_a_mark_is_chinese_in_a_chinese_text(before: str, after: str) -> None:
    assert not needs_space(before, after)


@pytest.mark.parametrize(
    ("before", "after"), [("wait…", "hello"), ("wait", "“hello”"), ("he said “hi”", "“hello”"), ("안녕…", "반갑")]
)
def test_a_mark_between_spaced_scripts_has_a_space(before: str, after: str) -> None:
    assert needs_space(before, after)
