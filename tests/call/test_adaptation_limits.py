"""The limits of each model: what is taken, what is not, and what the client reads of it."""

from __future__ import annotations

from itertools import product

import pytest

from asrgateway_server.call.adaptation_limits import count_tokens, verified
from asrgateway_server.config import Adaptation, ContextMessage, ContextRole, Hotword
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.events import WarningCode
from asrgateway_server.models import Model
from catalogues import WITH_KEY
from cpu_time import cpu_seconds

MODELS = WITH_KEY.models
V1, V2 = MODELS["paraformer-realtime-v1"], MODELS["paraformer-realtime-v2"]
FUN_ASR, EIGHT_K = MODELS["fun-asr-realtime"], MODELS["fun-asr-flash-8k-realtime"]
QWEN_AUDIO, QWEN3 = MODELS["qwen-audio-3.0-asr-flash-streaming"], MODELS["qwen3-asr-flash-realtime"]
EMBEDDED = MODELS["embedded"]
FIELD = "streaming_config.adaptation"
#: Private: in no message.
PRIVATE = "Zyzzyva"


def fault(model: Model, *words: Hotword) -> tuple[str, str]:
    """Field and message of the refusal."""
    with pytest.raises(InvalidRequest) as refusal:
        verified(model, Adaptation(hotwords=words), FIELD)
    assert PRIVATE not in refusal.value.message
    return refusal.value.field, refusal.value.message


def many(count: int) -> tuple[Hotword, ...]:
    letters = "abcdefghij"
    return tuple(Hotword(text=f"w{''.join(letters[int(d)] for d in str(number))}") for number in range(count))


@pytest.mark.parametrize(
    ("model", "limit"), [(V1, 500), (V2, 500), (EIGHT_K, 500), (FUN_ASR, 2000), (QWEN_AUDIO, 2000), (EMBEDDED, 500)]
)
def test_words_up_to_the_limit_are_accepted(model: Model, limit: int) -> None:
    assert verified(model, Adaptation(hotwords=many(limit)), FIELD) == ()
    field, message = fault(model, *many(limit + 1))
    assert field == f"{FIELD}.hotwords"
    assert f"{limit + 1} hot words" in message
    assert f"up to {limit}" in message


TABLES = (V2, FUN_ASR, EIGHT_K, QWEN_AUDIO)
SEVEN_PARTS, FIFTEEN_SIGNS = "a b c d e f g", "红" * 14 + "x"


@pytest.mark.parametrize(
    ("model", "text"),
    [
        *product(TABLES, (SEVEN_PARTS, FIFTEEN_SIGNS, " Kestrel ")),
        *product((V1,), ("红" * 10, "a b c d e", "红 b c d e")),
        (EMBEDDED, "Dr. O'Brien-Smith"),
        (QWEN3, "x" * 100),
    ],
)
def test_a_word_of_the_longest_length_is_accepted(model: Model, text: str) -> None:
    assert verified(model, Adaptation(hotwords=(Hotword(text=text),)), FIELD) == ()


@pytest.mark.parametrize(
    ("model", "text", "message_part"),
    [
        *((model, f"{PRIVATE} {SEVEN_PARTS}", "8 blank-separated parts") for model in TABLES),
        *((model, f"{PRIVATE}{FIFTEEN_SIGNS}", "22 characters") for model in TABLES),
        (V1, "红" * 11, "11 characters"),
        (V1, f"{PRIVATE} a b c d e", "6 words"),
        (EMBEDDED, f"{PRIVATE} {SEVEN_PARTS}", "8 blank-separated parts"),
        (EMBEDDED, f"{PRIVATE}红", "characters that"),
        (V2, "", "empty"),
        (EMBEDDED, " \t", "empty"),
    ],
)
def test_a_text_beyond_a_limit_is_refused(model: Model, text: str, message_part: str) -> None:
    field, message = fault(model, *many(17), Hotword(text=text))
    assert field == f"{FIELD}.hotwords[17]"
    assert message.startswith("hot word 17: ")
    assert message_part in message


@pytest.mark.parametrize(
    ("model", "weight"),
    [*product((V1, V2, FUN_ASR, QWEN_AUDIO, EMBEDDED, QWEN3), (1, 5)), (QWEN_AUDIO, 50), (V1, -6), (V1, -1)],
)
def test_a_weight_of_the_model_is_accepted(model: Model, weight: int) -> None:
    assert verified(model, Adaptation(hotwords=(Hotword(text="word", weight=weight),)), FIELD) == ()


@pytest.mark.parametrize(
    ("model", "weight"),
    [*product((V1, V2, FUN_ASR, QWEN_AUDIO, EMBEDDED, QWEN3), (0, 6, 51)), (V2, 50), (V2, -1), (V1, -7), (V1, 50)],
)
def test_another_weight_is_refused(model: Model, weight: int) -> None:
    field, message = fault(model, Hotword(text="word"), Hotword(text=PRIVATE, weight=weight))
    assert field == f"{FIELD}.hotwords[1]"
    assert f"its weight is {weight};" in message
    assert "1 to 5" in message


def test_super_hot_words_have_a_limit() -> None:
    words = [Hotword(text=word.text, weight=50) for word in many(51)]
    assert verified(QWEN_AUDIO, Adaptation(hotwords=(*words[:50], Hotword(text="x"))), FIELD) == ()
    field, message = fault(QWEN_AUDIO, *words)
    assert field == f"{FIELD}.hotwords[50]"
    assert "up to 50 of weight 50" in message


@pytest.mark.parametrize(
    ("model", "language"),
    [
        (V2, "yue"),
        (V2, "zh-CN"),
        (V2, "zh-HK"),
        (FUN_ASR, "cmn-Hans-CN"),
        (FUN_ASR, "ja-JP"),
        (EMBEDDED, "en-US"),
        (QWEN_AUDIO, "sk"),
        (QWEN3, "sv"),
    ],
)
def test_a_language_of_the_model_is_accepted(model: Model, language: str) -> None:
    assert verified(model, Adaptation(hotwords=(Hotword(text="word", language_code=language),)), FIELD) == ()


@pytest.mark.parametrize(("model", "language"), [(V2, "es"), (FUN_ASR, "de"), (EMBEDDED, "zh"), (V1, "ja")])
def test_another_language_is_refused(model: Model, language: str) -> None:
    field, message = fault(model, Hotword(text=PRIVATE, language_code=language))
    assert field == f"{FIELD}.hotwords[0]"
    assert "of these languages" in message


def test_a_word_may_come_once_in_each_language() -> None:
    words = (Hotword(text=PRIVATE, language_code="en"), Hotword(text=PRIVATE, language_code="zh"))
    assert verified(V2, Adaptation(hotwords=words), FIELD) == ()
    field, message = fault(V2, *words, Hotword(text=f" {PRIVATE}", weight=1, language_code="en"))
    assert field == f"{FIELD}.hotwords[2]"
    assert "hot word 0" in message


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abcd", 1), ("abcde", 2), ("红隼", 2), ("红隼 ab", 3)])
def test_tokens_are_counted_by_characters(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


def test_a_corpus_has_a_limit() -> None:
    assert verified(QWEN3, Adaptation(context="红" * 9_999), FIELD) == ()
    with pytest.raises(InvalidRequest, match="about 10001 tokens, counted as one for each character") as refusal:
        verified(QWEN3, Adaptation(context="红" * 9_999, hotwords=(Hotword(text="红"),)), FIELD)
    assert refusal.value.field == f"{FIELD}.context"


def test_a_model_without_hot_words_has_no_limits() -> None:
    row = Model(name="deaf", backend="x", language_codes=(), sample_rates_hertz=(16_000,), options=frozenset())
    assert verified(row, Adaptation(hotwords=(Hotword(text="", weight=99),)), FIELD) == ()


# Context ----------------------------------------------------------------------------------------------------------


def said(count: int, role: ContextRole = ContextRole.USER, text: str = PRIVATE) -> tuple[ContextMessage, ...]:
    return (ContextMessage(role=role, text=text),) * count


def cuts(model: Model, *messages: ContextMessage, context: str = "") -> list[tuple[str, str]]:
    warnings = verified(model, Adaptation(context=context, context_messages=messages), FIELD)
    assert all(notice.code is WarningCode.OPTION_CHANGED for notice in warnings)
    assert all(PRIVATE not in notice.message for notice in warnings)
    return [(notice.field.removeprefix(f"{FIELD}."), notice.message) for notice in warnings]


def test_context_that_the_vendor_keeps_gives_no_warning() -> None:
    assert cuts(FUN_ASR, *said(5), *said(5, ContextRole.ASSISTANT), context="") == []


def test_messages_that_the_vendor_drops_give_a_warning() -> None:
    assert cuts(FUN_ASR, *said(7)) == [("context_messages", "the vendor keeps only the last 5 of 7 user messages")]


def test_free_text_is_one_message_more() -> None:
    assert cuts(FUN_ASR, *said(5), context="x") == [
        ("context_messages", "the vendor keeps only the last 5 of 6 user messages")
    ]


def test_a_turn_that_the_vendor_cuts_gives_a_warning() -> None:
    turns = (*said(1), *said(1, text="x" * 300), *said(1, ContextRole.ASSISTANT, "y" * 101))
    assert cuts(QWEN_AUDIO, *turns) == [
        ("context_messages[1]", "the turn that begins here has 401 characters; the vendor cuts it after 400")
    ]


def test_counting_turns_takes_linear_time() -> None:
    def seconds(count: int) -> float:
        messages = (ContextMessage(role=ContextRole.USER, text=""), ContextMessage(role=ContextRole.ASSISTANT, text=""))
        adaptation = Adaptation(context_messages=messages * count)
        return cpu_seconds(lambda: verified(FUN_ASR, adaptation, FIELD))

    assert seconds(40_000) < 40 * seconds(4_000)  # What grows with the square takes 100 times as long.


def test_free_text_that_the_vendor_cuts_gives_a_warning() -> None:
    assert [field for field, _ in cuts(QWEN_AUDIO, context="x" * 401)] == ["context"]


@pytest.mark.parametrize("model", [EMBEDDED, V1, V2, FUN_ASR, EIGHT_K, QWEN_AUDIO, QWEN3], ids=lambda model: model.name)
@pytest.mark.parametrize("text", ["a" * 1_000_000, "ba" * 20_000, "w-" * 101, "a " * 101])
def test_an_endless_word_is_refused_by_every_family(model: Model, text: str) -> None:
    field, message = fault(model, Hotword(text="good"), Hotword(text=text))
    assert field == f"{FIELD}.hotwords[1]"
    assert f"{len(text.strip())} characters" in message


@pytest.mark.parametrize("model", [EMBEDDED, V2, QWEN_AUDIO, QWEN3], ids=lambda model: model.name)
def test_a_long_phrase_is_refused(model: Model) -> None:
    text = "pneumonoultramicroscopic silicovolcanoconiosis honorificabilitudinitatibus antidisestablishment"
    assert verified(model, Adaptation(hotwords=(Hotword(text=text),)), FIELD) == ()


def test_a_model_without_context_cuts_nothing() -> None:
    assert cuts(V2, *said(9)) == []
