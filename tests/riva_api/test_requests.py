"""Riva's config to the contract's."""

from __future__ import annotations

import math

import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.errors import InvalidRequest, UnsupportedOption
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api import common_pb2 as common
from asrgateway_server.riva_api.options import RivaOptions
from asrgateway_server.riva_api.requests import config_from, id_of, note_of

SAMPLES = bytes(64)
WAV, FLAC = b"RIFF\xff\xff\xff\xffWAVE", b"fLaC"
OPUS = b"OggS" + bytes(22) + b"\x01\x13OpusHead"
USUAL = RivaOptions()


def converted(start: bytes = SAMPLES, **fields: object) -> pb.StreamingConfig:
    return config_from(asr.RecognitionConfig(**fields), start, "", RivaOptions())[0]  # type: ignore[arg-type] # any field


def ignored(options: RivaOptions = USUAL, **fields: object) -> list[str]:
    message = asr.RecognitionConfig(**fields)  # type: ignore[arg-type] # any field
    return [entry.field for entry in config_from(message, SAMPLES, "", options)[1]]


def silence_ms(**fields: object) -> int:
    return converted(SAMPLES, **fields).endpointing.server_vad.silence.ToMilliseconds()


def endpointing(**fields: object) -> asr.EndpointingConfig:
    return asr.EndpointingConfig(**fields)  # type: ignore[arg-type] # any field


# Audio ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "start", "encoding"),
    [
        (common.ENCODING_UNSPECIFIED, SAMPLES, pb.AUDIO_ENCODING_LINEAR16),
        (common.LINEAR_PCM, SAMPLES, pb.AUDIO_ENCODING_LINEAR16),
        (common.MULAW, SAMPLES, pb.AUDIO_ENCODING_MULAW),
        (common.ALAW, SAMPLES, pb.AUDIO_ENCODING_ALAW),
        (common.FLAC, FLAC, pb.AUDIO_ENCODING_FLAC),
        (common.OGGOPUS, OPUS, pb.AUDIO_ENCODING_OGG_OPUS),
        (common.ENCODING_UNSPECIFIED, WAV, pb.AUDIO_ENCODING_WAV),
        (common.LINEAR_PCM, WAV, pb.AUDIO_ENCODING_WAV),
        (common.LINEAR_PCM, FLAC, pb.AUDIO_ENCODING_FLAC),
        (common.LINEAR_PCM, OPUS, pb.AUDIO_ENCODING_OGG_OPUS),
        (common.ENCODING_UNSPECIFIED, b"#!AMR\n", pb.AUDIO_ENCODING_AMR),
    ],
)
def test_the_first_bytes_decide_and_then_the_name(named: int, start: bytes, encoding: int) -> None:
    assert converted(start, encoding=named).decoding_config.encoding == encoding


def test_an_encoding_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="7 is not a value") as caught:
        converted(encoding=7)
    assert caught.value.field == "config.encoding"


def test_samples_have_the_rate_and_channels_of_the_config() -> None:
    audio = converted(sample_rate_hertz=8000, audio_channel_count=2).decoding_config
    assert (audio.sample_rate_hertz, audio.audio_channel_count) == (8000, 2)


def test_a_header_has_the_last_word_about_rate_and_channels() -> None:
    audio = converted(WAV, sample_rate_hertz=8000, audio_channel_count=2).decoding_config
    assert not audio.HasField("sample_rate_hertz")
    assert not audio.HasField("audio_channel_count")


def test_zero_channels_are_none_that_are_said() -> None:
    assert not converted().decoding_config.HasField("audio_channel_count")


@pytest.mark.parametrize(("is_separate", "mode"), [(False, pb.CHANNEL_MODE_FIRST), (True, pb.CHANNEL_MODE_SEPARATE)])
def test_the_first_channel_is_recognised_or_each(is_separate: bool, mode: int) -> None:
    config = converted(enable_separate_recognition_per_channel=is_separate)
    assert config.decoding_config.channel_mode == mode


# Language and model -----------------------------------------------------------------------------------------------


def test_a_language_and_a_model_are_passed_on() -> None:
    config = converted(language_code="zh-CN", model="paraformer")
    assert (list(config.language_codes), config.model) == (["zh-CN"], "paraformer")


@pytest.mark.parametrize("code", ["", "multi", "auto", "AUTO"])
def test_any_language_is_none_in_particular(code: str) -> None:
    assert not converted(language_code=code).language_codes


def test_the_operator_may_have_a_language_ignored() -> None:
    options = RivaOptions(ignored_languages=frozenset({"en-us"}))
    config, entries = config_from(asr.RecognitionConfig(language_code="en-US"), SAMPLES, "", options)
    assert not config.language_codes
    assert [entry.field for entry in entries] == ["config.language_code"]


@pytest.mark.parametrize(
    ("code", "is_noted"), [("en-US", True), ("en-us", True), ("en-GB", False), ("zh-CN", False), ("", False)]
)
def test_a_language_that_many_clients_send_by_themselves_is_not_obeyed_silently(code: str, is_noted: bool) -> None:
    assert bool(note_of(asr.RecognitionConfig(language_code=code), USUAL)) is is_noted


def test_an_ignored_language_is_not_noted_too() -> None:
    options = RivaOptions(ignored_languages=frozenset({"en-us"}))
    assert note_of(asr.RecognitionConfig(language_code="en-US"), options) == ""


# Features ---------------------------------------------------------------------------------------------------------


def test_features_are_as_the_client_says_or_off() -> None:
    features = converted(enable_word_time_offsets=True, verbatim_transcripts=True).features
    assert features == pb.RecognitionFeatures(
        enable_automatic_punctuation=False, enable_inverse_text_normalization=False, enable_word_time_offsets=True
    )


def test_without_verbatim_transcripts_numbers_are_written_in_digits() -> None:
    assert converted(enable_automatic_punctuation=True).features == pb.RecognitionFeatures(
        enable_automatic_punctuation=True, enable_inverse_text_normalization=True
    )


def test_the_profanity_filter_is_the_built_in_list() -> None:
    assert converted(profanity_filter=True).features.sensitive_word_filter.use_builtin_list
    assert not converted().features.HasField("sensitive_word_filter")


@pytest.mark.parametrize(
    ("boost", "weight"),
    [(0.5, 1), (1.0, 1), (2.6, 3), (5.0, 5), (10.0, 5), (100.0, 5), (math.inf, 5)],
)
def test_a_boost_is_a_weight_of_1_to_5(boost: float, weight: int) -> None:
    (word,) = converted(speech_contexts=[asr.SpeechContext(phrases=["w"], boost=boost)]).adaptation.hotwords
    assert (word.text, word.weight) == ("w", weight)


def test_phrases_that_should_be_rarer_are_left_out_and_said_so() -> None:
    contexts = [asr.SpeechContext(phrases=["w"], boost=2), asr.SpeechContext(phrases=["v"], boost=-3.0)]
    assert [word.text for word in converted(speech_contexts=contexts).adaptation.hotwords] == ["w"]
    assert ignored(speech_contexts=contexts) == ["config.speech_contexts[1].boost"]


@pytest.mark.parametrize("boost", [0.0, math.nan])
def test_without_a_boost_the_weight_is_the_models(boost: float) -> None:
    (word,) = converted(speech_contexts=[asr.SpeechContext(phrases=["w"], boost=boost)]).adaptation.hotwords
    assert not word.HasField("weight")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"speech_contexts": [asr.SpeechContext(phrases=["w"] * 10_001)]}, "speech_contexts has 10001 phrases"),
        ({"custom_configuration": {str(n): "" for n in range(65)}}, "custom_configuration has 65 keys"),
    ],
)
def test_too_many_of_anything_are_refused_unread(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        converted(**fields)  # type: ignore[arg-type] # any field


def test_empty_contexts_are_no_wish() -> None:
    contexts = [asr.SpeechContext(), asr.SpeechContext(phrases=["", " "], boost=-10)]
    assert not converted(speech_contexts=contexts).adaptation.hotwords
    assert ignored(speech_contexts=contexts) == []


# The end of utterances --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stop_ms", "used_ms"), [(320, 320), (50, 200), (9000, 6000)])
def test_stop_history_is_the_silence_within_its_limits(stop_ms: int, used_ms: int) -> None:
    assert silence_ms(endpointing_config=endpointing(stop_history=stop_ms)) == used_ms


def test_a_silence_that_is_changed_is_said_so() -> None:
    assert ignored(endpointing_config=endpointing(stop_history=50)) == ["config.endpointing_config.stop_history"]
    assert ignored(endpointing_config=endpointing(stop_history=320)) == []


def test_the_preliminary_end_stands_in_for_the_end() -> None:
    assert silence_ms(endpointing_config=endpointing(stop_history_eou=400)) == 400
    assert silence_ms(custom_configuration={"stop_history_eou": "400"}) == 400


def test_stop_history_comes_first() -> None:
    both = endpointing(stop_history=800, stop_history_eou=400)
    assert silence_ms(endpointing_config=both) == 800
    assert ignored(endpointing_config=both) == ["config.endpointing_config.stop_history_eou"]


@pytest.mark.parametrize("text", ["soon", "-1", "99999999999", "²"])
def test_a_silence_that_is_no_number_is_ignored(text: str) -> None:
    assert ignored(custom_configuration={"stop_history_eou": text}) == ["config.custom_configuration.stop_history_eou"]


def test_zero_is_no_wish() -> None:
    nothing = endpointing(stop_history=0, start_history=0, stop_threshold=0.0)
    assert not converted(endpointing_config=nothing).HasField("endpointing")
    assert ignored(endpointing_config=nothing) == []


# What has no place ------------------------------------------------------------------------------------------------


def test_what_has_no_place_is_named() -> None:
    assert ignored(
        endpointing_config=endpointing(start_history=100, start_threshold=0.5, stop_threshold=0.9),
        diarization_config=asr.SpeakerDiarizationConfig(enable_speaker_diarization=True),
        custom_configuration={"neural_vad.onset": "0.5", "enable_vad_endpointing": "true"},
    ) == [
        "config.endpointing_config.start_history",
        "config.endpointing_config.start_threshold",
        "config.endpointing_config.stop_threshold",
        "config.diarization_config",
        "config.custom_configuration.enable_vad_endpointing",
        "config.custom_configuration.neural_vad.onset",
    ]


def test_the_presence_of_a_message_is_no_wish() -> None:
    off = asr.SpeakerDiarizationConfig(enable_speaker_diarization=False, max_speaker_count=8)
    assert ignored(diarization_config=off, endpointing_config=endpointing(), max_alternatives=5) == []


def test_a_strict_operator_refuses_it() -> None:
    diarization = asr.SpeakerDiarizationConfig(enable_speaker_diarization=True)
    with pytest.raises(UnsupportedOption, match="riva_strict") as caught:
        ignored(RivaOptions(is_strict=True), diarization_config=diarization)
    assert caught.value.field == "config.diarization_config"


def test_a_strict_operators_calls_are_strict() -> None:
    config, _ = config_from(asr.RecognitionConfig(), SAMPLES, "", RivaOptions(is_strict=True))
    assert config.strict
    assert config.fail_on_audio_loss


def test_a_long_id_is_cut() -> None:
    request = asr.RecognizeRequest()
    request.id.value = "i" * 200
    assert id_of(request) == "i" * 128
