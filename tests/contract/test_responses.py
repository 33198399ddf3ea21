from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.call.responses import (
    CallFinished,
    ChannelFailed,
    ChannelResponse,
    Cursor,
    OfChannel,
    Result,
    Started,
    StreamEvent,
    StreamEventType,
)
from asrgateway_server.contract.responses import models_from, response_from
from asrgateway_server.errors import UpstreamRefused
from asrgateway_server.events import CommitEmpty, OptionWarning, SpeechEnded, SpeechStarted, WarningCode, Word
from asrgateway_server.models import Feature
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from catalogues import WITHOUT_KEY, served

CURSOR = Cursor(received_ms=1_500, sent_ms=1_400, final_ms=0, silence_ms=300)


def duration(ms: int) -> Duration:
    message = Duration()
    message.FromMilliseconds(ms)
    return message


def response(response: object) -> pb.RecognizeResponse:
    message = response_from(response, CURSOR, "c1")  # type: ignore[arg-type] # whichever response
    assert message.cursor == pb.Cursor(
        received=duration(1_500), sent_upstream=duration(1_400), finalized=duration(0), injected_silence=duration(300)
    )
    return message


def test_a_response_that_only_keeps_proxies_awake_has_only_a_cursor() -> None:
    assert response(None).WhichOneof("response") is None


def test_started_names_the_model_and_its_properties() -> None:
    notice = OptionWarning(
        code=WarningCode.OPTION_IGNORED, field="streaming_config.adaptation.context", message="no context"
    )
    started = Started(model=EMBEDDED, sample_rate_hertz=16_000, upstream_request_id="task-1", downgrades=(notice,))
    assert response(started).started == pb.Started(
        call_id="c1",
        model="embedded",
        upstream_request_id="task-1",
        sample_rate_hertz=16_000,
        downgrades=[pb.Downgrade(field="adaptation.context", message="no context")],
    )


def test_an_interim_result_has_a_committed_and_an_unstable_part() -> None:
    result = Result(index=3, revision=2, is_final=False, text="good morning", committed="good ", stability=0.5)
    assert response(result).result == pb.RecognitionResult(
        result_index=3, revision=2, transcript="good morning", committed="good ", unstable="morning", stability=0.5
    )


def test_a_final_result_has_times_and_words() -> None:
    result = Result(
        index=0,
        revision=1,
        is_final=True,
        text="good",
        committed="good",
        start_ms=0,
        end_ms=1_250,
        words=(Word(text="good", punctuation=".", start_ms=10, end_ms=1_200),),
        is_forced=True,
    )
    assert response(result).result == pb.RecognitionResult(
        revision=1,
        is_final=True,
        transcript="good",
        committed="good",
        forced=True,
        start_offset=duration(0),
        end_offset=duration(1_250),
        words=[pb.WordInfo(word="good", punctuation=".", start_offset=duration(10), end_offset=duration(1_200))],
    )


def test_a_value_that_the_model_does_not_send_is_absent_and_not_zero() -> None:
    message = response(Result(index=0, revision=1, is_final=False, text="good", committed="")).result
    assert [message.HasField(name) for name in ("start_offset", "end_offset", "stability")] == [False] * 3


def test_a_stability_of_zero_is_present() -> None:
    message = response(Result(index=0, revision=2, is_final=False, text="good", committed="", stability=0.0)).result
    assert message.HasField("stability")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (SpeechStarted(offset_ms=1_234), pb.SPEECH_EVENT_TYPE_BEGIN),
        (SpeechEnded(offset_ms=1_234), pb.SPEECH_EVENT_TYPE_END),
    ],
)
def test_speech_events_have_their_offset(
    event: SpeechStarted | SpeechEnded, kind: pb.SpeechEventType.ValueType
) -> None:
    assert response(event).speech_event == pb.SpeechEvent(event_type=kind, offset=duration(1_234))


def test_a_commit_without_an_open_utterance_is_a_stream_event() -> None:
    assert response(CommitEmpty()).stream_event.event_type == pb.STREAM_EVENT_TYPE_COMMIT_EMPTY


@pytest.mark.parametrize("code", list(WarningCode))
def test_an_option_warning_becomes_a_warning(code: WarningCode) -> None:
    warning = response(OptionWarning(code=code, field="streaming_config.features", message="no")).warning
    assert (pb.WarningCode.Name(warning.code), warning.field, warning.message) == (
        f"WARNING_CODE_{code.name}",
        "streaming_config.features",
        "no",
    )


def finished(*, delay_seconds: float | None) -> CallFinished:
    return CallFinished(
        silence_ms=0,
        replayed_ms=700,
        reconnects=2,
        first_package_delay_seconds=delay_seconds,
        last_package_delay_seconds=0.2,
        upstream_first_package_delay_seconds=delay_seconds,
        upstream_last_package_delay_seconds=0.1,
        audio_ms=2_400,
        billed_ms=None,
        estimated_cost_cny=None,
        final_results=2,
        upstream_request_ids=("task-1",),
    )


def test_finished_sums_up_the_call() -> None:
    assert response(finished(delay_seconds=0.25)).finished == pb.Finished(
        first_package_delay=duration(250),
        last_package_delay=duration(200),
        upstream_first_package_delay=duration(250),
        upstream_last_package_delay=duration(100),
        audio_duration=duration(2_400),
        injected_silence=duration(0),
        replayed_audio=duration(700),
        reconnects=2,
        upstream_request_ids=["task-1"],
        final_results=2,
    )


def test_without_text_there_is_no_first_package() -> None:
    message = response(finished(delay_seconds=None)).finished
    assert not message.HasField("first_package_delay")
    assert not message.HasField("upstream_first_package_delay")
    assert not message.HasField("billed_duration")
    assert not message.HasField("estimated_cost_cny")


@pytest.mark.parametrize("feature", list(Feature))
def test_every_feature_has_its_name_in_the_contract(feature: Feature) -> None:
    assert f"MODEL_FEATURE_{feature.name}" in pb.ModelFeature.keys()  # noqa: SIM118 the wrapper is no mapping


def test_the_catalogue_in_the_contracts_form() -> None:
    assert models_from(WITHOUT_KEY) == pb.ListModelsResponse(
        models=[
            pb.Model(
                name="embedded",
                backend="pocketsphinx",
                language_codes=["en-US"],
                sample_rates_hertz=[16_000],
                features=[
                    pb.MODEL_FEATURE_INTERIM_RESULTS,
                    pb.MODEL_FEATURE_WORD_TIME_OFFSETS,
                    pb.MODEL_FEATURE_VOICE_ACTIVITY_EVENTS,
                    pb.MODEL_FEATURE_HOTWORDS,
                ],
            )
        ],
        aliases=[pb.ModelAlias(name="default", model="embedded", models=["embedded"])],
    )


def test_a_route_lists_its_models_in_order() -> None:
    route = ["fun-asr-realtime", "embedded"]
    (alias,) = models_from(served(dashscope_api_key="sk-1", aliases={"default": route})).aliases
    assert alias == pb.ModelAlias(name="default", model="fun-asr-realtime", models=route)


# Channels by themselves -------------------------------------------------------------------------------------------

REFUSED = UpstreamRefused("the vendor refuses the key")
WARNING = OptionWarning(code=WarningCode.OPTION_IGNORED, field="update.adaptation", message="it stays")
RECONNECTED = StreamEvent(type=StreamEventType.RECONNECTED, reason="lost", start_ms=0, end_ms=100)


@pytest.mark.parametrize(
    "of_channel",
    [
        Result(index=0, revision=1, is_final=False, text="a", committed=""),
        SpeechStarted(offset_ms=0),
        CommitEmpty(),
        RECONNECTED,
        WARNING,
        ChannelFailed(error=REFUSED, start_ms=100),
    ],
)
def test_a_response_of_a_channel_has_its_number(of_channel: ChannelResponse) -> None:
    message = response(OfChannel(channel=0, response=of_channel))
    inner = getattr(message, message.WhichOneof("response") or "")
    assert inner.HasField("channel")
    assert inner.channel == 0
    inner.ClearField("channel")
    assert message == response(of_channel)


def test_a_failed_channel_says_what_a_call_of_its_own_would_end_with() -> None:
    event = response(ChannelFailed(error=REFUSED, start_ms=100)).stream_event
    error = pb.ChannelError(code=9, reason="UPSTREAM_REFUSED", message="the vendor refuses the key")
    assert event == pb.StreamEvent(
        event_type=pb.STREAM_EVENT_TYPE_CHANNEL_FAILED,
        reason="the vendor refuses the key",
        start_offset=duration(100),
        error=error,
    )


def test_the_cursor_has_the_place_of_each_channel() -> None:
    cursor = Cursor(received_ms=100, sent_ms=100, final_ms=20, silence_ms=0, channel_final_ms=(60, 20))
    assert response_from(None, cursor, "c1").cursor.channel_finalized == [duration(60), duration(20)]
