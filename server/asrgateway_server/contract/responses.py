"""Responses to protobuf messages."""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence, Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.call.responses import (
    CallFinished,
    ChannelFailed,
    Cursor,
    GoingAway,
    OfChannel,
    Response,
    Result,
    Started,
    StreamEvent,
)
from asrgateway_server.contract.requests import CONFIG_FIELD
from asrgateway_server.contract.status import code_of
from asrgateway_server.errors import GatewayError
from asrgateway_server.events import CommitEmpty, OptionWarning, SpeechEnded, SpeechStarted, UpdateApplied
from asrgateway_server.models import Catalogue, Model

_ANSWERS: Final[Mapping[type, tuple[pb.StreamEventType.ValueType, str]]] = {
    CommitEmpty: (pb.STREAM_EVENT_TYPE_COMMIT_EMPTY, "no utterance was open"),
    UpdateApplied: (pb.STREAM_EVENT_TYPE_UPDATE_APPLIED, "the new adaptation holds for the audio that follows"),
}

_BOUNDARIES: Final[Mapping[type, pb.SpeechEventType.ValueType]] = {
    SpeechStarted: pb.SPEECH_EVENT_TYPE_BEGIN,
    SpeechEnded: pb.SPEECH_EVENT_TYPE_END,
}


def response_from(response: Response | None, cursor: Cursor, call_id: str) -> pb.RecognizeResponse:
    """Return the message for a response; for None one with only the cursor."""
    message = pb.RecognizeResponse()
    _set(message.cursor.received, cursor.received_ms)
    _set(message.cursor.sent_upstream, cursor.sent_ms)
    _set(message.cursor.finalized, cursor.final_ms)
    _set(message.cursor.injected_silence, cursor.silence_ms)
    for final_ms in cursor.channel_final_ms:
        _set(message.cursor.channel_finalized.add(), final_ms)
    if isinstance(response, OfChannel):
        _fill(message, response.response, call_id)
        getattr(message, message.WhichOneof("response") or "").channel = response.channel
    else:
        _fill(message, response, call_id)
    return message


def _fill(message: pb.RecognizeResponse, response: Response | None, call_id: str) -> None:
    match response:
        case Result():
            _fill_result(message.result, response)
        case SpeechStarted() | SpeechEnded():
            message.speech_event.event_type = _BOUNDARIES[type(response)]
            _set(message.speech_event.offset, response.offset_ms)
        case CommitEmpty() | UpdateApplied():
            message.stream_event.event_type, message.stream_event.reason = _ANSWERS[type(response)]
        case ChannelFailed():
            _fill_channel_failed(message.stream_event, response)
        case StreamEvent():
            _fill_stream_event(message.stream_event, response)
        case OptionWarning():
            message.warning.CopyFrom(
                pb.Warning(
                    code=pb.WarningCode.Value(f"WARNING_CODE_{response.code.name}"),
                    message=response.message,
                    field=response.field,
                )
            )
        case GoingAway():
            _set(message.going_away.deadline, response.left_ms)
        case Started():
            _fill_started(message.started, response, call_id)
        case CallFinished():
            _fill_finished(message.finished, response)


def _fill_stream_event(event: pb.StreamEvent, response: StreamEvent) -> None:
    event.event_type = pb.StreamEventType.Value(f"STREAM_EVENT_TYPE_{response.type.name}")
    event.reason = response.reason
    _set(event.start_offset, response.start_ms)
    _set(event.end_offset, response.end_ms)
    event.from_model, event.to_model = response.from_model, response.to_model
    _add_downgrades(event.downgrades, response.downgrades)


def _fill_channel_failed(event: pb.StreamEvent, response: ChannelFailed) -> None:
    event.event_type, event.reason = pb.STREAM_EVENT_TYPE_CHANNEL_FAILED, response.error.message
    _set(event.start_offset, response.start_ms)
    event.error.CopyFrom(_channel_error(response.error))


def _fill_started(started: pb.Started, response: Started, call_id: str) -> None:
    started.call_id = call_id
    started.model = response.model.name
    started.region = next(iter(response.model.regions), "")
    started.upstream_request_id = response.upstream_request_id
    started.sample_rate_hertz = response.sample_rate_hertz
    _add_downgrades(started.downgrades, response.downgrades)


def _add_downgrades(downgrades: MutableSequence[pb.Downgrade], warnings: Sequence[OptionWarning]) -> None:
    for warning in warnings:
        field = warning.field.removeprefix(f"{CONFIG_FIELD}.")
        downgrades.append(pb.Downgrade(field=field, message=warning.message))


def _fill_result(result: pb.RecognitionResult, response: Result) -> None:
    result.result_index = response.index
    result.revision = response.revision
    result.is_final = response.is_final
    result.transcript = response.text
    result.committed = response.committed
    result.unstable = response.text[len(response.committed) :]
    result.forced = response.is_forced
    result.language_code = response.language_code
    if response.stability is not None:
        result.stability = response.stability
    if response.start_ms is not None:
        _set(result.start_offset, response.start_ms)
    if response.end_ms is not None:
        _set(result.end_offset, response.end_ms)
    if response.emotion is not None:
        result.emotion.label = response.emotion.label
        if response.emotion.confidence is not None:
            result.emotion.confidence = response.emotion.confidence
    for word in response.words:
        info = result.words.add(word=word.text, punctuation=word.punctuation)
        _set(info.start_offset, word.start_ms)
        _set(info.end_offset, word.end_ms)


def _channel_error(error: GatewayError) -> pb.ChannelError:
    return pb.ChannelError(code=code_of(error).value[0], reason=error.reason, message=error.message)


def _fill_finished(finished: pb.Finished, response: CallFinished) -> None:
    delays = {
        "first_package_delay": response.first_package_delay_seconds,
        "last_package_delay": response.last_package_delay_seconds,
        "upstream_first_package_delay": response.upstream_first_package_delay_seconds,
        "upstream_last_package_delay": response.upstream_last_package_delay_seconds,
    }
    for name, seconds in delays.items():
        if seconds is not None:
            _set(getattr(finished, name), round(seconds * 1000))
    _fill_amounts(finished, response)
    for channel in response.channels:
        summary = finished.channels.add()
        _fill_amounts(summary, channel)
        if channel.error:
            summary.error.CopyFrom(_channel_error(channel.error))


def _fill_amounts(finished: pb.Finished | pb.ChannelSummary, response: CallFinished) -> None:
    _set(finished.audio_duration, response.audio_ms)
    _set(finished.injected_silence, response.silence_ms)
    _set(finished.replayed_audio, response.replayed_ms)
    finished.reconnects = response.reconnects
    if response.billed_ms is not None:
        _set(finished.billed_duration, response.billed_ms)
    if response.estimated_cost_cny is not None:
        finished.estimated_cost_cny = response.estimated_cost_cny
    finished.upstream_request_ids.extend(response.upstream_request_ids)
    finished.final_results = response.final_results


def _set(duration: Duration, ms: int) -> None:
    """Fill a time in place: making a message and copying it takes twice as long, and a result has 26 times."""
    duration.seconds, duration.nanos = ms // 1000, ms % 1000 * 1_000_000


def models_from(catalogue: Catalogue) -> pb.ListModelsResponse:
    """Return the catalogue as a response to clients."""
    return pb.ListModelsResponse(
        models=[_model_from(model) for _, model in sorted(catalogue.models.items())],
        aliases=[
            pb.ModelAlias(name=name, model=models[0], models=models)
            for name, models in sorted(catalogue.aliases.items())
        ],
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
