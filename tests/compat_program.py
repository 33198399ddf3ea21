"""What `make compat` lets the Python client do on each set of libraries; there is neither pytest nor the gateway."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from importlib.metadata import version

import grpc

import asrgateway.sync
from asrgateway import RecognitionClient, RecognitionError
from asrgateway.v1 import recognition_pb2 as pb
from counting_gateway import Counting, serving

_SECONDS = 20


def one_message_there_and_back() -> None:
    request = pb.RecognizeRequest(
        streaming_config=pb.StreamingConfig(
            model="embedded",
            decoding_config=pb.DecodingConfig(encoding=pb.AudioEncoding.AUDIO_ENCODING_WAV, sample_rate_hertz=16000),
            adaptation=pb.SpeechAdaptation(hotwords=[pb.Hotword(text="gRPC", weight=4)]),
        )
    )
    request.streaming_config.resume.audio_offset.FromMilliseconds(1200)
    request.streaming_config.vendor_parameters.update({"heartbeat": True})
    again = pb.RecognizeRequest.FromString(request.SerializeToString())
    assert again == request
    assert again.WhichOneof("request") == "streaming_config"


async def calls_that_are_refused_twice() -> None:
    for with_client in (_with_asyncio, _with_threads):
        unavailable = grpc.StatusCode.UNAVAILABLE
        gateway = Counting(unavailable, unavailable, error=grpc.StatusCode.NOT_FOUND)
        async with serving(gateway) as target:
            assert await _code_of(with_client(target)) is grpc.StatusCode.NOT_FOUND
        assert gateway.calls == 3


async def a_client_that_is_closed_while_it_connects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        client = RecognitionClient(f"127.0.0.1:{listener.getsockname()[1]}")
        running = asyncio.create_task(_receive_all(client))
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        with connection:
            await client.close()
            assert await _code_of(running) is grpc.StatusCode.CANCELLED


async def _with_asyncio(target: str) -> None:
    async with RecognitionClient(target) as client:
        await _receive_all(client)


async def _receive_all(client: RecognitionClient) -> None:
    async for _ in client.recognize(pb.StreamingConfig(), [b"audio"]):
        pass


async def _with_threads(target: str) -> None:
    with asrgateway.sync.RecognitionClient(target) as client:
        await asyncio.to_thread(list, client.recognize(pb.StreamingConfig(), [b"audio"]))


async def _code_of(call: Awaitable[None]) -> grpc.StatusCode:
    try:
        async with asyncio.timeout(_SECONDS):
            await call
    except RecognitionError as error:
        return error.code
    return grpc.StatusCode.OK


if __name__ == "__main__":
    one_message_there_and_back()
    asyncio.run(calls_that_are_refused_twice())
    asyncio.run(a_client_that_is_closed_while_it_connects())
    print(f"grpcio {version('grpcio')}, protobuf {version('protobuf')}", end="")  # noqa: T201 what `make compat` shows
