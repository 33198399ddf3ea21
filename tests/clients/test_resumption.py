"""How the next call of a recognition begins."""

from google.protobuf.duration_pb2 import Duration

from asrgateway import (
    AudioEncoding,
    Commit,
    ConfigUpdate,
    Cursor,
    DecodingConfig,
    RecognitionResult,
    RecognizeResponse,
    Resume,
    SpeechAdaptation,
    Started,
    StreamEvent,
    StreamEventType,
    StreamingConfig,
)
from asrgateway.requests import AudioItem
from asrgateway.resumption import Resumption

CONFIG = StreamingConfig(
    model="m",
    decoding_config=DecodingConfig(sample_rate_hertz=16_000),
    adaptation=SpeechAdaptation(context="ships"),
    request_id="r1",
)
#: 100 ms of audio each.
A, B = bytes([1]) * 3200, bytes([2]) * 3200
EMPTY = StreamEventType.STREAM_EVENT_TYPE_COMMIT_EMPTY


def milliseconds(count: int) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(count)
    return duration


def final(index: int, finalized_ms: int, *, forced: bool = False) -> RecognizeResponse:
    result = RecognitionResult(result_index=index, is_final=True, forced=forced)
    return RecognizeResponse(result=result, cursor=Cursor(finalized=milliseconds(finalized_ms)))


def begun(*items: AudioItem, config: StreamingConfig = CONFIG) -> Resumption:
    """A recognition whose first call has sent these items."""
    resumption = Resumption(config)
    assert resumption.begin_call() == config
    for item in items:
        resumption.add(item)
    all_taken(resumption)
    resumption.received(RecognizeResponse(started=Started(call_id="c1")))
    return resumption


def all_taken(resumption: Resumption) -> list[AudioItem]:
    return list(iter(resumption.take, None))


def test_a_call_without_a_final_result_is_sent_again_whole() -> None:
    resumption = begun(A, B)
    assert resumption.begin_call().resume == Resume(audio_offset=Duration(), call_id="c1")
    assert all_taken(resumption) == [A, B]


def test_the_next_call_goes_on_after_the_last_final_result() -> None:
    resumption = begun(A, B)
    resumption.received(final(0, 60))
    resumption.received(final(1, 100))
    config = resumption.begin_call()
    assert config.resume == Resume(audio_offset=milliseconds(100), next_result_index=2, call_id="c1")
    assert all_taken(resumption) == [B]


def test_everything_else_of_the_config_stays() -> None:
    config = begun(A).begin_call()
    config.ClearField("resume")
    assert config == CONFIG


def test_an_interim_result_lets_go_of_nothing() -> None:
    resumption = begun(A, B)
    resumption.received(RecognizeResponse(result=RecognitionResult(result_index=4)))
    assert resumption.begin_call().resume.next_result_index == 0
    assert all_taken(resumption) == [A, B]


def test_a_commit_without_an_answer_is_sent_again() -> None:
    resumption = begun(A, Commit(), B)
    resumption.received(final(0, 50))
    resumption.begin_call()
    assert all_taken(resumption) == [A[1600:], Commit(), B]


def test_a_forced_result_answers_a_commit() -> None:
    resumption = begun(A, Commit(), B)
    resumption.received(final(0, 100, forced=True))
    resumption.begin_call()
    assert all_taken(resumption) == [B]


def test_an_empty_commit_is_answered() -> None:
    resumption = begun(A, Commit(), B)
    resumption.received(RecognizeResponse(stream_event=StreamEvent(event_type=EMPTY)))
    resumption.begin_call()
    assert all_taken(resumption) == [A, B]


def test_the_update_in_force_is_the_adaptation_of_the_next_call() -> None:
    resumption = begun(A, ConfigUpdate(adaptation=SpeechAdaptation(context="birds")), B)
    resumption.received(final(0, 150))
    assert resumption.begin_call().adaptation == SpeechAdaptation(context="birds")
    assert all_taken(resumption) == [B[1600:]]


def test_an_update_that_removed_the_adaptation_is_in_force_too() -> None:
    resumption = begun(A, ConfigUpdate(), B)
    resumption.received(final(0, 150))
    assert resumption.begin_call().adaptation == SpeechAdaptation()


def test_a_third_call_goes_on_where_the_second_stopped() -> None:
    resumption = begun(A, B)
    resumption.received(final(0, 50))
    resumption.begin_call()
    all_taken(resumption)
    resumption.received(RecognizeResponse(started=Started(call_id="c2")))
    resumption.received(final(1, 150))
    assert resumption.begin_call().resume == Resume(audio_offset=milliseconds(150), next_result_index=2, call_id="c2")
    assert all_taken(resumption) == [B[1600:]]


def test_each_channel_goes_on_where_it_stopped() -> None:
    resumption = begun(A, B)
    cursor = Cursor(finalized=milliseconds(50), channel_finalized=[milliseconds(50), milliseconds(90)])
    resumption.received(RecognizeResponse(cursor=cursor))
    assert list(resumption.begin_call().resume.channel_offsets) == [milliseconds(50), milliseconds(90)]


def test_a_recognition_that_resumes_another_one_counts_from_there() -> None:
    config = StreamingConfig()
    config.CopyFrom(CONFIG)
    config.resume.CopyFrom(Resume(audio_offset=Duration(seconds=9), next_result_index=5, call_id="c0"))
    resumption = begun(A, B, config=config)
    resumption.received(final(5, 9_100))
    expected = Resume(audio_offset=milliseconds(9_100), next_result_index=6, call_id="c1")
    assert resumption.begin_call().resume == expected
    assert all_taken(resumption) == [B]


def test_a_call_may_be_left_until_it_has_everything() -> None:
    resumption = begun(A)
    assert resumption.can_leave
    resumption.add(B)
    resumption.end()
    assert resumption.can_leave
    all_taken(resumption)
    assert not resumption.can_leave


def test_a_call_in_another_encoding_is_not_resumed() -> None:
    config = StreamingConfig(decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_OGG_OPUS))
    resumption = begun(A, config=config)
    assert not resumption.can_resume
    assert not resumption.can_leave


# Channels by themselves -------------------------------------------------------------------------------------------


def of_two(response: RecognizeResponse, first_ms: int, second_ms: int) -> RecognizeResponse:
    """Add the cursor of a call with two channels."""
    finalized = milliseconds(min(first_ms, second_ms))
    places = [milliseconds(first_ms), milliseconds(second_ms)]
    response.cursor.CopyFrom(Cursor(finalized=finalized, channel_finalized=places))
    return response


def of_channel(channel: int, index: int, *, forced: bool = False) -> RecognizeResponse:
    return RecognizeResponse(
        result=RecognitionResult(result_index=index, is_final=True, forced=forced, channel=channel)
    )


def test_each_channel_goes_on_at_its_own_place() -> None:
    resumption = begun(A, B)
    resumption.received(of_two(of_channel(1, 1), 0, 80))
    resumption.received(of_two(of_channel(0, 0), 100, 80))
    resume = resumption.begin_call().resume
    assert (resume.audio_offset, list(resume.channel_offsets)) == (
        milliseconds(80),
        [milliseconds(100), milliseconds(80)],
    )
    assert resume.next_result_index == 2


def test_a_failed_channel_goes_on_where_the_kept_audio_begins() -> None:
    resumption = begun(A, B)
    response = of_channel(0, 0)
    response.cursor.CopyFrom(
        Cursor(finalized=milliseconds(100), channel_finalized=[milliseconds(100), milliseconds(20)])
    )
    resumption.received(response)
    assert list(resumption.begin_call().resume.channel_offsets) == [milliseconds(100), milliseconds(100)]


def test_a_commit_is_sent_again_until_each_channel_has_answered() -> None:
    resumption = begun(A, Commit(), B)
    resumption.received(of_two(of_channel(0, 0, forced=True), 0, 0))
    resumption.received(of_two(of_channel(0, 1, forced=True), 0, 0))
    resumption.begin_call()
    assert Commit() in all_taken(resumption)
    resumption.received(of_two(of_channel(0, 2, forced=True), 0, 0))
    resumption.received(of_two(RecognizeResponse(stream_event=StreamEvent(event_type=EMPTY, channel=1)), 0, 0))
    resumption.begin_call()
    assert Commit() not in all_taken(resumption)


def test_a_failed_channel_is_not_waited_for() -> None:
    failed = StreamEventType.STREAM_EVENT_TYPE_CHANNEL_FAILED
    resumption = begun(A, Commit(), B)
    resumption.received(of_two(of_channel(0, 0, forced=True), 0, 0))
    resumption.received(of_two(RecognizeResponse(stream_event=StreamEvent(event_type=failed, channel=1)), 0, 0))
    resumption.begin_call()
    assert Commit() not in all_taken(resumption)


def test_a_channel_that_fails_leaves_no_commit_that_the_others_have_answered() -> None:
    failed = StreamEventType.STREAM_EVENT_TYPE_CHANNEL_FAILED
    resumption = begun(A, Commit(), Commit())
    for index in range(2):
        resumption.received(of_two(of_channel(0, index, forced=True), 0, 0))
    resumption.received(of_two(RecognizeResponse(stream_event=StreamEvent(event_type=failed, channel=1)), 0, 0))
    resumption.begin_call()
    assert Commit() not in all_taken(resumption)


def test_a_forced_result_is_no_answer_to_a_commit_that_is_sent_after_it() -> None:
    empty = RecognizeResponse(stream_event=StreamEvent(event_type=EMPTY, channel=1))
    resumption = begun(A, Commit())
    for index in range(2):
        resumption.received(of_two(of_channel(0, index, forced=True), 0, 0))
    resumption.received(of_two(empty, 0, 0))
    resumption.add(Commit())
    all_taken(resumption)
    resumption.received(of_two(empty, 0, 0))
    resumption.begin_call()
    assert Commit() in all_taken(resumption)
