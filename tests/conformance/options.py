"""Every option that a model may lack: how a call asks for it, and how it shows that it was honoured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome
from dashscope_emulator.journal import Journal

#: Tells from what the vendor was sent, and what the caller was told, whether an option was honoured.
Evidence = Callable[[Journal, Outcome], bool]
#: The same from what the vendor has been sent so far.
InPause = Callable[[Journal], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option with one value.

    Attributes:
        options_set: Fields of StreamingConfig that ask for it.
        evidence: How it shows in the run-task dialect.
        session_evidence: How it shows in the session dialect, where that differs.
        fixed_evidence: How it shows with a model that has this value only: it is never told so, and no test can show
            that it does so by itself. The manual says that it does.
        in_pause: How it shows while the client, after its audio, says nothing; what it is waited for.
    """

    options_set: Mapping[str, Any]
    evidence: Evidence
    session_evidence: Evidence | None = None
    fixed_evidence: Evidence | None = None
    in_pause: InPause | None = None


def parameter(name: str, value: object) -> Evidence:
    return lambda task, _: task.parameters.get(name) == value


def turn_detection(name: str, value: object) -> Evidence:
    return lambda task, _: (task.parameters.get("turn_detection") or {}).get(name) == value


def seconds(value: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(value * 1000))
    return duration


def vad(**values: Any) -> dict[str, Any]:
    return {"endpointing": pb.EndpointingConfig(server_vad=pb.ServerVad(**values))}


def feature(**values: Any) -> dict[str, Any]:
    return {"features": pb.RecognitionFeatures(**values)}


def word_filter(**values: Any) -> dict[str, Any]:
    return feature(sensitive_word_filter=pb.SensitiveWordFilter(**values))


def keep_alive(**values: Any) -> dict[str, Any]:
    """What is quiet for a moment is taken to be quiet."""
    return {"keep_alive": pb.KeepAliveConfig(quiet_after=seconds(0.1), **values)}


def adaptation(**values: Any) -> dict[str, Any]:
    return {"adaptation": pb.SpeechAdaptation(**values)}


def not_sent(name: str) -> Evidence:
    return lambda task, _: name not in task.parameters


def hotword_arrives(task: Journal, _: Outcome) -> bool:
    corpus = str((task.parameters.get("input_audio_transcription") or {}).get("corpus"))
    compiled = str(task.parameters.get("vocabulary_id", "")).startswith("vocab-g")
    return "Kestrel" in task.parameters.get("vocabulary", {}) or compiled or bool(task.resources) or "Kestrel" in corpus


def in_context(text: str) -> Evidence:
    return lambda task, _: text in str(task.contexts)


def in_corpus(text: str) -> Evidence:
    return lambda task, _: text in str((task.parameters.get("input_audio_transcription") or {}).get("corpus"))


def stored_vocabulary(task: Journal, _: Outcome) -> bool:
    by_resource = [resource["resource_id"] for resource in task.resources]
    return task.parameters.get("vocabulary_id") == "vocab-1" or by_resource == ["vocab-1"]


def speech_events(_: Journal, outcome: Outcome) -> bool:
    return any(response.HasField("speech_event") for response in outcome.responses)


def words(_: Journal, outcome: Outcome) -> bool:
    return outcome.finals != [] and all(final.words for final in outcome.finals)


def emotion(_: Journal, outcome: Outcome) -> bool:
    return outcome.finals != [] and all(final.emotion.label for final in outcome.finals)


def without_turn_detection(task: Journal, _: Outcome) -> bool:
    return "turn_detection" in task.parameters and task.parameters["turn_detection"] is None


def silence_sent(_: Journal, outcome: Outcome) -> bool:
    return outcome.finished.injected_silence.ToMilliseconds() > 0


def hibernated(_: Journal, outcome: Outcome) -> bool:
    events = [response.stream_event.event_type for response in outcome.responses if response.HasField("stream_event")]
    return events == [pb.STREAM_EVENT_TYPE_HIBERNATED]


def passed_through(task: Journal, _: Outcome) -> bool:
    return task.parameters.get("something_new") == 3


def vendor_parameters() -> Struct:
    made = Struct()
    made["something_new"] = 3
    return made


HOTWORD: Final = pb.Hotword(text="Kestrel", weight=5)
SAID: Final = pb.ContextMessage(role=pb.CONTEXT_ROLE_USER, text="a table for two")

#: By path; ``=value`` where two values differ.
OPTIONS: Final[Mapping[str, Option]] = {
    "endpointing.server_vad.silence": Option(
        options_set=vad(silence=seconds(0.5)),
        evidence=parameter("max_sentence_silence", 500),
        session_evidence=turn_detection("silence_duration_ms", 500),
    ),
    "endpointing.server_vad.threshold": Option(
        options_set=vad(threshold=0.5),
        evidence=parameter("speech_noise_threshold", 0.5),
        session_evidence=turn_detection("threshold", 0.5),
    ),
    "endpointing.server_vad.multi_threshold": Option(
        options_set=vad(multi_threshold=True), evidence=parameter("multi_threshold_mode_enabled", True)
    ),
    "endpointing.semantic": Option(
        options_set={"endpointing": pb.EndpointingConfig(semantic=pb.SemanticEndpointing())},
        evidence=parameter("semantic_punctuation_enabled", True),
    ),
    "endpointing.manual": Option(
        options_set={"endpointing": pb.EndpointingConfig(manual=pb.ManualEndpointing())},
        evidence=without_turn_detection,
    ),
    "features.enable_automatic_punctuation=true": Option(
        options_set=feature(enable_automatic_punctuation=True),
        evidence=parameter("punctuation_prediction_enabled", True),
        fixed_evidence=not_sent("punctuation_prediction_enabled"),
    ),
    "features.enable_automatic_punctuation=false": Option(
        options_set=feature(enable_automatic_punctuation=False),
        evidence=parameter("punctuation_prediction_enabled", False),
        fixed_evidence=not_sent("punctuation_prediction_enabled"),
    ),
    "features.enable_inverse_text_normalization=true": Option(
        options_set=feature(enable_inverse_text_normalization=True),
        evidence=parameter("inverse_text_normalization_enabled", True),
        fixed_evidence=not_sent("inverse_text_normalization_enabled"),
    ),
    "features.enable_inverse_text_normalization=false": Option(
        options_set=feature(enable_inverse_text_normalization=False),
        evidence=parameter("inverse_text_normalization_enabled", False),
        fixed_evidence=not_sent("inverse_text_normalization_enabled"),
    ),
    "features.enable_disfluency_removal=true": Option(
        options_set=feature(enable_disfluency_removal=True), evidence=parameter("disfluency_removal_enabled", True)
    ),
    "features.enable_word_time_offsets=true": Option(
        options_set=feature(enable_word_time_offsets=True), evidence=words
    ),
    "features.enable_voice_activity_events=true": Option(
        options_set=feature(enable_voice_activity_events=True), evidence=speech_events
    ),
    "features.enable_emotion=true": Option(options_set=feature(enable_emotion=True), evidence=emotion),
    "features.sensitive_word_filter.masked_words": Option(
        options_set=word_filter(masked_words=["w1"]), evidence=lambda task, _: "w1" in str(task.parameters)
    ),
    "features.sensitive_word_filter.removed_words": Option(
        options_set=word_filter(removed_words=["w1"]), evidence=lambda task, _: "w1" in str(task.parameters)
    ),
    "features.sensitive_word_filter.use_builtin_list=true": Option(
        options_set=word_filter(use_builtin_list=True),
        evidence=lambda task, _: "system_reserved_filter" in str(task.parameters),
    ),
    "adaptation.vocabulary_id": Option(options_set=adaptation(vocabulary_id="vocab-1"), evidence=stored_vocabulary),
    "adaptation.hotwords": Option(options_set=adaptation(hotwords=[HOTWORD]), evidence=hotword_arrives),
    "adaptation.context": Option(
        options_set=adaptation(context="dinner"), evidence=in_context("dinner"), session_evidence=in_corpus("dinner")
    ),
    "adaptation.context_messages": Option(
        options_set=adaptation(context_messages=[SAID]), evidence=in_context("a table for two")
    ),
    "keep_alive.policy": Option(
        options_set=keep_alive(policy=pb.KEEP_ALIVE_POLICY_HIBERNATE),
        evidence=hibernated,
        in_pause=lambda task: task.outcome == "finished",
    ),
    # The gateway of the test leaves a minute of quiet to calls that do not ask for less.
    "keep_alive.quiet_after": Option(
        options_set=keep_alive(), evidence=silence_sent, in_pause=lambda task: task.silent_bytes > 0
    ),
    "vendor_parameters": Option(options_set={"vendor_parameters": vendor_parameters()}, evidence=passed_through),
}

#: Options of the gateway itself, the same with every model, and the test that proves each.
GATEWAY_OPTIONS: Final[Mapping[str, str]] = {
    "model": "tests/end_to_end/test_wrong_input.py::test_wrong_input_names_the_field",
    "decoding_config.encoding": "tests/end_to_end/test_recognition.py::test_a_wav_file_is_taken_as_it_is",
    "decoding_config.sample_rate_hertz": "tests/end_to_end/test_recognition.py::test_stereo_is_mixed_and_resampled",
    "decoding_config.audio_channel_count": "tests/end_to_end/test_recognition.py::test_stereo_is_mixed_and_resampled",
    "decoding_config.channel_mode": "tests/audio/test_resampler.py::test_a_mode_chooses_among_the_channels",
    "language_codes": "tests/end_to_end/test_recognition.py::test_an_option_that_the_model_lacks_is_a_warning",
    "interim_results": "tests/end_to_end/test_recognition.py::test_interim_results_come_only_when_asked_for",
    "strict": "tests/conformance/test_options.py::test_strict_makes_a_lacking_option_an_error",
    "fail_on_audio_loss": "tests/call/test_continuity.py::test_a_call_that_may_lose_nothing_ends_instead",
    "request_id": "tests/grpc_api/test_servicer.py::test_the_log_has_the_names_that_the_client_sent",
    "resume.audio_offset": "tests/end_to_end/test_recognition.py::test_a_resumed_call_goes_on_counting",
    "resume.next_result_index": "tests/end_to_end/test_recognition.py::test_a_resumed_call_goes_on_counting",
    "resume.channel_offsets": "tests/contract/test_requests.py::test_a_value_out_of_range_names_its_field",
    "resume.call_id": "tests/grpc_api/test_servicer.py::test_the_log_has_the_names_that_the_client_sent",
}
