"""The floor: a bare relay with the gateway's messages and none of its care. No gateway in Python can cost much less.

Run as a process of its own: ``python -m benchmarks.floor --target ws://HOST:PORT``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import uuid
from typing import Any

import aiohttp
import grpc
import uvloop
from google.protobuf.duration_pb2 import Duration

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from benchmarks.bare_client import HEADERS, PATH, message, run_task


class Relay(pb_grpc.SpeechRecognitionServiceServicer):
    """Passes on audio and results."""

    def __init__(self, http: aiohttp.ClientSession, target: str) -> None:
        self._http = http
        self._target = target

    async def Recognize(self, request_iterator: object, context: Any) -> None:  # type: ignore[override] # noqa: ARG002, N802 gRPC's names; Any: its context
        """Carry one call."""
        await context.read()
        task_id = uuid.uuid4().hex
        async with self._http.ws_connect(self._target + PATH, headers=HEADERS) as socket:
            await socket.send_str(run_task(task_id))
            await socket.receive_str()
            await context.write(pb.RecognizeResponse(started=pb.Started(call_id=task_id)))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._upwards(context, socket, task_id))
                while (event := json.loads(await socket.receive_str()))["header"]["event"] == "result-generated":
                    await context.write(result(event["payload"]["output"]["sentence"]))

    async def ListModels(self, request: object, context: object) -> pb.ListModelsResponse:  # noqa: ARG002, N802 gRPC's names
        """Know no models."""
        return pb.ListModelsResponse()

    async def _upwards(self, context: Any, socket: aiohttp.ClientWebSocketResponse, task_id: str) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            await socket.send_bytes(request.audio)
        await socket.send_str(message("finish-task", task_id, {"input": {}}))


def result(sentence: dict[str, Any]) -> pb.RecognizeResponse:  # Any: JSON values
    """Return a sentence with its words as the gateway's callers read it."""
    words = [
        pb.WordInfo(
            word=word["text"],
            punctuation=word["punctuation"],
            start_offset=duration(word["begin_time"]),
            end_offset=duration(word["end_time"]),
        )
        for word in sentence["words"]
    ]
    return pb.RecognizeResponse(
        result=pb.RecognitionResult(
            transcript=sentence["text"],
            is_final=sentence["sentence_end"],
            start_offset=duration(sentence["begin_time"]),
            end_offset=words[-1].end_offset,
            words=words,
        )
    )


def duration(ms: int) -> Duration:
    """Return milliseconds as the messages hold them."""
    return Duration(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


async def serve(target: str) -> None:
    """Relay until the process is ended."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        server = grpc.aio.server()
        pb_grpc.add_SpeechRecognitionServiceServicer_to_server(Relay(http, target), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"relay listens on 127.0.0.1:{port}", flush=True)  # noqa: T201 the bench reads it from the pipe
        await server.wait_for_termination()


def main() -> None:
    """Run this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    uvloop.run(serve(parser.parse_args().target))


if __name__ == "__main__":
    main()
