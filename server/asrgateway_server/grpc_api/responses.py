"""Replies to protobuf messages."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.call.responses import CallFinished, Cursor, GoingAway, Reply, Result, Started
from asrgateway_server.events import CommitEmpty, Notice, SpeechEnded, SpeechStarted, UpdateApplied
from asrgateway_server.grpc_api.requests import CONFIG_FIELD
from asrgateway_server.models import Catalogue, Model


def response_from(reply: Reply | None, cursor: Cursor, call_id: str) -> pb.RecognizeResponse:
    """Return what the client reads; only the cursor for None."""
    response = pb.RecognizeResponse()
    _set(response.cursor.received, cursor.received_ms)
    _set(response.cursor.sent_upstream, cursor.sent_ms)
    _set(response.cursor.final, cursor.final_ms)
    _set(response.cursor.injected_silence, cursor.silence_ms)
    match reply:
        case Result():
            _fill_result(response.result, reply)
        case SpeechStarted():
            response.speech_event.type = pb.SPEECH_EVENT_TYPE_BEGIN
            _set(response.speech_event.offset, reply.offset_ms)
        case SpeechEnded():
            response.speech_event.type = pb.SPEECH_EVENT_TYPE_END
            _set(response.speech_event.offset, reply.offset_ms)
        case CommitEmpty():
            response.stream_event.type = pb.STREAM_EVENT_TYPE_COMMIT_EMPTY
            response.stream_event.reason = "no utterance was open"
        case UpdateApplied():
            response.stream_event.type = pb.STREAM_EVENT_TYPE_UPDATE_APPLIED
            response.stream_event.reason = "the new adaptation holds for the audio that follows"
        case Notice():
            response.warning.CopyFrom(
                pb.Warning(
                    code=pb.WarningCode.Value(f"WARNING_CODE_{reply.code.name}"),
                    message=reply.message,
                    field=reply.field,
                )
            )
        case GoingAway():
            _set(response.going_away.deadline, reply.left_ms)
        case Started():
            _fill_started(response.started, reply, call_id)
        case CallFinished():
            _fill_finished(response.finished, reply)
    return response


def _fill_started(started: pb.Started, reply: Started, call_id: str) -> None:
    started.call_id = call_id
    started.model = reply.model.name
    started.region = next(iter(reply.model.regions), "")
    started.upstream_request_id = reply.upstream_request_id
    started.sample_rate_hertz = reply.sample_rate_hertz
    for notice in reply.downgrades:
        started.downgrades.add(field=notice.field.removeprefix(f"{CONFIG_FIELD}."), message=notice.message)


def _fill_result(result: pb.RecognitionResult, reply: Result) -> None:
    result.result_index = reply.index
    result.revision = reply.revision
    result.is_final = reply.is_final
    result.transcript = reply.text
    result.committed = reply.committed
    result.unstable = reply.text[len(reply.committed) :]
    result.forced = reply.is_forced
    result.language_code = reply.language_code
    if reply.stability is not None:
        result.stability = reply.stability
    if reply.start_ms is not None:
        _set(result.start_offset, reply.start_ms)
    if reply.end_ms is not None:
        _set(result.end_offset, reply.end_ms)
    if reply.emotion is not None:
        result.emotion.label = reply.emotion.label
        if reply.emotion.confidence is not None:
            result.emotion.confidence = reply.emotion.confidence
    for word in reply.words:
        info = result.words.add(word=word.text, punctuation=word.punctuation)
        _set(info.start_offset, word.start_ms)
        _set(info.end_offset, word.end_ms)


def _fill_finished(finished: pb.Finished, reply: CallFinished) -> None:
    delays = {
        "first_package_delay": reply.first_package_delay_seconds,
        "last_package_delay": reply.last_package_delay_seconds,
        "upstream_first_package_delay": reply.upstream_first_package_delay_seconds,
        "upstream_last_package_delay": reply.upstream_last_package_delay_seconds,
    }
    for name, seconds in delays.items():
        if seconds is not None:
            _set(getattr(finished, name), round(seconds * 1000))
    _set(finished.audio_duration, reply.audio_ms)
    _set(finished.injected_silence, reply.silence_ms)
    _set(finished.replayed_audio, 0)
    if reply.billed_ms is not None:
        _set(finished.billed_duration, reply.billed_ms)
    if reply.estimated_cost_cny is not None:
        finished.estimated_cost_cny = reply.estimated_cost_cny
    finished.upstream_request_ids.extend(reply.upstream_request_ids)
    finished.final_results = reply.final_results


def _set(duration: Duration, ms: int) -> None:
    """Fill a time where it stands: a message made apart and copied in costs twice as much, 26 times a result."""
    duration.seconds, duration.nanos = ms // 1000, ms % 1000 * 1_000_000


def models_from(catalogue: Catalogue) -> pb.ListModelsResponse:
    """Return the catalogue as callers read it."""
    return pb.ListModelsResponse(
        models=[_model_from(model) for _, model in sorted(catalogue.models.items())],
        aliases=[pb.ModelAlias(name=name, model=model) for name, model in sorted(catalogue.aliases.items())],
    )


def _model_from(model: Model) -> pb.Model:
    return pb.Model(
        name=model.name,
        backend=model.backend,
        language_codes=model.language_codes,
        sample_rates_hertz=model.sample_rates_hertz,
        features=[
            pb.ModelFeature.Value(f"MODEL_FEATURE_{feature.name}")
            for feature in sorted(model.features, key=lambda feature: feature.value)
        ],
        regions=model.regions,
        price_per_second_cny=model.price_per_second_cny,
        retirement_date=model.retirement_date.isoformat() if model.retirement_date else "",
        endpoint=model.endpoint,
    )
