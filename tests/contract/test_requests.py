from __future__ import annotations

import pytest
from google.protobuf import json_format
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
from asrgateway_server.contract.requests import MAX_CONFIG_BYTES, config_from, request_from, update_from
from asrgateway_server.errors import GatewayError, InvalidRequest, UnknownModel
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED
from catalogues import WITHOUT_KEY

SERVED = WITHOUT_KEY


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


def parameters(**values: object) -> pb.StreamingConfig:
    message = pb.StreamingConfig()
    json_format.ParseDict(values, message.vendor_parameters)
    return message


def filtering(**words: list[str]) -> pb.StreamingConfig:
    words_to_filter = pb.SensitiveWordFilter(**words)  # type: ignore[arg-type] # both are lists of words
    return pb.StreamingConfig(features=pb.RecognitionFeatures(sensitive_word_filter=words_to_filter))


# Requests ---------------------------------------------------------------------------------------------------------


def test_an_empty_config_is_all_defaults() -> None:
    assert config(pb.StreamingConfig()) == RecognitionConfig(model=EMBEDDED, audio=AudioFormat())


@pytest.mark.parametrize("threshold", [0.0, 0.2, -0.7, 0.1234567, 1.0, 1e-9])
def test_a_threshold_is_the_decimal_that_was_written(threshold: float) -> None:
    """The field has 32 bits: Python reads 0.2 as 0.20000000298023224."""
    vad = pb.ServerVad(threshold=threshold)
    endpointing = config(pb.StreamingConfig(endpointing=pb.EndpointingConfig(server_vad=vad))).endpointing
    assert endpointing == ServerVad(threshold=threshold)


def test_every_field_is_read() -> None:
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
        options_set=(
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
def test_endpointing_is_read(
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
        (resume(next_result_index=2**30 + 1), "resume.next_result_index"),
        (resume(next_result_index=2**31 - 1), "resume.next_result_index"),
        (resume(call_id="x" * 129), "resume.call_id"),
        (resume(channel_offsets=[duration(0)]), "resume.channel_offsets"),
        (pb.StreamingConfig(model="x" * 129), "model"),
        (pb.StreamingConfig(language_codes=["en", "x" * 36]), "language_codes[1]"),
        (pb.StreamingConfig(adaptation=pb.SpeechAdaptation(vocabulary_id="x" * 129)), "adaptation.vocabulary_id"),
        (pb.StreamingConfig(adaptation=pb.SpeechAdaptation(hotwords=[pb.Hotword()] * 10_001)), "adaptation.hotwords"),
        (
            pb.StreamingConfig(adaptation=pb.SpeechAdaptation(context_messages=[pb.ContextMessage()] * 1_001)),
            "adaptation.context_messages",
        ),
        (filtering(masked_words=["x"] * 5_001, removed_words=["x"] * 5_000), "features.sensitive_word_filter"),
        (parameters(x="x" * 16_400), "vendor_parameters"),
        (parameters(x=float("nan")), "vendor_parameters"),
        (parameters(x=[1, {"y": float("inf")}]), "vendor_parameters"),
        (parameters(x=[[[float("-inf")]]]), "vendor_parameters"),
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
        resume(next_result_index=2**30, call_id="x" * 128),
        pb.StreamingConfig(adaptation=pb.SpeechAdaptation(hotwords=[pb.Hotword(text="a")] * 10_000)),
        parameters(x="x" * 16_000, y=[1, None, {"z": True}]),
    ],
)
def test_values_at_the_ends_of_their_ranges_are_accepted(message: pb.StreamingConfig) -> None:
    assert config(message).model is EMBEDDED


@pytest.mark.parametrize("field", ["hotwords", "context_messages"])
def test_an_update_is_limited_as_the_config_is(field: str) -> None:
    adaptation = pb.SpeechAdaptation()
    for _ in range(10_001):
        getattr(adaptation, field).add()
    with pytest.raises(InvalidRequest) as caught:
        update_from(pb.ConfigUpdate(adaptation=adaptation))
    assert caught.value.field == f"update.adaptation.{field}"


# Bytes ------------------------------------------------------------------------------------------------------------


def test_audio_may_be_larger_than_everything_else() -> None:
    message = pb.RecognizeRequest(audio=bytes(MAX_CONFIG_BYTES + 1))
    assert request_from(message.SerializeToString()) == message


def test_a_request_without_audio_may_be_as_large_as_the_limit() -> None:
    message = pb.RecognizeRequest(streaming_config=pb.StreamingConfig(model="x" * (MAX_CONFIG_BYTES - 8)))
    data = message.SerializeToString()
    assert len(data) == MAX_CONFIG_BYTES
    assert request_from(data) == message


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x84\x80\x40" + b"\x32\x00" * (2**19 + 2),
        pb.RecognizeRequest(audio=b"a piece of audio first").SerializeToString() + b"\x0a\x80\x80\x40" + bytes(2**20),
        b"\x12" + b"\xff" * 2**20,
        bytes(2**20),
    ],
    ids=["empty words", "audio before a config", "a length without end", "zeros"],
)
def test_a_larger_request_is_refused_before_it_is_parsed(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pb, "RecognizeRequest", None)
    with pytest.raises(InvalidRequest, match=f"without audio it may have {MAX_CONFIG_BYTES}") as caught:
        request_from(data)
    assert caught.value.field == "request"


def test_an_unknown_model_names_its_field() -> None:
    with pytest.raises(UnknownModel) as caught:
        config(pb.StreamingConfig(model="gpt"))
    assert caught.value.field == "streaming_config.model"


@pytest.mark.parametrize("name", [name for name in dict(pb.AudioEncoding.items()) if not name.endswith("UNSPECIFIED")])
def test_every_encoding_of_the_contract_is_taken(name: str) -> None:
    found = config(decoding(encoding=pb.AudioEncoding.Value(name), sample_rate_hertz=8_000)).audio.encoding
    assert f"AUDIO_ENCODING_{found.name}" == name


def test_channels_by_themselves_resume_each_at_its_own_place() -> None:
    message = decoding(channel_mode=pb.CHANNEL_MODE_SEPARATE, audio_channel_count=2)
    message.resume.audio_offset.FromMilliseconds(1_000)
    for offset_ms in (1_000, 2_500):
        message.resume.channel_offsets.add().FromMilliseconds(offset_ms)
    resumed = config(message)
    assert resumed.audio.channel_mode is ChannelMode.SEPARATE
    assert resumed.resume.channel_offsets_ms == (1_000, 2_500)


def test_no_channel_resumes_before_the_audio_that_is_sent_again() -> None:
    message = decoding(channel_mode=pb.CHANNEL_MODE_SEPARATE, audio_channel_count=2)
    message.resume.audio_offset.FromMilliseconds(1_000)
    for offset_ms in (1_000, 999):
        message.resume.channel_offsets.add().FromMilliseconds(offset_ms)
    with pytest.raises(InvalidRequest, match="999") as caught:
        config(message)
    assert caught.value.field == "streaming_config.resume.channel_offsets[1]"


@pytest.mark.parametrize(
    ("message", "options_set"),
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
def test_options_are_the_paths_of_the_fields_that_are_set(
    message: pb.StreamingConfig, options_set: tuple[str, ...]
) -> None:
    assert config(message).options_set == options_set


def test_no_error_repeats_a_value_of_the_client() -> None:
    with pytest.raises(GatewayError) as caught:
        config(pb.StreamingConfig(request_id="secret" * 30))
    assert "secret" not in caught.value.message
