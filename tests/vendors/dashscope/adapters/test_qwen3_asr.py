"""The session dialect: the vendor's messages in, events out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from asrgateway_server.backends.adapter import Output, Send
from asrgateway_server.config import (
    Adaptation,
    AudioFormat,
    Hotword,
    ManualEndpointing,
    RecognitionConfig,
    SemanticEndpointing,
    ServerVad,
)
from asrgateway_server.errors import (
    GatewayError,
    Overloaded,
    UpstreamLost,
    UpstreamProtocolError,
    UpstreamRefused,
)
from asrgateway_server.events import (
    CommitEmpty,
    Emotion,
    FinalResult,
    Finished,
    InterimResult,
    Ready,
    SpeechEnded,
    SpeechStarted,
    UpdateApplied,
)
from asrgateway_server.vendors.dashscope.adapters.qwen3_asr import Qwen3AsrAdapter
from catalogues import WITH_KEY
from session_messages import (
    SESSION,
    committed,
    completed,
    created,
    error,
    event,
    finished,
    item_created,
    item_failed,
    speech_started,
    speech_stopped,
    text,
    updated,
)

MODEL = "qwen3-asr-flash-realtime"
MODELS = WITH_KEY
NEUTRAL = Emotion(label="neutral")
SECOND = bytes(32_000)
#: What a commit sends in VAD mode with the vendor's own values.
CLOSING_PACKETS = 12


def adapter(*, rate: int = 16_000, **options_set: Any) -> Qwen3AsrAdapter:
    config = RecognitionConfig(model=MODELS.find(MODEL), audio=AudioFormat(sample_rate_hertz=rate), **options_set)
    return Qwen3AsrAdapter(config, "c")


def started(**options_set: Any) -> Qwen3AsrAdapter:
    session = adapter(**options_set)
    assert session.start() == []
    return session


def sent(outputs: Sequence[Output]) -> list[dict[str, Any]]:
    return [json.loads(output.message) for output in outputs if isinstance(output, Send)]


def told(outputs: Sequence[Output]) -> list[Output]:
    return [output for output in outputs if not isinstance(output, Send)]


def kinds(outputs: Sequence[Output]) -> list[str]:
    """Types of what was sent, runs of appends once."""
    found = [message["type"] for message in sent(outputs)]
    return [kind for index, kind in enumerate(found) if kind not in found[:index]]


def session(**options_set: Any) -> dict[str, Any]:
    """The settings that a session begins with."""
    (message,) = sent(started(**options_set).receive(created()))
    settings: dict[str, Any] = message["session"]
    return settings


def said(adapter: Qwen3AsrAdapter, *messages: str) -> list[Output]:
    """All that is told for some messages."""
    return [output for message in messages for output in told(adapter.receive(message))]


def running(**options_set: Any) -> Qwen3AsrAdapter:
    """A session in which a second of audio was sent."""
    session = started(**options_set)
    session.receive(created())
    session.receive(updated())
    session.audio(SECOND)
    return session


def manual() -> Qwen3AsrAdapter:
    return running(endpointing=ManualEndpointing())


def final(
    text: str,
    start_ms: int | None = None,
    end_ms: int | None = None,
    *,
    language_code: str = "en",
    emotion: Emotion = NEUTRAL,
    is_forced: bool = False,
) -> FinalResult:
    return FinalResult(
        text=text,
        start_ms=start_ms,
        end_ms=end_ms,
        language_code=language_code,
        emotion=emotion,
        is_forced=is_forced,
    )


# Opening --------------------------------------------------------------------------------------------------------


def test_the_model_stands_in_the_url() -> None:
    assert adapter().path == "/api-ws/v1/realtime?model=qwen3-asr-flash-realtime"


def test_a_session_is_opened_with_all_settings() -> None:
    session = started()
    assert sent(session.receive(created())) == [
        {
            "event_id": "event_c_1",
            "type": "session.update",
            "session": {
                "modalities": ["text"],
                "input_audio_format": "pcm",
                "sample_rate": 16_000,
                "turn_detection": {"type": "server_vad"},
            },
        }
    ]


def test_a_server_that_speaks_first_gets_the_settings_with_the_start() -> None:
    session = adapter()
    assert session.receive(created()) == []
    assert kinds(session.start()) == ["session.update"]
    assert session.receive(updated()) == [Ready(request_id=SESSION)]


def test_a_session_is_created_once() -> None:
    session = started()
    session.receive(created())
    assert session.receive(created()) == []


def test_audio_waits_until_the_settings_are_acknowledged() -> None:
    session = started()
    session.receive(created())
    assert not session.is_ready
    assert session.receive(updated()) == [Ready(request_id=SESSION)]
    assert session.is_ready


@pytest.mark.parametrize(("client_rate", "model_rate"), [(8_000, 8_000), (11_025, 16_000), (48_000, 16_000)])
def test_it_gets_a_rate_that_it_hears(client_rate: int, model_rate: int) -> None:
    assert session(rate=client_rate)["sample_rate"] == model_rate


@pytest.mark.parametrize(
    ("options_set", "name", "value"),
    [
        ({"endpointing": ServerVad()}, "turn_detection", {"type": "server_vad"}),
        ({"endpointing": SemanticEndpointing()}, "turn_detection", {"type": "server_vad"}),
        (
            {"endpointing": ServerVad(silence_ms=400, threshold=0.0)},
            "turn_detection",
            {"type": "server_vad", "threshold": 0.0, "silence_duration_ms": 400},
        ),
        ({"endpointing": ManualEndpointing()}, "turn_detection", None),
        ({"language_codes": ("en-US",)}, "input_audio_transcription", {"language": "en"}),
        ({"language_codes": ("en-US", "en-GB", "eo")}, "input_audio_transcription", {"language": "en"}),
        (
            {"adaptation": Adaptation(context="birds")},
            "input_audio_transcription",
            {"corpus": {"text": "birds"}},
        ),
        (
            {"adaptation": Adaptation(context="birds", hotwords=(Hotword(text="Kestrel"), Hotword(text="Kite")))},
            "input_audio_transcription",
            {"corpus": {"text": "birds\nKestrel, Kite"}},
        ),
        ({"vendor_parameters": {"something_new": 3}}, "something_new", 3),
    ],
)
def test_a_wish_becomes_a_setting(options_set: dict[str, Any], name: str, value: object) -> None:
    assert session(**options_set)[name] == value


@pytest.mark.parametrize("spoken", [(), ("eo",), ("en", "zh")], ids=["none", "an unknown one", "several"])
def test_without_one_language_the_vendor_finds_out(spoken: tuple[str, ...]) -> None:
    assert "input_audio_transcription" not in session(language_codes=spoken)


def test_audio_goes_up_as_base64() -> None:
    message = json.loads(running().audio(b"\1\2\3\4"))
    assert message["type"] == "input_audio_buffer.append"
    assert base64.b64decode(message["audio"]) == b"\1\2\3\4"


def test_every_message_has_a_name_of_its_own() -> None:
    session = running()
    names = [json.loads(session.audio(b"\0\0"))["event_id"] for _ in range(3)]
    assert len({*names, sent(session.finish())[0]["event_id"]}) == 4


# Results --------------------------------------------------------------------------------------------------------


def test_text_grows_from_a_draft_to_a_final() -> None:
    assert said(
        running(),
        speech_started(100),
        text("", "Turn"),
        text("Turn the", " lights"),
        text("Turn the lights", ""),
        speech_stopped(900),
        committed(),
        item_created(),
        completed("Turn the lights."),
    ) == [
        SpeechStarted(offset_ms=100),
        InterimResult(text="Turn", start_ms=100, language_code="en"),
        InterimResult(text="Turn the lights", committed="Turn the", start_ms=100, language_code="en"),
        InterimResult(text="Turn the lights", committed="Turn the lights", start_ms=100, language_code="en"),
        SpeechEnded(offset_ms=900),
        final("Turn the lights.", 100, 900),
    ]


def test_text_may_come_after_the_end_of_speech() -> None:
    """One page of the manual shows it only there."""
    session = running()
    session.receive(speech_started(100))
    session.receive(speech_stopped(900))
    session.receive(committed())
    assert said(session, item_created(), text("Turn"), completed("Turn.")) == [
        InterimResult(text="Turn", committed="Turn", start_ms=100, language_code="en"),
        final("Turn.", 100, 900),
    ]


def test_results_without_speech_events_have_no_times() -> None:
    assert said(running(), text("", "Turn"), completed("Turn.")) == [
        InterimResult(text="Turn", language_code="en"),
        final("Turn."),
    ]


def test_blanks_around_a_text_are_no_news() -> None:
    assert said(running(), text("", ""), text(" Turn ", ""), completed(" Turn. ")) == [
        InterimResult(text="Turn", committed="Turn", language_code="en"),
        final("Turn."),
    ]


def test_language_and_emotion_are_those_of_the_item() -> None:
    assert said(running(), completed("你好。", language="zh", emotion="happy")) == [
        final("你好。", language_code="zh", emotion=Emotion(label="happy"))
    ]


def test_an_item_that_failed_ends_with_what_was_promised() -> None:
    session = running()
    said(session, speech_started(100), text("Turn the", " lights"), speech_stopped(900))
    assert said(session, item_failed()) == [FinalResult(text="Turn the", start_ms=100, end_ms=900, language_code="en")]
    assert session.is_ready


def test_an_item_that_failed_without_a_promise_ends_empty() -> None:
    assert said(running(), text("", "Turn"), item_failed())[-1] == FinalResult(text="", language_code="en")


@pytest.mark.parametrize("again", [completed("Turn."), item_failed(), text("Turn"), speech_started(0)])
def test_what_is_told_once_too_often_is_passed_over(again: str) -> None:
    session = running()
    session.receive(completed("Turn."))
    assert session.receive(again) == []


def test_an_unknown_event_is_passed_over() -> None:
    assert running().receive(event("session.progress", padding="x")) == []


# Items that overlap ---------------------------------------------------------------------------------------------


def test_the_next_utterance_waits_for_the_text_of_the_one_before() -> None:
    session = running()
    said(session, speech_started(0, "a"), text("one", item_id="a"), speech_stopped(500, "a"), committed("a"))
    assert said(
        session,
        speech_started(1400, "b"),
        text("", "tw", "b"),
        text("", "two", "b"),
        completed("One.", "a"),
        text("", "two things", "b"),
    ) == [
        SpeechStarted(offset_ms=1400),
        final("One.", 0, 500),
        InterimResult(text="two", start_ms=1400, language_code="en"),
        InterimResult(text="two things", start_ms=1400, language_code="en"),
    ]


def test_finals_in_the_wrong_order_are_put_right() -> None:
    session = running()
    said(session, text("one", item_id="a"), text("two", item_id="b"))
    assert said(session, completed("Two.", "b")) == []
    assert said(session, completed("One.", "a")) == [final("One."), final("Two.")]


def test_a_noise_that_becomes_nothing_holds_up_nobody() -> None:
    session = running()
    said(session, speech_started(0, "a"), speech_stopped(200, "a"))
    assert said(session, speech_started(500, "b"), completed("Two.", "b"))[1:] == [
        FinalResult(text="", start_ms=0, end_ms=200),
        final("Two.", 500),
    ]


def test_a_text_that_never_comes_holds_up_the_others_for_a_while_only() -> None:
    session = running()
    said(session, text("one", " thing", "a"))
    assert said(session, *(completed(str(number), f"b{number}") for number in range(4))) == []
    assert said(session, completed("4", "b4")) == [
        FinalResult(text="one", language_code="en"),
        *(final(str(number)) for number in range(5)),
    ]


# The end --------------------------------------------------------------------------------------------------------


def test_the_end_is_told_and_confirmed() -> None:
    session = running()
    assert sent(session.finish()) == [{"event_id": "event_c_3", "type": "session.finish"}]
    assert not session.is_ready
    assert session.receive(finished()) == [Finished()]


def test_the_last_words_come_before_the_end() -> None:
    session = running()
    said(session, speech_started(100), text("", "Turn"))
    session.finish()
    assert said(session, completed("Turn."), finished()) == [final("Turn.", 100), Finished()]


def test_what_has_no_final_at_the_end_is_told_as_far_as_it_was_promised() -> None:
    session = running()
    said(session, text("Turn the", " lights"))
    session.finish()
    assert said(session, finished()) == [FinalResult(text="Turn the", language_code="en"), Finished()]


# Commits in VAD mode --------------------------------------------------------------------------------------------


def test_a_commit_is_silence_that_makes_the_vad_close_the_utterance() -> None:
    session = running()
    session.receive(speech_started(100))
    messages = sent(session.commit())
    assert [message["type"] for message in messages] == ["input_audio_buffer.append"] * CLOSING_PACKETS
    assert {base64.b64decode(message["audio"]) for message in messages} == {bytes(3200)}
    assert session.is_ready


@pytest.mark.parametrize(("silence_ms", "packets"), [(200, 6), (450, 9), (6000, 64)])
def test_the_silence_is_as_long_as_the_vad_waits_and_longer(silence_ms: int, packets: int) -> None:
    session = running(endpointing=ServerVad(silence_ms=silence_ms))
    session.receive(speech_started(100))
    assert len(sent(session.commit())) == packets


def test_at_8_khz_the_silence_is_as_long() -> None:
    session = running(rate=8_000)
    session.receive(speech_started(100))
    messages = sent(session.commit())
    assert [len(base64.b64decode(message["audio"])) for message in messages] == [1600] * CLOSING_PACKETS


def test_the_utterance_that_a_commit_closed_answers_it() -> None:
    session = running()
    session.receive(speech_started(100))
    session.commit()
    assert said(session, speech_stopped(990), completed("Turn.")) == [
        SpeechEnded(offset_ms=990),
        final("Turn.", 100, 990, is_forced=True),
    ]


def test_an_item_that_failed_answers_a_commit_too() -> None:
    session = running()
    session.receive(speech_started(100))
    session.commit()
    assert said(session, item_failed()) == [FinalResult(text="", start_ms=100, is_forced=True)]


def test_the_silence_of_a_commit_never_shows_in_times() -> None:
    """It lasts 1200 ms, between the first second and what follows."""
    session = running()
    session.receive(speech_started(100))
    session.commit()
    session.audio(SECOND)
    assert said(
        session,
        speech_stopped(1500),
        completed("one"),
        speech_started(2300, "item_2"),
        speech_stopped(3000, "item_2"),
        completed("two", "item_2"),
    ) == [
        SpeechEnded(offset_ms=1000),
        final("one", 100, 1000, is_forced=True),
        SpeechStarted(offset_ms=1100),
        SpeechEnded(offset_ms=1800),
        final("two", 1100, 1800),
    ]


def test_a_commit_before_any_audio_is_answered_at_once() -> None:
    session = started()
    session.receive(created())
    session.receive(updated())
    assert session.commit() == [CommitEmpty()]


def test_a_second_commit_at_the_same_place_is_answered_after_the_first() -> None:
    session = running()
    session.receive(speech_started(100))
    session.commit()
    assert session.commit() == []
    assert said(session, completed("Turn."))[-2:] == [final("Turn.", 100, is_forced=True), CommitEmpty()]


def test_when_nobody_is_known_to_speak_the_settings_are_sent_once_more() -> None:
    session = running(endpointing=ServerVad(silence_ms=400))
    outputs = session.commit()
    assert kinds(outputs) == ["input_audio_buffer.append", "session.update"]
    assert sent(outputs)[-1]["session"]["turn_detection"]["silence_duration_ms"] == 400


@pytest.mark.parametrize("answer", [updated(), error(param="session"), error(event_id="event_c_15")])
def test_a_commit_that_found_nothing_is_answered_when_the_settings_are(answer: str) -> None:
    session = running()
    session.commit()
    assert said(session, answer) == [CommitEmpty()]
    assert said(session, updated(), finished()) == [Finished()]


def test_speech_that_was_under_way_answers_the_commit() -> None:
    session = running()
    session.commit()
    assert said(session, speech_started(700), updated(), speech_stopped(980), completed("Turn."))[-1] == final(
        "Turn.", 700, 980, is_forced=True
    )


def test_speech_that_was_under_way_may_end_before_the_settings_are_acknowledged() -> None:
    session = running()
    session.commit()
    assert said(session, speech_started(700), speech_stopped(980), completed("Turn."), updated())[2:] == [
        final("Turn.", 700, 980, is_forced=True)
    ]


def test_an_utterance_that_had_ended_by_itself_answers_no_commit() -> None:
    session = running()
    session.audio(SECOND)
    session.commit()
    assert said(session, speech_started(100), speech_stopped(1100), completed("Turn."), updated())[2:] == [
        final("Turn.", 100, 1100),
        CommitEmpty(),
    ]


def test_an_utterance_that_began_later_answers_no_commit() -> None:
    session = running()
    session.commit()
    session.audio(SECOND)
    assert said(session, speech_started(2300), completed("Turn."), updated())[1:] == [
        final("Turn.", 1100),
        CommitEmpty(),
    ]


def test_a_noise_answers_a_commit_as_nothing() -> None:
    session = running()
    session.receive(speech_started(100))
    session.commit()
    assert said(session, completed("")) == [CommitEmpty()]


def test_two_commits_have_an_answer_each() -> None:
    session = running()
    session.receive(speech_started(100))
    session.commit()
    session.audio(SECOND)
    session.commit()
    assert said(session, speech_stopped(990), completed("one"), updated())[1:] == [
        final("one", 100, 990, is_forced=True),
        CommitEmpty(),
    ]


def test_two_utterances_answer_two_commits() -> None:
    session = running()
    session.receive(speech_started(100))
    session.commit()
    session.audio(SECOND)
    session.receive(speech_started(2300, "item_2"))
    session.commit()
    assert said(session, completed("one"), completed("two", "item_2")) == [
        final("one", 100, is_forced=True),
        final("two", 1100, is_forced=True),
    ]


def test_an_utterance_that_answers_one_commit_answers_no_other() -> None:
    session = running()
    session.commit()
    session.receive(speech_started(700))
    session.audio(SECOND)
    session.commit()
    assert said(session, updated(), completed("one"), speech_started(2300, "item_2"), completed("two", "item_2")) == [
        final("one", 700, is_forced=True),
        SpeechStarted(offset_ms=1100),
        final("two", 1100, is_forced=True),
    ]


def test_what_one_commit_asked_is_no_answer_to_the_next() -> None:
    session = running()
    session.commit()
    said(session, speech_started(700), completed("one"))
    session.audio(SECOND)
    session.commit()
    assert said(session, updated()) == []
    assert said(session, updated()) == [CommitEmpty()]


def test_a_commit_without_an_answer_has_one_at_the_end() -> None:
    session = running()
    session.commit()
    session.finish()
    assert said(session, finished()) == [CommitEmpty(), Finished()]


# Commits in manual mode -----------------------------------------------------------------------------------------


def test_a_manual_commit_is_the_vendors_own() -> None:
    assert kinds(manual().commit()) == ["input_audio_buffer.commit"]


def test_the_item_that_a_manual_commit_made_answers_it() -> None:
    session = manual()
    session.commit()
    assert said(session, committed(), item_created(), text("Turn"), completed("Turn.")) == [
        InterimResult(text="Turn", committed="Turn", language_code="en"),
        final("Turn.", is_forced=True),
    ]


def test_manual_commits_are_answered_in_their_order() -> None:
    session = manual()
    session.commit()
    session.audio(SECOND)
    session.commit()
    assert said(session, committed("a"), committed("b"), completed("one", "a"), completed("two", "b")) == [
        final("one", is_forced=True),
        final("two", is_forced=True),
    ]


def test_an_item_answers_a_manual_commit_even_if_nobody_said_that_it_was_made() -> None:
    session = manual()
    session.commit()
    assert said(session, completed("Turn.")) == [final("Turn.", is_forced=True)]


@pytest.mark.parametrize("event_id", ["event_c_3", None], ids=["named", "not named"])
def test_a_manual_commit_of_too_little_found_nothing(event_id: str | None) -> None:
    session = manual()
    session.commit()
    message = "Error committing input audio buffer: buffer too small, or have no audio."
    assert said(session, error(code=None, message=message, event_id=event_id)) == [CommitEmpty()]


def test_a_manual_commit_without_new_audio_is_answered_after_those_before_it() -> None:
    session = manual()
    session.commit()
    assert session.commit() == []
    assert said(session, committed(), completed("Turn.")) == [final("Turn.", is_forced=True), CommitEmpty()]
    assert session.commit() == [CommitEmpty()]


def test_an_item_without_a_word_answers_a_manual_commit_as_nothing() -> None:
    session = manual()
    session.commit()
    assert said(session, committed(), completed("")) == [CommitEmpty()]


def test_the_end_commits_what_is_left_and_waits_for_its_text() -> None:
    session = manual()
    assert kinds(session.finish()) == ["input_audio_buffer.commit"]
    assert said(session, committed()) == []
    outputs = session.receive(completed("Turn."))
    assert (told(outputs), kinds(outputs)) == ([final("Turn.")], ["session.finish"])
    assert said(session, finished()) == [Finished()]


def test_too_little_at_the_end_is_no_fault() -> None:
    session = manual()
    session.finish()
    outputs = session.receive(error(code=None, message="buffer too small"))
    assert (told(outputs), kinds(outputs)) == ([], ["session.finish"])


def test_the_end_waits_for_earlier_commits() -> None:
    session = manual()
    session.commit()
    assert session.finish() == []
    assert kinds(session.receive(completed("Turn."))) == ["session.finish"]


def test_an_end_with_nothing_left_is_told_at_once() -> None:
    session = manual()
    session.commit()
    session.receive(completed("Turn."))
    assert kinds(session.finish()) == ["session.finish"]


# Updates --------------------------------------------------------------------------------------------------------


def test_an_update_sends_all_settings_with_the_new_words() -> None:
    session = running(language_codes=("en",), adaptation=Adaptation(context="birds"))
    (message,) = sent(session.update(Adaptation(hotwords=(Hotword(text="Ophiuchus"),))))
    assert message["session"] == {
        "modalities": ["text"],
        "input_audio_format": "pcm",
        "sample_rate": 16_000,
        "turn_detection": {"type": "server_vad"},
        "input_audio_transcription": {"language": "en", "corpus": {"text": "Ophiuchus"}},
    }


def test_an_update_takes_the_words_away() -> None:
    """Nobody says that what is left out is taken away."""
    session = running(adaptation=Adaptation(context="birds"))
    (message,) = sent(session.update(Adaptation()))
    assert message["session"]["input_audio_transcription"] == {"corpus": {"text": ""}}


def test_an_update_is_in_force_when_it_is_acknowledged() -> None:
    session = running()
    session.update(Adaptation(context="birds"))
    assert said(session, updated()) == [UpdateApplied()]


@pytest.mark.parametrize("event_id", ["event_c_3", None], ids=["named", "not named"])
def test_an_update_that_is_refused_breaks_nothing(event_id: str | None) -> None:
    session = running()
    session.update(Adaptation(context="birds"))
    assert said(session, error(param="session", event_id=event_id), completed("Turn.")) == [final("Turn.")]
    assert session.is_ready


def test_updates_and_commits_are_not_mixed_up() -> None:
    session = running()
    session.update(Adaptation(context="birds"))
    session.commit()
    assert said(session, updated(), updated()) == [UpdateApplied(), CommitEmpty()]


def test_settings_that_nobody_sent_are_no_news() -> None:
    assert running().receive(updated()) == []


# Order ----------------------------------------------------------------------------------------------------------


def calls(session: Qwen3AsrAdapter) -> list[Callable[[], object]]:
    return [lambda: session.audio(SECOND), session.commit, lambda: session.update(Adaptation()), session.finish]


@pytest.mark.parametrize("call", range(4), ids=["audio", "commit", "update", "finish"])
def test_nothing_is_sent_before_it_is_ready_nor_after_the_end(call: int) -> None:
    early, late = started(), running()
    late.finish()
    for session in (early, late):
        with pytest.raises(RuntimeError):
            calls(session)[call]()


def test_nothing_comes_after_the_end() -> None:
    session = running()
    session.receive(finished())
    with pytest.raises(RuntimeError):
        session.receive(completed("Turn."))


# Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event_id", ["event_c_1", None, "another"])
@pytest.mark.parametrize("code", ["invalid_value", None, "nobody knows"])
def test_settings_that_are_refused_end_the_call(event_id: str | None, code: str | None) -> None:
    session = started()
    session.receive(created())
    with pytest.raises(UpstreamRefused) as caught:
        session.receive(error(code=code, message="key sk-secret", param="session", event_id=event_id))
    assert caught.value.upstream_code == (code or "invalid_request_error")
    assert caught.value.upstream_request_id == SESSION
    assert "sk-secret" not in str(caught.value)


def test_an_error_that_is_ours_is_passed_over_in_mid_session() -> None:
    session = running()
    assert said(session, error(event_id="event_c_2"), completed("Turn.")) == [final("Turn.")]


@pytest.mark.parametrize(
    ("kind", "code", "means"),
    [
        ("server_error", "InternalError", UpstreamLost),
        ("InternalError", None, UpstreamLost),
        ("server_error", "ModelServingError", UpstreamLost),
        ("rate_limit_error", "limit_requests", Overloaded),
        ("authentication_error", "invalid_api_key", UpstreamRefused),
        ("", None, UpstreamLost),
    ],
)
def test_any_other_error_ends_the_session(kind: str, code: str | None, means: type[GatewayError]) -> None:
    with pytest.raises(means) as caught:
        running().receive(error(kind, code))
    assert caught.value.upstream_code == (code or kind)


@pytest.mark.parametrize("event_id", ["event_c_3", None], ids=["named", "not named"])
def test_an_end_that_is_refused_is_no_end(event_id: str | None) -> None:
    session = running()
    session.finish()
    with pytest.raises(UpstreamRefused):
        session.receive(error(event_id=event_id))


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        "{}",
        '{"type": 1}',
        event("session.created"),
        event("error"),
        speech_started("soon"),
        speech_stopped(1.5),
        event("input_audio_buffer.speech_started", audio_start_ms=1),
        event("conversation.item.input_audio_transcription.completed", item_id="a", transcript=7),
        event("conversation.item.input_audio_transcription.text", item_id="a", text=["a"]),
    ],
)
def test_a_broken_message_is_the_vendors_fault(message: str) -> None:
    session = started() if "created" in message else running()
    with pytest.raises(UpstreamProtocolError):
        session.receive(message)
