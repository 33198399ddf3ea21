"""The load generator: callers of a gateway on gRPC, as lean as they can be. Messages are neither built nor parsed.

Run as a process of its own: ``python -m benchmarks.load --target HOST:PORT --streams N …``.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import uvloop

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.riva_api import asr_pb2 as asr
from benchmarks.driver import DONE, OpenStream, Stream, drive, parse_arguments, plan_from, tell
from benchmarks.opus import opus_pages
from benchmarks.workload import MODEL, PACKET, QWEN3_MODEL, SAMPLE_RATE_HERTZ, Plan

METHOD: Final = "/asrgateway.v1.SpeechRecognitionService/Recognize"
RIVA_METHOD: Final = "/nvidia.riva.asr.RivaSpeechRecognition/StreamingRecognize"
RIVA: Final = "riva"
_STREAMS_PER_CONNECTION: Final = 50


def config_for(model: str, encoding: str = "linear16") -> bytes:
    """Return the config of a call; it asks for the times of words where the model knows them."""
    is_opus = encoding == "opus"
    return pb.RecognizeRequest(
        streaming_config=pb.StreamingConfig(
            model=model,
            decoding_config=pb.DecodingConfig(encoding=pb.AUDIO_ENCODING_OGG_OPUS)
            if is_opus
            else pb.DecodingConfig(sample_rate_hertz=SAMPLE_RATE_HERTZ),
            interim_results=True,
            features=pb.RecognitionFeatures(enable_word_time_offsets=model != QWEN3_MODEL),
        )
    ).SerializeToString()


def riva_config_for(model: str) -> bytes:
    """Return the same as Riva's clients send it."""
    config = asr.RecognitionConfig(
        model=model, sample_rate_hertz=SAMPLE_RATE_HERTZ, enable_word_time_offsets=model != QWEN3_MODEL
    )
    return asr.StreamingRecognizeRequest(
        streaming_config=asr.StreamingRecognitionConfig(config=config, interim_results=True)
    ).SerializeToString()


_CONFIG: Final = config_for(MODEL)
#: The audio of both services' messages has the same number.
_PACKETS: Final = itertools.repeat(pb.RecognizeRequest(audio=PACKET).SerializeToString())
# Three minutes: more than the bench sends.
_OPUS_PACKETS: Final = 1_800

# Any: the types of what gRPC neither serialises nor parses here.
OpenCall = Callable[[], Any]


class RawCall:
    """One call whose messages are bytes.

    Args:
        call: The call.
        packets: Its audio, serialised.
    """

    def __init__(self, call: Any, packets: Iterable[bytes]) -> None:
        self._call = call
        self._packets = iter(packets)
        self.finish = call.done_writing

    async def send(self, _: bytes) -> None:
        """Send the packet, which was serialised beforehand."""
        await self._call.write(next(self._packets))

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
async def open_call(
    open_raw: OpenCall, config: bytes = _CONFIG, packets: Iterable[bytes] = _PACKETS, *, is_riva: bool = False
) -> AsyncIterator[Stream]:
    """Open a call and wait for `started`; one of Riva's service, which says nothing before its audio, is admitted."""
    call = open_raw()
    try:
        await call.write(config)
        stream = RawCall(call, packets)
        if is_riva:
            await call.initial_metadata()
        elif await stream.read() is None:
            raise RuntimeError("the call ended before it began")
        yield stream
    finally:
        call.cancel()


def calls_on(channel: grpc.aio.Channel, method: str = METHOD) -> OpenCall:
    """Return what opens a call on the connection."""
    return channel.stream_stream(method, request_serializer=None, response_deserializer=None)


def connect(target: str, trusted: bytes | None) -> grpc.aio.Channel:
    """Return a connection of its own, with TLS if there is a certificate to trust."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    if trusted is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(trusted), options=options)


async def run(target: str, plan: Plan, model: str, encoding: str, trusted: bytes | None, *, is_riva: bool) -> None:
    """Run the plan on as many connections as it takes."""
    method = RIVA_METHOD if is_riva else METHOD
    config = riva_config_for(model) if is_riva else config_for(model, encoding)
    packets = _packets(encoding)
    async with AsyncExitStack() as stack:
        openers = [
            calls_on(await stack.enter_async_context(connect(target, trusted)), method)
            for _ in range(-(-plan.streams // _STREAMS_PER_CONNECTION))
        ]
        turns = itertools.cycle(openers)
        opening: OpenStream = lambda: open_call(next(turns), config, packets, is_riva=is_riva)  # noqa: E731 one line, and typed
        outcome = await drive(opening, plan)
        tell(DONE, **outcome.to_json())


def _packets(encoding: str) -> Iterable[bytes]:
    if encoding != "opus":
        return _PACKETS
    return [pb.RecognizeRequest(audio=page).SerializeToString() for page in opus_pages(_OPUS_PACKETS)]


def main() -> None:
    """Run this process."""
    arguments = parse_arguments(model=MODEL, ca_file="", encoding="linear16", service="")
    trusted = Path(arguments.ca_file).read_bytes() if arguments.ca_file else None
    is_riva = arguments.service == RIVA
    plan = plan_from(arguments)
    uvloop.run(run(arguments.target, plan, arguments.model, arguments.encoding, trusted, is_riva=is_riva))


if __name__ == "__main__":
    main()
