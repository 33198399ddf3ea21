"""Calls of Riva's service as any client sends them, by messages of the gateway's own description."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from asrgateway.ending import Ending
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.metrics import RIVA_SERVICE
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api import common_pb2 as common

#: A call may take so long on a busy machine.
SECONDS = 120.0
#: What a call of either method gets and may be asked for.
Metadata = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RivaOutcome:
    """What a client saw.

    Attributes:
        responses: In their order.
        code: The call's status.
        message: Its details.
        trailing: The call's trailing metadata; texts only.
    """

    responses: tuple[asr.StreamingRecognizeResponse, ...]
    code: grpc.StatusCode
    message: str
    trailing: dict[str, list[str]]

    @property
    def results(self) -> list[asr.StreamingRecognitionResult]:
        return [result for response in self.responses for result in response.results]

    @property
    def finals(self) -> list[str]:
        return [result.alternatives[0].transcript for result in self.results if result.is_final]

    @property
    def text(self) -> str:
        """What a client shows that joins the texts."""
        return "".join(self.finals)


def recognition(**fields: object) -> asr.RecognitionConfig:
    """A config for 16 kHz mono samples, or what the fields say in their place."""
    values = {"encoding": common.LINEAR_PCM, "sample_rate_hertz": 16_000, "audio_channel_count": 1} | fields
    return asr.RecognitionConfig(**values)  # type: ignore[arg-type] # any field


def config(*, interim_results: bool = False, request_id: str = "", **fields: object) -> asr.StreamingRecognizeRequest:
    """A first request."""
    wanted = asr.StreamingRecognitionConfig(config=recognition(**fields), interim_results=interim_results)
    request = asr.StreamingRecognizeRequest(streaming_config=wanted)
    if request_id:
        request.id.value = request_id
    return request


def in_messages(data: bytes, size: int = 3200) -> list[asr.StreamingRecognizeRequest]:
    return [
        asr.StreamingRecognizeRequest(audio_content=data[start : start + size]) for start in range(0, len(data), size)
    ]


def forced_end(audio: bytes = b"") -> asr.StreamingRecognizeRequest:
    """A message that ends the utterance."""
    return asr.StreamingRecognizeRequest(audio_content=audio, runtime_config={"force_eou": "true"})


# Any: gRPC gives calls of methods that it has no stub for no narrower type.
def method(channel: grpc.aio.Channel, name: str, request: Any, response: Any, *, is_streaming: bool = False) -> Any:
    """What calls a method of the service."""
    make: Any = channel.stream_stream if is_streaming else channel.unary_unary
    return make(
        f"/{RIVA_SERVICE}/{name}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )


def streaming_method(channel: grpc.aio.Channel) -> Any:
    """What calls StreamingRecognize."""
    request, response = asr.StreamingRecognizeRequest, asr.StreamingRecognizeResponse
    return method(channel, "StreamingRecognize", request, response, is_streaming=True)


async def stream(
    gateway: Gateway, requests: Iterable[asr.StreamingRecognizeRequest], metadata: Metadata = ()
) -> RivaOutcome:
    """Send every request, half-close, and read to the end."""
    async with grpc.aio.insecure_channel(str(gateway.address)) as channel:
        return await outcome_of(streaming_method(channel)(iter(requests), metadata=metadata, timeout=SECONDS))


async def outcome_of(call: Any) -> RivaOutcome:
    """Read a call to its end."""
    ending = Ending(call)
    responses = []
    while isinstance(response := await _read(call), asr.StreamingRecognizeResponse):
        responses.append(response)
    trailing: defaultdict[str, list[str]] = defaultdict(list)
    status = grpc.aio.AioRpcError(
        await call.code(), grpc.aio.Metadata(), await call.trailing_metadata(), details=await call.details()
    )
    status = await ending.instead_of(status)
    for name, value in status.trailing_metadata() or ():
        if isinstance(value, str):
            trailing[name].append(value)
    return RivaOutcome(
        responses=tuple(responses), code=status.code(), message=status.details() or "", trailing=dict(trailing)
    )


async def _read(call: Any) -> object:
    try:
        return await call.read()
    except grpc.aio.AioRpcError:
        return None


async def recognize(gateway: Gateway, request: asr.RecognizeRequest, metadata: Metadata = ()) -> asr.RecognizeResponse:
    """Have a recording recognised; raise AioRpcError if it is not."""
    async with grpc.aio.insecure_channel(str(gateway.address)) as channel:
        call = method(channel, "Recognize", asr.RecognizeRequest, asr.RecognizeResponse)
        response: asr.RecognizeResponse = await call(request, metadata=metadata, timeout=SECONDS)
        return response


async def list_models(gateway: Gateway, name: str = "", metadata: Metadata = ()) -> list[str]:
    """The names that the list of models has."""
    async with grpc.aio.insecure_channel(str(gateway.address)) as channel:
        request, response = asr.RivaSpeechRecognitionConfigRequest, asr.RivaSpeechRecognitionConfigResponse
        call = method(channel, "GetRivaSpeechRecognitionConfig", request, response)
        wanted = asr.RivaSpeechRecognitionConfigRequest(model_name=name)
        listed = await call(wanted, metadata=metadata, timeout=SECONDS)
        return sorted({entry.model_name for entry in listed.model_config})
