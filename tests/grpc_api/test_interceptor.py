"""How the interceptor ends calls: in the process, with a handler and a context of the test's own."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Final

import grpc
import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.admission.peer_calls import PeerCalls
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.grpc_api.interceptor import CallInterceptor
from asrgateway_server.metrics import RIVA_SERVICE, Metrics
from asrgateway_server.tracing import IdOnlyTracer

#: Longer than any test, which cancels the wait.
FOREVER: Final = 3600.0
Method = Callable[[Any, Any], Awaitable[Any]]  # Any: gRPC's requests and contexts of all methods


class Ended(Exception):
    """What gRPC raises once it has ended a call."""


class Context:
    """gRPC's side of a call from one address."""

    def __init__(self) -> None:
        self.codes: list[grpc.StatusCode] = []

    def peer(self) -> str:
        return "ipv4:192.0.2.7:5000"

    def auth_context(self) -> dict[str, object]:
        return {}

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def time_remaining(self) -> None:
        """No deadline."""

    async def abort(self, code: grpc.StatusCode, _message: str, _metadata: object) -> None:
        self.codes.append(code)
        raise Ended


class Audio:
    """What a call holds."""


class Failing:
    """A method that fails.

    Attributes:
        held: What it held when it did.
    """

    def __init__(self) -> None:
        self.held: list[weakref.ref[Audio]] = []

    async def __call__(self, _requests: object, _context: object) -> None:
        audio = Audio()
        self.held.append(weakref.ref(audio))
        raise InvalidRequest("wrong")


@pytest.fixture
def failing() -> Failing:
    return Failing()


async def intercepted(method: Method, *, max_calls: int, seconds: float) -> Method:
    metrics = Metrics(CollectorRegistry())
    interceptor = CallInterceptor(
        metrics, IdOnlyTracer(), 10.0, 10.0, PeerCalls(max_calls, metrics), {RIVA_SERVICE: seconds}
    )

    async def served(_details: object) -> Any:
        return grpc.stream_stream_rpc_method_handler(method)

    details: Any = SimpleNamespace(method=f"/{RIVA_SERVICE}/StreamingRecognize")
    handler: Any = await interceptor.intercept_service(served, details)
    wrapped: Method = handler.stream_stream
    return wrapped


@asynccontextmanager
async def waiting(call: Awaitable[None]) -> AsyncIterator[None]:
    """A call that has gone as far as it can: it waits for nothing but time."""
    task = asyncio.ensure_future(call)
    for _ in range(5):
        await asyncio.sleep(0)
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_failed_call_is_one_of_its_addresss_calls_until_its_client_learns_it(failing: Failing) -> None:
    call = await intercepted(failing, max_calls=1, seconds=FOREVER)
    second = Context()
    async with waiting(call(None, Context())):
        with pytest.raises(Ended):
            await asyncio.wait_for(call(None, second), 10)
    assert second.codes == [grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert len(failing.held) == 1


async def test_a_failed_call_holds_nothing_while_it_waits(failing: Failing) -> None:
    call = await intercepted(failing, max_calls=0, seconds=FOREVER)
    async with waiting(call(None, Context())):
        assert [audio() for audio in failing.held] == [None]


async def test_a_place_is_free_again_once_the_failure_is_told(failing: Failing) -> None:
    call = await intercepted(failing, max_calls=1, seconds=0.0)
    contexts = Context(), Context()
    for context in contexts:
        with pytest.raises(Ended):
            await call(None, context)
    assert [context.codes for context in contexts] == [[grpc.StatusCode.INVALID_ARGUMENT]] * 2
