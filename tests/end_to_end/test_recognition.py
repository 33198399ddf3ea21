"""Real speech through a real gateway, on its embedded recogniser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.vendors.pocketsphinx.decoder import SpeechDecoder
from calls import (
    MESSAGE_BYTES,
    REAL_RECORDINGS,
    RECORDINGS,
    Stub,
    audio,
    commit,
    config,
    in_messages,
    pcm,
    recognize,
    silence,
)
from gateways import open_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOTHER = RECORDINGS / "mother.wav"
BOY = RECORDINGS / "boy.wav"
WORDS = {MOTHER: "please call my mother tomorrow morning", BOY: "the boy was there when the sun rose"}


@pytest.fixture(scope="module")
def decoder() -> SpeechDecoder:
    return SpeechDecoder()


def decode(decoder: SpeechDecoder, samples: bytes) -> list[tuple[str, int, int]]:
    """What the decoder makes of the samples by itself."""
    decoder.reset()
    finals = [hypothesis for hypothesis in decoder.feed(samples) if hypothesis.is_final]
    if last := decoder.finish():
        finals.append(last)
    return [(final.text, final.start_ms, final.end_ms) for final in finals]


def told(finals: list[pb.RecognitionResult]) -> list[tuple[str, int, int]]:
    return [
        (final.transcript, final.start_offset.ToMilliseconds(), final.end_offset.ToMilliseconds()) for final in finals
    ]


@pytest.mark.parametrize("recording", WORDS, ids=lambda path: path.stem)
async def test_speech_becomes_text(stub: Stub, recording: Path) -> None:
    outcome = await recognize(stub, [config(), *in_messages(pcm(recording))])
    assert outcome.texts == [WORDS[recording]]
    assert outcome.code is grpc.StatusCode.OK


async def test_a_call_begins_with_started_and_ends_with_finished(stub: Stub) -> None:
    outcome = await recognize(stub, [config(interim_results=True), *in_messages(pcm(MOTHER))])
    assert outcome.kinds == ["started", "result", "finished"]
    started = outcome.responses[0].started
    assert (started.model, started.sample_rate_hertz) == ("embedded", 16_000)
    assert started.call_id
    assert outcome.finished.audio_duration.ToMilliseconds() == 2395
    assert outcome.finished.final_results == 1


async def test_the_four_delays_are_told(stub: Stub) -> None:
    finished = (await recognize(stub, [config(), *in_messages(pcm(MOTHER))])).finished
    first, upstream_first = finished.first_package_delay, finished.upstream_first_package_delay
    last, upstream_last = finished.last_package_delay, finished.upstream_last_package_delay
    assert first.ToMilliseconds() >= upstream_first.ToMilliseconds() > 0
    assert last.ToMilliseconds() >= upstream_last.ToMilliseconds() > 0


async def test_interim_results_come_only_when_asked_for(stub: Stub) -> None:
    plain = await recognize(stub, [config(), *in_messages(pcm(MOTHER))])
    chatty = await recognize(stub, [config(interim_results=True), *in_messages(pcm(MOTHER))])
    assert len(plain.results) == 1
    assert len(chatty.results) > 3
    assert [result.revision for result in chatty.results] == list(range(1, len(chatty.results) + 1))
    assert chatty.texts == plain.texts


async def test_word_times_lie_inside_the_audio_and_never_go_back(stub: Stub) -> None:
    wanted = config(features=pb.RecognitionFeatures(enable_word_time_offsets=True))
    outcome = await recognize(stub, [wanted, *in_messages(pcm(MOTHER))])
    words = outcome.finals[0].words
    times = [moment.ToMilliseconds() for word in words for moment in (word.start_offset, word.end_offset)]
    assert [word.word for word in words] == WORDS[MOTHER].split()
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= 2395


async def test_speech_events_frame_an_utterance(stub: Stub) -> None:
    wanted = config(features=pb.RecognitionFeatures(enable_voice_activity_events=True))
    outcome = await recognize(stub, [wanted, *in_messages(pcm(MOTHER))])
    assert outcome.kinds == ["started", "speech_event", "result", "finished"]
    assert [
        response.speech_event.event_type for response in outcome.responses if response.HasField("speech_event")
    ] == [
        pb.SPEECH_EVENT_TYPE_BEGIN,
        pb.SPEECH_EVENT_TYPE_END,
    ]


async def test_a_wav_file_is_taken_as_it_is(stub: Stub) -> None:
    wanted = config(decoding_config=pb.DecodingConfig(encoding=pb.AUDIO_ENCODING_WAV))
    outcome = await recognize(stub, [wanted, *in_messages(MOTHER.read_bytes(), 1000)])
    assert outcome.texts == [WORDS[MOTHER]]


async def test_stereo_is_mixed_and_resampled(stub: Stub) -> None:
    samples = memoryview(pcm(MOTHER)).cast("h").tolist()
    stereo_32k = b"".join(sample.to_bytes(2, "little", signed=True) * 4 for sample in samples)
    wanted = config(decoding_config=pb.DecodingConfig(sample_rate_hertz=32_000, audio_channel_count=2))
    outcome = await recognize(stub, [wanted, *in_messages(stereo_32k, 9999)])
    assert outcome.texts == [WORDS[MOTHER]]
    assert outcome.finished.audio_duration.ToMilliseconds() == 2395


@pytest.mark.parametrize("name", ["jfk", "austen-0880", "austen-0890", "austen-0920"])
async def test_the_gateway_adds_nothing_to_what_the_decoder_hears(
    stub: Stub, decoder: SpeechDecoder, name: str
) -> None:
    recording = REAL_RECORDINGS / f"{name}.wav"
    if not recording.is_file():
        pytest.skip(f"the recording {name} of a person is not here")
    samples = pcm(recording)
    outcome = await recognize(stub, [config(), *in_messages(samples)])
    assert outcome.code is grpc.StatusCode.OK, outcome.message
    assert told(outcome.finals) == decode(decoder, samples)


async def test_one_call_leaves_no_trace_in_the_next(stub: Stub) -> None:
    first, other, again = [
        (await recognize(stub, [config(), *in_messages(pcm(recording))])).results for recording in (MOTHER, BOY, MOTHER)
    ]
    assert first == again
    assert first != other


async def test_a_quiet_client_that_speaks_again_loses_nothing(stub: Stub, decoder: SpeechDecoder) -> None:
    gap = silence(1.0)
    samples = pcm(MOTHER) + gap + pcm(BOY)

    async def speak() -> AsyncIterator[pb.RecognizeRequest]:
        yield config()
        for message in in_messages(pcm(MOTHER) + gap):
            yield message
        yield audio(b"")
        await first_final.wait()
        for message in in_messages(pcm(BOY)):
            yield message

    first_final = asyncio.Event()
    call = stub.Recognize(speak(), timeout=60)
    finals = []
    async for response in call:
        if response.HasField("result"):
            finals.append(response.result)
            first_final.set()
    # How long the gateway adds silence depends on the clock, and with it in which frame a word begins.
    expected = decode(decoder, samples)
    assert [final[0] for final in told(finals)] == [final[0] for final in expected] == list(WORDS.values())
    for heard, alone in zip(told(finals), expected, strict=True):
        assert heard[1:] == pytest.approx(alone[1:], abs=20)


async def test_two_utterances_are_numbered_without_gaps(stub: Stub) -> None:
    samples = pcm(MOTHER) + silence(1.0) + pcm(BOY)
    outcome = await recognize(stub, [config(), *in_messages(samples)])
    assert [(final.result_index, final.is_final) for final in outcome.finals] == [(0, True), (1, True)]
    assert outcome.texts == list(WORDS.values())


async def test_a_resumed_call_goes_on_counting(stub: Stub) -> None:
    resume = pb.Resume(next_result_index=7)
    resume.audio_offset.FromMilliseconds(60_000)
    outcome = await recognize(stub, [config(resume=resume), *in_messages(pcm(MOTHER))])
    (final,) = outcome.finals
    assert final.result_index == 7
    assert final.start_offset.ToMilliseconds() >= 60_000
    assert final.end_offset.ToMilliseconds() == 62_395


async def test_a_commit_in_mid_utterance_gives_one_forced_final(stub: Stub) -> None:
    samples = pcm(MOTHER)
    half = len(samples) // 2 // 2 * 2
    requests = [config(), *in_messages(samples[:half]), commit(), *in_messages(samples[half:])]
    outcome = await recognize(stub, requests)
    assert [final.forced for final in outcome.finals].count(True) == 1
    assert outcome.finals[0].forced
    assert outcome.finals[0].end_offset.ToMilliseconds() <= half / 32 + 1


async def test_a_commit_in_silence_is_answered_as_empty(stub: Stub) -> None:
    outcome = await recognize(stub, [config(), *in_messages(silence(0.5)), commit(), commit()])
    events = [response.stream_event.event_type for response in outcome.responses if response.HasField("stream_event")]
    assert events == [pb.STREAM_EVENT_TYPE_COMMIT_EMPTY] * 2
    assert outcome.results == []
    assert outcome.code is grpc.StatusCode.OK


async def test_silence_alone_ends_well_and_without_a_first_delay(stub: Stub) -> None:
    outcome = await recognize(stub, [config(), *in_messages(silence(1.0))])
    assert outcome.kinds == ["started", "finished"]
    assert not outcome.finished.HasField("first_package_delay")
    assert outcome.finished.HasField("last_package_delay")


async def test_cursors_never_go_back_and_end_at_the_audio(stub: Stub) -> None:
    outcome = await recognize(stub, [config(interim_results=True), *in_messages(pcm(MOTHER))])
    cursors = [response.cursor for response in outcome.responses]
    for name in ("received", "sent_upstream", "finalized"):
        amounts = [getattr(cursor, name).ToMilliseconds() for cursor in cursors]
        assert amounts == sorted(amounts)
    assert cursors[-1].received.ToMilliseconds() == 2395
    assert cursors[-1].sent_upstream.ToMilliseconds() == 2395


async def test_an_option_that_the_model_lacks_is_a_warning(stub: Stub) -> None:
    wanted = config(features=pb.RecognitionFeatures(enable_emotion=True), language_codes=["zh"])
    outcome = await recognize(stub, [wanted, *in_messages(silence(0.2))])
    warnings = [response.warning for response in outcome.responses if response.HasField("warning")]
    assert [(warning.code, warning.field) for warning in warnings] == [
        (pb.WARNING_CODE_OPTION_IGNORED, "streaming_config.features.enable_emotion"),
        (pb.WARNING_CODE_LANGUAGE_UNSUPPORTED, "streaming_config.language_codes[0]"),
    ]
    assert [downgrade.field for downgrade in outcome.responses[0].started.downgrades] == [
        "features.enable_emotion",
        "language_codes[0]",
    ]


async def test_the_catalogue_is_listed(stub: Stub) -> None:
    listed = await stub.ListModels(pb.ListModelsRequest())
    assert [model.name for model in listed.models] == ["embedded"]
    assert [(alias.name, alias.model) for alias in listed.aliases] == [("default", "embedded")]


async def test_what_is_listed_can_be_called_with_a_key_too() -> None:
    async with open_gateway(dashscope_api_key="sk-1", embedded_workers=None) as (_, keyed):
        listed = await keyed.ListModels(pb.ListModelsRequest())
        assert "embedded" in {model.name for model in listed.models}
        outcome = await recognize(keyed, [config(model="embedded"), *in_messages(pcm(MOTHER))])
    assert outcome.texts == [WORDS[MOTHER]]


async def test_what_cannot_be_called_is_not_listed() -> None:
    async with open_gateway(dashscope_api_key="sk-1", embedded_workers=0) as (_, keyed):
        listed = await keyed.ListModels(pb.ListModelsRequest())
        outcome = await recognize(keyed, [config(model="embedded"), *in_messages(pcm(MOTHER))])
    assert "embedded" not in {model.name for model in listed.models}
    assert (outcome.code, outcome.field) == (grpc.StatusCode.INVALID_ARGUMENT, "streaming_config.model")


async def test_a_message_of_any_size_is_heard(stub: Stub) -> None:
    samples = pcm(MOTHER)
    whole = await recognize(stub, [config(), audio(samples)])
    odd = await recognize(stub, [config(), *in_messages(samples, MESSAGE_BYTES // 3)])
    assert whole.texts == odd.texts == [WORDS[MOTHER]]
