from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.config import (
    Adaptation,
    AudioFormat,
    ChannelMode,
    Encoding,
    Features,
    ManualEndpointing,
    RecognitionConfig,
    Resume,
    SemanticEndpointing,
    ServerVad,
)
from asrgateway_server.errors import GatewayError, InvalidRequest, NotBuiltYet, UnknownModel
from asrgateway_server.events import CommitEmpty, SpeechEnded, SpeechStarted, Word
from asrgateway_server.models import EMBEDDED, Feature, catalogue
from asrgateway_server.recognition.replies import CallFinished, Cursor, Notice, NoticeCode, Result, Started
from asrgateway_server.rpc.mapping import config_from, models_from, response_from

SERVED = catalogue(default_model="", has_key=False)
CURSOR = Cursor(received_ms=1_500, sent_ms=1_400, final_ms=0, silence_ms=300)


def config(message: pb.StreamingConfig) -> RecognitionConfig:
    return config_from(message, SERVED)


def decoding(**values: int) -> pb.StreamingConfig:
    return pb.StreamingConfig(decoding_config=pb.DecodingConfig(**values))  # type: ignore[arg-type] # enums are numbers


def duration(ms: int) -> Duration:
    message = Duration()
    message.FromMilliseconds(ms)
    return message


def vad(**values: object) -> pb.StreamingConfig:
    mode = pb.ServerVad(**values)  # type: ignore[arg-type] # any field
    return pb.StreamingConfig(endpointing=pb.EndpointingConfig(server_vad=mode))


def resume(**values: object) -> pb.StreamingConfig:
    return pb.StreamingConfig(resume=pb.Resume(**values))  # type: ignore[arg-type] # any field


# Requests ---------------------------------------------------------------------------------------------------------


def test_an_empty_config_is_all_defaults() -> None:
    assert config(pb.StreamingConfig()) == RecognitionConfig(model=EMBEDDED, audio=AudioFormat())


def test_every_field_finds_its_place() -> None:
    parameters = Struct()
    parameters.update({"heartbeat": True})
    message = pb.StreamingConfig(
        model="embedded",
        decoding_config=pb.DecodingConfig(
            encoding=pb.AUDIO_ENCODING_WAV,
            sample_rate_hertz=8_000,
            audio_channel_count=2,
            channel_mode=pb.CHANNEL_MODE_LAST,
        ),
        language_codes=["en-US", "zh"],
        interim_results=True,
        features=pb.RecognitionFeatures(
            enable_automatic_punctuation=False,
            enable_inverse_text_normalization=True,
            enable_word_time_offsets=True,
            enable_voice_activity_events=True,
            enable_emotion=True,
        ),
        adaptation=pb.SpeechAdaptation(vocabulary_id="v1"),
        strict=True,
        resume=pb.Resume(audio_offset=duration(61_500), next_result_index=7),
        vendor_parameters=parameters,
    )
    assert config(message) == RecognitionConfig(
        model=EMBEDDED,
        audio=AudioFormat(
            encoding=Encoding.WAV, sample_rate_hertz=8_000, channel_count=2, channel_mode=ChannelMode.LAST
        ),
        language_codes=("en-US", "zh"),
        interim_results=True,
        features=Features(
            punctuation=False,
            inverse_text_normalization=True,
            word_time_offsets=True,
            voice_activity_events=True,
            emotion=True,
        ),
        adaptation=Adaptation(vocabulary_id="v1"),
        vendor_parameters={"heartbeat": True},
        is_strict=True,
        resume=Resume(audio_offset_ms=61_500, next_result_index=7),
        wishes=(
            "features.enable_automatic_punctuation=false",
            "features.enable_inverse_text_normalization=true",
            "features.enable_word_time_offsets=true",
            "features.enable_voice_activity_events=true",
            "features.enable_emotion=true",
            "adaptation.vocabulary_id",
            "vendor_parameters",
        ),
    )


@pytest.mark.parametrize(
    ("message", "endpointing"),
    [
        (pb.EndpointingConfig(), ServerVad()),
        (pb.EndpointingConfig(semantic=pb.SemanticEndpointing()), SemanticEndpointing()),
        (pb.EndpointingConfig(manual=pb.ManualEndpointing()), ManualEndpointing()),
        (
            pb.EndpointingConfig(server_vad=pb.ServerVad(silence=duration(500), threshold=0.0, multi_threshold=True)),
            ServerVad(silence_ms=500, threshold=0.0, is_multi_threshold=True),
        ),
    ],
)
def test_the_end_of_an_utterance_is_decided_as_asked(
    message: pb.EndpointingConfig, endpointing: ServerVad | SemanticEndpointing | ManualEndpointing
) -> None:
    assert config(pb.StreamingConfig(endpointing=message)).endpointing == endpointing


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (decoding(sample_rate_hertz=0), "decoding_config.sample_rate_hertz"),
        (decoding(sample_rate_hertz=3_999), "decoding_config.sample_rate_hertz"),
        (decoding(sample_rate_hertz=192_001), "decoding_config.sample_rate_hertz"),
        (decoding(sample_rate_hertz=-16_000), "decoding_config.sample_rate_hertz"),
        (decoding(audio_channel_count=0), "decoding_config.audio_channel_count"),
        (decoding(audio_channel_count=17), "decoding_config.audio_channel_count"),
        (decoding(encoding=99), "decoding_config.encoding"),
        (decoding(channel_mode=99), "decoding_config.channel_mode"),
        (vad(silence=duration(199)), "endpointing.server_vad.silence"),
        (vad(silence=duration(0)), "endpointing.server_vad.silence"),
        (vad(silence=duration(6_001)), "endpointing.server_vad.silence"),
        (vad(threshold=-1.5), "endpointing.server_vad.threshold"),
        (vad(threshold=1.5), "endpointing.server_vad.threshold"),
        (vad(threshold=float("nan")), "endpointing.server_vad.threshold"),
        (pb.StreamingConfig(keep_alive=pb.KeepAliveConfig(policy=99)), "keep_alive.policy"),  # type: ignore[arg-type]
        (pb.StreamingConfig(keep_alive=pb.KeepAliveConfig(quiet_after=duration(99))), "keep_alive.quiet_after"),
        (pb.StreamingConfig(keep_alive=pb.KeepAliveConfig(quiet_after=duration(60_001))), "keep_alive.quiet_after"),
        (pb.StreamingConfig(request_id="x" * 129), "request_id"),
        (pb.StreamingConfig(language_codes=["en"] * 9), "language_codes"),
        (resume(audio_offset=duration(-1)), "resume.audio_offset"),
        (resume(audio_offset=Duration(nanos=-1)), "resume.audio_offset"),
        (resume(audio_offset=Duration(seconds=315_576_000_000)), "resume.audio_offset"),
        (resume(next_result_index=-1), "resume.next_result_index"),
    ],
)
def test_a_value_out_of_range_names_its_field(message: pb.StreamingConfig, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        config(message)
    assert caught.value.field == f"streaming_config.{field}"


@pytest.mark.parametrize(
    "message",
    [
        decoding(sample_rate_hertz=4_000, audio_channel_count=1),
        decoding(sample_rate_hertz=192_000, audio_channel_count=16),
        vad(silence=duration(200), threshold=-1.0),
        vad(silence=duration(6_000), threshold=1.0),
        pb.StreamingConfig(keep_alive=pb.KeepAliveConfig(quiet_after=duration(100))),
        pb.StreamingConfig(keep_alive=pb.KeepAliveConfig(quiet_after=duration(60_000))),
        pb.StreamingConfig(request_id="é" * 128, language_codes=["en"] * 8),
        resume(next_result_index=2**31 - 1),
    ],
)
def test_values_at_the_ends_of_their_ranges_are_fine(message: pb.StreamingConfig) -> None:
    assert config(message).model is EMBEDDED


def test_an_unknown_model_names_its_field() -> None:
    with pytest.raises(UnknownModel) as caught:
        config(pb.StreamingConfig(model="gpt"))
    assert caught.value.field == "streaming_config.model"


BUILT_ENCODINGS = {pb.AUDIO_ENCODING_UNSPECIFIED, pb.AUDIO_ENCODING_LINEAR16, pb.AUDIO_ENCODING_WAV}


@pytest.mark.parametrize("encoding", sorted(set(pb.AudioEncoding.values()) - BUILT_ENCODINGS))
def test_an_encoding_of_a_later_version_is_not_built_yet(encoding: int) -> None:
    with pytest.raises(NotBuiltYet, match=pb.AudioEncoding.Name(encoding)) as caught:  # type: ignore[arg-type] # a number
        config(decoding(encoding=encoding))
    assert caught.value.field == "streaming_config.decoding_config.encoding"


@pytest.mark.parametrize(
    ("message", "name", "field"),
    [
        (decoding(channel_mode=pb.CHANNEL_MODE_SEPARATE), "SEPARATE", "decoding_config.channel_mode"),
        (
            pb.StreamingConfig(keep_alive=pb.KeepAliveConfig(policy=pb.KEEP_ALIVE_POLICY_HIBERNATE)),
            "HIBERNATE",
            "keep_alive.policy",
        ),
    ],
)
def test_a_choice_of_a_later_version_is_not_built_yet(message: pb.StreamingConfig, name: str, field: str) -> None:
    with pytest.raises(NotBuiltYet, match=name) as caught:
        config(message)
    assert caught.value.field == f"streaming_config.{field}"


@pytest.mark.parametrize(
    ("message", "wishes"),
    [
        (pb.StreamingConfig(features=pb.RecognitionFeatures(enable_emotion=True)), ("features.enable_emotion=true",)),
        (pb.StreamingConfig(features=pb.RecognitionFeatures(enable_emotion=False)), ()),
        (
            pb.StreamingConfig(features=pb.RecognitionFeatures(enable_disfluency_removal=False)),
            ("features.enable_disfluency_removal=false",),
        ),
        (
            pb.StreamingConfig(
                features=pb.RecognitionFeatures(
                    sensitive_word_filter=pb.SensitiveWordFilter(masked_words=["a", "b"], use_builtin_list=False)
                )
            ),
            (
                "features.sensitive_word_filter.masked_words",
                "features.sensitive_word_filter.use_builtin_list=false",
            ),
        ),
        (
            pb.StreamingConfig(adaptation=pb.SpeechAdaptation(hotwords=[pb.Hotword(text="a"), pb.Hotword(text="b")])),
            ("adaptation.hotwords",),
        ),
        (
            pb.StreamingConfig(endpointing=pb.EndpointingConfig(semantic=pb.SemanticEndpointing())),
            ("endpointing.semantic=",),
        ),
        (vad(), ("endpointing.server_vad=",)),
        (
            vad(silence=duration(300), threshold=0.0),
            ("endpointing.server_vad.silence", "endpointing.server_vad.threshold"),
        ),
        (pb.StreamingConfig(interim_results=True, strict=True, request_id="r", fail_on_audio_loss=True), ()),
        (pb.StreamingConfig(features=pb.RecognitionFeatures()), ()),
        (pb.StreamingConfig(adaptation=pb.SpeechAdaptation()), ()),
        (pb.StreamingConfig(endpointing=pb.EndpointingConfig()), ()),
        (pb.StreamingConfig(vendor_parameters=Struct()), ()),
    ],
)
def test_wishes_are_the_paths_of_what_was_asked_for(message: pb.StreamingConfig, wishes: tuple[str, ...]) -> None:
    assert config(message).wishes == wishes


def test_no_error_repeats_what_the_caller_said() -> None:
    with pytest.raises(GatewayError) as caught:
        config(pb.StreamingConfig(request_id="secret" * 30))
    assert "secret" not in caught.value.message


# Responses --------------------------------------------------------------------------------------------------------


def response(reply: object) -> pb.RecognizeResponse:
    message = response_from(reply, CURSOR, "c1")  # type: ignore[arg-type] # whichever reply
    assert message.cursor == pb.Cursor(
        received=duration(1_500), sent_upstream=duration(1_400), final=duration(0), injected_silence=duration(300)
    )
    return message


def test_a_sign_of_life_is_a_cursor_alone() -> None:
    assert response(None).WhichOneof("response") is None


def test_a_start_tells_what_runs() -> None:
    notice = Notice(code=NoticeCode.OPTION_IGNORED, field="streaming_config.adaptation.context", message="no context")
    started = Started(model=EMBEDDED, sample_rate_hertz=16_000, upstream_request_id="task-1", downgrades=(notice,))
    assert response(started).started == pb.Started(
        call_id="c1",
        model="embedded",
        upstream_request_id="task-1",
        sample_rate_hertz=16_000,
        downgrades=[pb.Downgrade(field="adaptation.context", message="no context")],
    )


def test_an_interim_result_tells_what_is_promised_and_what_is_not() -> None:
    result = Result(index=3, revision=2, is_final=False, text="good morning", committed="good ", stability=0.5)
    assert response(result).result == pb.RecognitionResult(
        result_index=3, revision=2, transcript="good morning", committed="good ", unstable="morning", stability=0.5
    )


def test_a_final_result_tells_times_and_words() -> None:
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


def test_what_the_model_does_not_tell_is_absent_and_not_zero() -> None:
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
def test_the_bounds_of_speech_have_their_offset(
    event: SpeechStarted | SpeechEnded, kind: pb.SpeechEventType.ValueType
) -> None:
    assert response(event).speech_event == pb.SpeechEvent(type=kind, offset=duration(1_234))


def test_a_commit_that_found_nothing_is_a_stream_event() -> None:
    assert response(CommitEmpty()).stream_event.type == pb.STREAM_EVENT_TYPE_COMMIT_EMPTY


@pytest.mark.parametrize("code", list(NoticeCode))
def test_a_notice_is_a_warning(code: NoticeCode) -> None:
    warning = response(Notice(code=code, field="streaming_config.features", message="no")).warning
    assert (pb.WarningCode.Name(warning.code), warning.field, warning.message) == (
        f"WARNING_CODE_{code.name}",
        "streaming_config.features",
        "no",
    )


def finished(*, delay_seconds: float | None) -> CallFinished:
    return CallFinished(
        silence_ms=0,
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


def test_the_end_tells_what_the_call_took() -> None:
    assert response(finished(delay_seconds=0.25)).finished == pb.Finished(
        first_package_delay=duration(250),
        last_package_delay=duration(200),
        upstream_first_package_delay=duration(250),
        upstream_last_package_delay=duration(100),
        audio_duration=duration(2_400),
        injected_silence=duration(0),
        replayed_audio=duration(0),
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


def test_the_catalogue_as_callers_read_it() -> None:
    assert models_from(SERVED) == pb.ListModelsResponse(
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
                ],
            )
        ],
        aliases=[pb.ModelAlias(name="default", model="embedded")],
    )
