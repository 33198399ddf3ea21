"""The load generator: callers of a gateway on gRPC, as lean as they can be. Messages are neither built nor parsed.

Run as a process of its own: ``python -m benchmarks.load --target HOST:PORT --streams N …``.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import grpc
import uvloop

from asrgateway.v1 import recognition_pb2 as pb
from benchmarks.driver import DONE, OpenStream, Stream, drive, parse_arguments, plan_from, tell
from benchmarks.workload import MODEL, PACKET, SAMPLE_RATE_HERTZ, Plan

METHOD: Final = "/asrgateway.v1.SpeechRecognitionService/Recognize"
_STREAMS_PER_CONNECTION: Final = 50

_CONFIG: Final = pb.RecognizeRequest(
    streaming_config=pb.StreamingConfig(
        model=MODEL,
        decoding_config=pb.DecodingConfig(sample_rate_hertz=SAMPLE_RATE_HERTZ),
        interim_results=True,
        features=pb.RecognitionFeatures(enable_word_time_offsets=True),
    )
).SerializeToString()
_AUDIO: Final = pb.RecognizeRequest(audio=PACKET).SerializeToString()

# Any: the types of what gRPC neither serialises nor parses here.
OpenCall = Callable[[], Any]


class RawCall:
    """One call whose messages are bytes."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.finish = call.done_writing

    async def send(self, _: bytes) -> None:
        """Send the packet, which was serialised beforehand."""
        await self._call.write(_AUDIO)

    async def read(self) -> bytes | None:
        """Return the next response; None after status OK."""
        message = await self._call.read()
        if isinstance(message, bytes):
            return message
        code = await self._call.code()
        if code is not grpc.StatusCode.OK:
            raise RuntimeError(f"{code.name}: {await self._call.details()}")
        return None


@asynccontextmanager
async def open_call(open_raw: OpenCall) -> AsyncIterator[Stream]:
    """Open a call and wait for `started`."""
    call = open_raw()
    try:
        await call.write(_CONFIG)
        stream = RawCall(call)
        if await stream.read() is None:
            raise RuntimeError("the call ended before it began")
        yield stream
    finally:
        call.cancel()


def calls_on(channel: grpc.aio.Channel) -> OpenCall:
    """Return what opens a call on the connection."""
    return channel.stream_stream(METHOD, request_serializer=None, response_deserializer=None)


async def run(target: str, plan: Plan) -> None:
    """Run the plan on as many connections as it takes."""
    async with AsyncExitStack() as stack:
        openers = [
            calls_on(
                await stack.enter_async_context(
                    grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])
                )
            )
            for _ in range(-(-plan.streams // _STREAMS_PER_CONNECTION))
        ]
        turns = itertools.cycle(openers)
        opening: OpenStream = lambda: open_call(next(turns))  # noqa: E731 one line, and typed
        outcome = await drive(opening, plan)
        tell(DONE, **outcome.to_json())


def main() -> None:
    """Run this process."""
    arguments = parse_arguments()
    uvloop.run(run(arguments.target, plan_from(arguments)))


if __name__ == "__main__":
    main()
