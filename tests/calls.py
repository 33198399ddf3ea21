"""Requests as a caller sends them, and a whole call with its outcome."""

from __future__ import annotations

import asyncio
import random
import wave
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import Metadata

from asrgateway.ending import Ending
from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT / "clients" / "recordings"
#: Recordings of people that the project does not ship.
REAL_RECORDINGS = ROOT.parent / "shared" / "audio"

MESSAGE_BYTES = 3200


def config(**values: object) -> pb.RecognizeRequest:
    """A first request for 16 kHz mono audio, or what ``decoding_config`` says in its place."""
    values.setdefault("decoding_config", pb.DecodingConfig(sample_rate_hertz=16_000))
    return pb.RecognizeRequest(streaming_config=pb.StreamingConfig(**values))  # type: ignore[arg-type] # any field


def audio(data: bytes) -> pb.RecognizeRequest:
    return pb.RecognizeRequest(audio=data)


def commit() -> pb.RecognizeRequest:
    return pb.RecognizeRequest(commit=pb.Commit())


def pcm(path: Path) -> bytes:
    """The samples of a WAV file."""
    with wave.open(str(path)) as recording:
        return bytes(recording.readframes(recording.getnframes()))


def in_messages(data: bytes, size: int = MESSAGE_BYTES) -> list[pb.RecognizeRequest]:
    return [audio(data[start : start + size]) for start in range(0, len(data), size)]


def interleaved(*channels: bytes) -> bytes:
    """The samples of mono audio as those of one with so many channels."""
    samples = zip(*(array("h", one) for one in channels), strict=True)
    return array("h", chain.from_iterable(samples)).tobytes()


def cut_at_random(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Pieces of 1 byte to 1 MB, small ones as likely as large ones."""
    position = 0
    while position < len(data):
        size = int(10 ** rng.uniform(0, 6))
        yield data[position : position + size]
        position += size


def silence(seconds: float) -> bytes:
    return bytes(round(16_000 * seconds) * 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a caller saw."""

    responses: tuple[pb.RecognizeResponse, ...]
    code: grpc.StatusCode
    message: str
    reason: str
    field: str
    retry_seconds: float | None
    upstream_code: str
    upstream_request_id: str

    @property
    def kinds(self) -> list[str]:
        """What each response carried, runs of the same kind once, without cursors: a busy machine is quiet for long."""
        kinds = [kind for response in self.responses if (kind := response.WhichOneof("response"))]
        return [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]

    @property
    def results(self) -> list[pb.RecognitionResult]:
        return [response.result for response in self.responses if response.HasField("result")]

    @property
    def finals(self) -> list[pb.RecognitionResult]:
        return [result for result in self.results if result.is_final]

    @property
    def texts(self) -> list[str]:
        return [result.transcript for result in self.finals]

    @property
    def finished(self) -> pb.Finished:
        return self.responses[-1].finished


#: Both exist for type checkers only.
Stub: TypeAlias = "pb_grpc.SpeechRecognitionServiceAsyncStub"
RecognizeCall: TypeAlias = "grpc.aio.StreamStreamCall[pb.RecognizeRequest, pb.RecognizeResponse]"


async def recognize(
    stub: Stub,
    requests: Iterable[pb.RecognizeRequest] | AsyncIterator[pb.RecognizeRequest],
    *,
    timeout: float = 120.0,  # noqa: ASYNC109 the call's own deadline; a busy machine recognises slowly
    metadata: Metadata | None = None,
) -> Outcome:
    """Send every request, half-close, and read to the end."""
    pulled = requests if isinstance(requests, AsyncIterator) else iter(requests)
    call = stub.Recognize(pulled, timeout=timeout, metadata=metadata)
    # Not read(): after a failed write it leaves responses, and then no status comes.
    responses = aiter(call)
    return await outcome_of(call, lambda: anext(responses, None))


async def outcome_of(call: RecognizeCall, read: Callable[[], Awaitable[object]] | None = None) -> Outcome:
    """Read a call to its end."""
    ending, read = Ending(call), read or call.read
    responses = []
    status = grpc.aio.AioRpcError(grpc.StatusCode.OK, Metadata(), Metadata())
    try:
        while isinstance(response := await read(), pb.RecognizeResponse):
            responses.append(response)
        if await call.code() is not grpc.StatusCode.OK:
            status = await ending.instead_of(await _status_of(call))
    except grpc.aio.AioRpcError as error:
        status = await ending.instead_of(error)
    except asyncio.CancelledError:
        status = await _status_of(call)
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for key, value in status.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                for message_type in (info, bad, retry):
                    detail.Unpack(message_type)
    return Outcome(
        responses=tuple(responses),
        code=status.code(),
        message=status.details() or "",
        reason=info.reason,
        field=bad.field_violations[0].field if bad.field_violations else "",
        upstream_code=info.metadata["upstream_code"],
        upstream_request_id=info.metadata["upstream_request_id"],
        retry_seconds=retry.retry_delay.ToMilliseconds() / 1000 if retry.HasField("retry_delay") else None,
    )


async def _status_of(call: RecognizeCall) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        await call.code(), Metadata(), trailing_metadata=await call.trailing_metadata(), details=await call.details()
    )
