"""The methods of the service."""

from __future__ import annotations

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.admission.client_identity import identity_of
from asrgateway_server.admission.recognitions import Recognitions
from asrgateway_server.contract.responses import models_from
from asrgateway_server.grpc_api.grpc_stream import GrpcStream, RecognizeContext
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Catalogue


class RecognitionServicer(pb_grpc.SpeechRecognitionServiceServicer):
    """Answers Recognize and ListModels."""

    def __init__(self, catalogue: Catalogue, recognitions: Recognitions, metrics: Metrics) -> None:
        self._catalogue = catalogue
        self._recognitions = recognitions
        self._recognize_metrics = metrics.of_method("Recognize")
        self._list_metrics = metrics.of_method("ListModels")

    async def Recognize(self, request_iterator: object, context: RecognizeContext) -> None:  # type: ignore[override] # noqa: ARG002, N802 gRPC's names; requests are pulled from the context
        """Recognise one stream; raise a GatewayError to end it with another status than OK."""
        stream = GrpcStream(context, pb.RecognizeRequest, self._recognize_metrics)
        try:
            await self._recognitions.run(stream, identity_of(context).id)
        finally:
            stream.count_messages()

    async def ListModels(self, request: pb.ListModelsRequest, context: object) -> pb.ListModelsResponse:  # noqa: ARG002, N802 gRPC's names
        """Return the catalogue."""
        self._list_metrics.received.inc()
        self._list_metrics.sent.inc()
        return models_from(self._catalogue)
