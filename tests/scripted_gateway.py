"""A gateway that answers by a script, and the responses that scripts are made of."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from asrgateway.v1.recognition_pb2 import (
    Finished,
    ListModelsRequest,
    ListModelsResponse,
    RecognitionResult,
    RecognizeRequest,
    RecognizeResponse,
    Started,
)
from asrgateway.v1.recognition_pb2_grpc import (
    SpeechRecognitionServiceServicer,
    add_SpeechRecognitionServiceServicer_to_server,
)

Context = grpc.aio.ServicerContext[RecognizeRequest, RecognizeResponse]


#: The response header with which a gateway takes a call.
TAKEN: Final = (("asr-call-id", "c1"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a call ends when it does not end well."""

    code: grpc.StatusCode
    message: str
    trailing_metadata: Sequence[tuple[str, str | bytes]] = ()


@dataclass(slots=True, kw_only=True)
class Script:
    """What the gateway does, and what it met.

    Attributes:
        greeting: Sent as soon as the configuration is there.
        hears_bytes: How much audio it waits for after the greeting.
        answer: Sent then.
        is_deaf: It reads nothing after that, so that the client's messages have to wait.
        failure: Ends the call then.
        going_away: Sent after the half-close.
        has_no_end: Wait after the half-close too; a cancelled call looks half-closed at first.
        models: The answer to ListModels; None: the failure.
        received: Every request.
        metadata: Of the last call.
        is_greeted: The greeting is sent.
        is_over: The handler has ended, well or not.
        is_cancelled: It ended because the client cancelled.
    """

    greeting: Sequence[RecognizeResponse] = ()
    hears_bytes: int = 0
    answer: Sequence[RecognizeResponse] = ()
    is_deaf: bool = False
    going_away: Sequence[RecognizeResponse] = ()
    failure: Failure | None = None
    has_no_end: bool = False
    models: ListModelsResponse | None = None
    received: list[RecognizeRequest] = field(default_factory=list)
    metadata: dict[str, str | bytes] = field(default_factory=dict)
    is_greeted: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    is_cancelled: bool = False

    @property
    def audio(self) -> bytes:
        return b"".join(request.audio for request in self.received)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway."""

    target: str
    script: Script


class ScriptedServicer(SpeechRecognitionServiceServicer):
    """Answers each call by the next script; the last one serves all calls that follow."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)

    async def Recognize(  # type: ignore[override]  # noqa: N802 - a coroutine that writes by itself
        self, request_iterator: AsyncIterator[RecognizeRequest], context: Context
    ) -> None:
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            await self._run(script, request_iterator, context)
        except asyncio.CancelledError:
            script.is_cancelled = True
            raise
        finally:
            script.is_over.set()

    async def _run(self, script: Script, requests: AsyncIterator[RecognizeRequest], context: Context) -> None:
        script.metadata = dict(context.invocation_metadata() or ())
        await context.send_initial_metadata(TAKEN)
        script.received.append(await anext(requests))
        for response in script.greeting:
            await context.write(response)
        script.is_greeted.set()
        while len(script.audio) < script.hears_bytes:
            script.received.append(await anext(requests))
        for response in script.answer:
            await context.write(response)
        if script.failure is not None:
            await abort(context, script.failure)
        if script.is_deaf:
            await asyncio.Event().wait()
        async for request in requests:
            script.received.append(request)
        if script.has_no_end:
            await asyncio.Event().wait()
        for response in script.going_away:
            await context.write(response)

    async def ListModels(self, request: ListModelsRequest, context: Any) -> ListModelsResponse:  # noqa: ARG002, N802
        # Any: the generated base class has its own idea of the context.
        script = self._scripts[0]
        script.metadata = dict(context.invocation_metadata() or ())
        if script.failure is not None:
            await abort(context, script.failure)
        return script.models or ListModelsResponse()


@asynccontextmanager
async def running_scripts(*scripts: Script) -> AsyncIterator[str]:
    """Run a gateway that answers each call by the next script; yields its target."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    add_SpeechRecognitionServiceServicer_to_server(ScriptedServicer(*scripts), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def abort(context: Context, failure: Failure) -> None:
    await context.abort(failure.code, failure.message, tuple(failure.trailing_metadata))


def started() -> RecognizeResponse:
    return RecognizeResponse(started=Started(call_id="c1", model="embedded"))


def interim(text: str) -> RecognizeResponse:
    return RecognizeResponse(result=RecognitionResult(transcript=text, unstable=text, revision=1))


def final(text: str, index: int = 0) -> RecognizeResponse:
    result = RecognitionResult(result_index=index, is_final=True, transcript=text, committed=text)
    result.end_offset.FromMilliseconds(1200)
    return RecognizeResponse(result=result)


def finished(**delays_ms: int) -> RecognizeResponse:
    message = Finished()
    for name, milliseconds in delays_ms.items():
        getattr(message, name).FromMilliseconds(milliseconds)
    return RecognizeResponse(finished=message)
