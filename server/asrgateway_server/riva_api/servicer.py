"""The methods of Riva's service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from asrgateway_server.admission.admission import Admission
from asrgateway_server.admission.client_identity import identity_of
from asrgateway_server.errors import GatewayError, UnknownModel
from asrgateway_server.grpc_api.grpc_service import GrpcService
from asrgateway_server.grpc_api.grpc_stream import GrpcStream
from asrgateway_server.metrics import RIVA_METHODS, RIVA_SERVICE
from asrgateway_server.models import Catalogue
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api.fields import riva_field, riva_text
from asrgateway_server.riva_api.model_list import models_from
from asrgateway_server.riva_api.options import RivaOptions
from asrgateway_server.riva_api.recording_stream import RecordingStream
from asrgateway_server.riva_api.riva_stream import Messages, RivaStream
from asrgateway_server.riva_api.sizes import Recording, recording_from, streaming_request_from
from asrgateway_server.riva_api.trailer import Trailer

# Some clients call again at once, without a pause and without end, whatever the error.
_SHORTEST_FAILURE_SECONDS: Final = 1.0

_CONTRACTS_AUDIO: Final = "audio"

# Any: gRPC's contexts of these methods, in which only the messages' types differ.
Context = Any


def riva_service(
    catalogue: Catalogue,
    admission: Admission,
    options: RivaOptions,
    shortest_failure_seconds: float = _SHORTEST_FAILURE_SECONDS,
) -> GrpcService:
    """Return Riva's service for the gRPC port."""
    servicer = RivaServicer(catalogue, admission, options)
    handlers: dict[str, Any] = {  # Any: handlers of any messages
        "StreamingRecognize": grpc.stream_stream_rpc_method_handler(
            servicer.streaming_recognize,
            streaming_request_from,
            asr.StreamingRecognizeResponse.SerializeToString,
        ),
        "Recognize": grpc.unary_unary_rpc_method_handler(
            servicer.recognize,
            recording_from,
            asr.RecognizeResponse.SerializeToString,
        ),
        "GetRivaSpeechRecognitionConfig": grpc.unary_unary_rpc_method_handler(
            servicer.list_models,
            asr.RivaSpeechRecognitionConfigRequest.FromString,
            asr.RivaSpeechRecognitionConfigResponse.SerializeToString,
        ),
    }
    return GrpcService(
        name=RIVA_SERVICE,
        handler=grpc.method_handlers_generic_handler(RIVA_SERVICE, handlers),
        file=asr.DESCRIPTOR,
        shortest_failure_seconds=shortest_failure_seconds,
    )


class RivaServicer:
    """Answers Riva's clients."""

    def __init__(self, catalogue: Catalogue, admission: Admission, options: RivaOptions) -> None:
        self._catalogue = catalogue
        self._recognitions = admission.recognitions
        self._options = options
        self._metrics = {method: admission.metrics.of_method(method, RIVA_SERVICE) for method in RIVA_METHODS}

    async def streaming_recognize(self, _requests: object, context: Context) -> None:
        """Recognise live audio; raise a GatewayError to end the call with another status than OK."""
        trailer = Trailer()
        messages: Messages = GrpcStream(context, asr.StreamingRecognizeRequest, self._metrics["StreamingRecognize"])
        stream = RivaStream(messages, self._options, trailer)
        try:
            with _ending(context, trailer, "audio_content"):
                await self._recognitions.run(
                    stream, identity_of(context).id, config_timeout_seconds=stream.config_timeout_seconds
                )
        finally:
            messages.count_messages()

    async def recognize(self, recording: Recording, context: Context) -> asr.RecognizeResponse:
        """Recognise a recording; raises as ``streaming_recognize`` does."""
        trailer = Trailer()
        self._metrics["Recognize"].received.inc()
        stream = RecordingStream(recording, context.invocation_metadata() or (), self._options, trailer)
        with _ending(context, trailer, "audio"):
            await self._recognitions.run(stream, identity_of(context).id)
        self._metrics["Recognize"].sent.inc()
        return stream.response

    async def list_models(
        self,
        request: asr.RivaSpeechRecognitionConfigRequest,
        context: Context,  # noqa: ARG002 gRPC's signature
    ) -> asr.RivaSpeechRecognitionConfigResponse:
        """Return the catalogue."""
        metrics = self._metrics["GetRivaSpeechRecognitionConfig"]
        metrics.received.inc()
        metrics.sent.inc()
        return models_from(self._catalogue, request.model_name)


@contextmanager
def _ending(context: Context, trailer: Trailer, audio_field: str) -> Iterator[None]:
    """End a call with its trailing metadata, and with an error that has Riva's names."""
    try:
        yield
    except GatewayError as error:
        error.field = audio_field if error.field == _CONTRACTS_AUDIO else riva_field(error.field)
        error.message = riva_text(error.message)
        if isinstance(error, UnknownModel):
            error.message = (
                f"Error: Unavailable model requested given these parameters: {trailer.asked} {error.message}"
            )
        raise
    finally:
        trailer.write_log()
        context.set_trailing_metadata(trailer.metadata())
