"""Captions: lines that fit, in times that never go back."""
# ruff: noqa: RUF001 - Chinese punctuation marks are meant, not their Latin likes

import re

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as some
from rich.cells import cell_len

from asrgateway import RecognitionResult, WordInfo
from asrgateway.captions import LINE_COLUMNS, MAX_LINES, Caption, Captions, srt, vtt


def ms(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def word(text: str, start_ms: int, end_ms: int, punctuation: str = "") -> WordInfo:
    return WordInfo(word=text, punctuation=punctuation, start_offset=ms(start_ms), end_offset=ms(end_ms))


def utterance(text: str, *words: WordInfo) -> RecognitionResult:
    return RecognitionResult(transcript=text, is_final=True, words=words)


def timed(text: str, start_ms: int, end_ms: int) -> RecognitionResult:
    return RecognitionResult(transcript=text, is_final=True, start_offset=ms(start_ms), end_offset=ms(end_ms))


def captions(*results: RecognitionResult, finalized_ms: int = 0) -> list[Caption]:
    maker = Captions()
    return [caption for result in results for caption in maker.of(result, finalized_ms)]


def test_a_short_utterance_is_one_caption_from_its_first_to_its_last_word() -> None:
    result = utterance("Hello, world.", word("Hello", 200, 500, ","), word("world", 600, 900, "."))
    assert captions(result) == [Caption(start_ms=200, end_ms=900, lines=("Hello, world.",))]


def test_a_line_ends_before_the_word_that_does_not_fit() -> None:
    texts = ["captions"] * 7
    result = utterance(" ".join(texts), *(word(text, 300 * n, 300 * n + 200) for n, text in enumerate(texts)))
    (caption,) = captions(result)
    assert caption.lines == ("captions captions captions captions", "captions captions captions")


def test_a_caption_ends_before_the_word_that_needs_a_third_line() -> None:
    texts = ["captions"] * 9
    result = utterance(" ".join(texts), *(word(text, 300 * n, 300 * n + 200) for n, text in enumerate(texts)))
    assert [(caption.start_ms, caption.end_ms, len(caption.lines)) for caption in captions(result)] == [
        (0, 2300, 2),
        (2400, 2600, 1),
    ]


def test_a_pause_ends_a_caption() -> None:
    result = utterance("so then", word("so", 0, 200), word("then", 1200, 1400))
    assert [(caption.start_ms, caption.lines) for caption in captions(result)] == [(0, ("so",)), (1200, ("then",))]


def test_seven_seconds_end_a_caption() -> None:
    result = utterance(
        "slow as snails go",
        *(word(text, 2400 * n, 2400 * n + 1500) for n, text in enumerate(["slow", "as", "snails", "go"])),
    )
    assert [caption.lines for caption in captions(result)] == [("slow as snails",), ("go",)]


def test_the_end_of_a_sentence_ends_a_caption_that_is_half_full() -> None:
    texts = ["This", "is", "the", "first", "sentence.", "Then", "this."]
    result = utterance(" ".join(texts), *(word(text, 300 * n, 300 * n + 200) for n, text in enumerate(texts)))
    assert [caption.lines for caption in captions(result)] == [("This is the first sentence.",), ("Then this.",)]


def test_chinese_words_have_no_blanks_and_take_two_columns_for_each_character() -> None:
    text = "今天天气很好，" * 4
    words = [word(character, 100 * n, 100 * n + 100) for n, character in enumerate(text.replace("，", ""))]
    (caption,) = captions(utterance(text, *words))
    assert caption.lines == ("今天天气很好，今天天气很好，今天天气很好，", "今天天气很好，")


def test_the_transcript_is_kept_where_the_words_are_in_it() -> None:
    result = utterance("“Well… well!”", word("Well", 0, 100), word("well", 200, 300))
    assert captions(result)[0].lines == ("“Well… well!”",)


@pytest.mark.parametrize(
    ("transcript", "words", "line"),
    [
        (
            "It costs $20.",
            [word("It", 0, 1), word("costs", 2, 3), word("twenty", 4, 5), word("dollars", 6, 7, ".")],
            "It costs twenty dollars.",
        ),
        ("20 元。", [word("二", 0, 1), word("十", 2, 3), word("元", 4, 5, "。")], "二十元。"),
        ("", [word("hello", 0, 1)], "hello"),
        ("one two three", [word("one", 0, 1), word("two", 2, 3)], "one two"),
    ],
)
def test_words_that_are_not_those_of_the_transcript_are_joined(
    transcript: str, words: list[WordInfo], line: str
) -> None:
    assert captions(utterance(transcript, *words))[0].lines == (line,)


def test_without_word_times_the_text_is_spread_over_the_utterance() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    first, second = captions(timed(text, 1000, 7000))
    assert (first.start_ms, second.end_ms) == (1000, 7000)
    assert first.end_ms == second.start_ms
    assert " ".join((*first.lines, *second.lines)) == text


def test_without_any_times_an_utterance_lasts_from_the_one_before_to_the_audio_that_is_final() -> None:
    maker = Captions()
    assert maker.of(utterance("one"), 2000) == [Caption(start_ms=0, end_ms=2000, lines=("one",))]
    assert maker.of(utterance("two"), 3500) == [Caption(start_ms=2000, end_ms=3500, lines=("two",))]


def test_where_nothing_is_known_a_caption_lasts_as_long_as_it_takes_to_read() -> None:
    assert captions(utterance("one"), utterance("three")) == [
        Caption(start_ms=0, end_ms=180, lines=("one",)),
        Caption(start_ms=180, end_ms=480, lines=("three",)),
    ]


def test_overlapping_utterances_come_one_after_another() -> None:
    assert captions(timed("one", 0, 1000), timed("two", 500, 1500)) == [
        Caption(start_ms=0, end_ms=1000, lines=("one",)),
        Caption(start_ms=1000, end_ms=1500, lines=("two",)),
    ]


@pytest.mark.parametrize("text", ["", " ", "\u3000"])
def test_an_utterance_without_text_has_no_caption(text: str) -> None:
    assert captions(timed(text, 0, 1000)) == []
    assert captions(utterance(text, word(text, 0, 1000))) == []


TEXTS = some.text(some.sampled_from("ab 你。,.?!-&<>\u0301\u3000한"), max_size=120)


@given(some.lists(some.tuples(TEXTS, some.integers(0, 9000), some.integers(0, 9000), some.booleans()), max_size=5))
def test_lines_fit_times_go_forward_and_no_letter_is_lost(utterances: list[tuple[str, int, int, bool]]) -> None:
    results = []
    for text, start_ms, end_ms, has_words in utterances:
        words = [word(part, start_ms + n, end_ms + n) for n, part in enumerate(text.split())] if has_words else []
        results.append(timed(text, start_ms, end_ms))
        results[-1].words.extend(words)
    made = captions(*results)
    end_ms = 0
    for caption in made:
        assert end_ms <= caption.start_ms < caption.end_ms
        assert 1 <= len(caption.lines) <= MAX_LINES
        assert all(line and cell_len(line) <= LINE_COLUMNS for line in caption.lines)
        end_ms = caption.end_ms
    shown = "".join(line for caption in made for line in caption.lines)
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", "".join(text for text, *_ in utterances))


def test_subrip_has_numbers_and_commas() -> None:
    caption = Caption(start_ms=3_723_004, end_ms=3_724_050, lines=("a --> b", "c"))
    assert srt(7, caption) == ["7", "01:02:03,004 --> 01:02:04,050", "a -> b", "c", ""]


def test_webvtt_escapes_what_would_be_markup() -> None:
    caption = Caption(start_ms=0, end_ms=999, lines=("R&B <i> -->",))
    assert vtt(caption) == ["00:00:00.000 --> 00:00:00.999", "R&amp;B &lt;i&gt; --&gt;", ""]
