"""What Riva's messages have no field for."""

from __future__ import annotations

import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.riva_api.fields import riva_field
from asrgateway_server.riva_api.requests import Ignored
from asrgateway_server.riva_api.trailer import CALL_ID, COST, IGNORED, Trailer


def trailer(*responses: pb.RecognizeResponse) -> tuple[tuple[str, str], ...]:
    taken = Trailer()
    for response in responses:
        taken.take(response)
    return taken.metadata()


def test_a_call_has_its_id_and_cost() -> None:
    started = pb.RecognizeResponse(started=pb.Started(call_id="7f"))
    finished = pb.RecognizeResponse(finished=pb.Finished(estimated_cost_cny=0.0012))
    assert trailer(started, finished) == ((CALL_ID, "7f"), (COST, "0.001200"))


def test_a_warning_is_told_by_rivas_name_of_the_field() -> None:
    warning = pb.Warning(field="streaming_config.adaptation.hotwords[3]", message="it takes none")
    assert trailer(pb.RecognizeResponse(warning=warning)) == ((IGNORED, "config.speech_contexts: it takes none"),)


def test_another_models_warnings_are_told_too() -> None:
    event = pb.StreamEvent(
        event_type=pb.STREAM_EVENT_TYPE_FAILED_OVER, downgrades=[pb.Downgrade(field="language_codes[0]", message="no")]
    )
    assert trailer(pb.RecognizeResponse(stream_event=event)) == ((IGNORED, "config.language_code: no"),)


def loss(start_ms: int = 100) -> pb.RecognizeResponse:
    event = pb.StreamEvent(event_type=pb.STREAM_EVENT_TYPE_AUDIO_DROPPED, reason="lost upstream")
    event.start_offset.FromMilliseconds(start_ms)
    event.end_offset.FromMilliseconds(start_ms + 800)
    return pb.RecognizeResponse(stream_event=event)


def test_lost_audio_is_told() -> None:
    assert trailer(loss()) == ((IGNORED, "audio: 100 to 900 ms were lost: lost upstream"),)


def test_lost_audio_comes_first_and_always_finds_room() -> None:
    taken = Trailer()
    taken.ignore(Ignored(f"key{number}", "unknown") for number in range(64))
    taken.take(loss())
    entries = [text for _, text in taken.metadata()]
    assert entries[:2] == ["audio: 100 to 900 ms were lost: lost upstream", "key0: unknown"]
    assert len(entries) == 16


def test_many_losses_are_counted() -> None:
    entries = trailer(*(loss(1000 * number) for number in range(20)))
    assert entries[7:] == (
        (IGNORED, "audio: 7000 to 7800 ms were lost: lost upstream"),
        (IGNORED, "audio: 12 more losses, which the log of the gateway has"),
    )


def test_a_failed_channel_is_told() -> None:
    event = pb.StreamEvent(event_type=pb.STREAM_EVENT_TYPE_CHANNEL_FAILED, reason="lost again and again", channel=1)
    event.start_offset.FromMilliseconds(2_500)
    assert trailer(pb.RecognizeResponse(stream_event=event)) == (
        (IGNORED, "audio: channel_tag 2 failed at 2500 ms: lost again and again"),
    )


def test_results_and_cursors_leave_nothing() -> None:
    assert trailer(pb.RecognizeResponse(result=pb.RecognitionResult(transcript="a")), pb.RecognizeResponse()) == ()


def test_it_stays_small_and_printable() -> None:
    taken = Trailer()
    taken.ignore(Ignored(f"键{number}", "x" * 1000) for number in range(1000))
    entries = taken.metadata()
    assert len(entries) == 16
    assert {len(text) for _, text in entries} == {200}
    assert all(text.isascii() and text.isprintable() for _, text in entries)


def test_the_same_is_told_once() -> None:
    taken = Trailer()
    taken.ignore([Ignored("a", "b"), Ignored("a", "b")])
    assert taken.metadata() == ((IGNORED, "a: b"),)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("streaming_config.model", "config.model"),
        ("streaming_config.decoding_config.sample_rate_hertz", "config.sample_rate_hertz"),
        ("streaming_config.decoding_config", "config.encoding"),
        ("streaming_config.adaptation.hotwords[2].text", "config.speech_contexts"),
        ("streaming_config.endpointing.server_vad.silence", "config.endpointing_config"),
        ("audio", "audio"),
        ("", ""),
    ],
)
def test_the_contracts_fields_have_rivas_names(path: str, name: str) -> None:
    assert riva_field(path) == name
