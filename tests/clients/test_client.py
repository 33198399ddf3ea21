"""The client for asyncio against a gateway on loopback."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from itertools import repeat

import grpc
import pytest

from asrgateway import (
    Commit,
    ConfigUpdate,
    ListModelsResponse,
    Model,
    RecognitionClient,
    RecognitionError,
    StreamingConfig,
)
from asrgateway.v1.recognition_pb2 import RecognizeRequest, RecognizeResponse
from deaf_gateway import WINDOW_BYTES, losing_gateway
from gateways import eventually
from scripted_gateway import Failure, Gateway, final, finished, interim, started


class MicrophoneError(Exception):
    pass


async def endless() -> AsyncIterator[bytes]:
    yield b"audio"
    await asyncio.Event().wait()


async def failing() -> AsyncIterator[bytes]:
    yield b"audio"
    raise MicrophoneError("unplugged")


class Unplugged:
    """Fails before it yields anything."""

    def __iter__(self) -> Iterator[bytes]:
        raise MicrophoneError("never plugged in")


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[RecognitionClient]:
    async with RecognitionClient(gateway.target, metadata=[("authorization", "Bearer k")]) as client:
        yield client


async def collect(responses: AsyncIterator[RecognizeResponse]) -> list[RecognizeResponse]:
    return [response async for response in responses]


def send_tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "send audio"]


async def test_responses_arrive_in_order(gateway: Gateway, client: RecognitionClient, config: StreamingConfig) -> None:
    gateway.script.greeting = [started(), interim("hel"), interim("hello")]
    gateway.script.going_away = [final("hello"), finished()]
    responses = await collect(client.recognize(config, [b"audio"]))
    assert responses == [started(), interim("hel"), interim("hello"), final("hello"), finished()]


async def test_the_configuration_goes_first_then_every_item_in_order(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    await collect(client.recognize(config, [b"a", Commit(), ConfigUpdate(), b"b"]))
    assert gateway.script.received == [
        RecognizeRequest(streaming_config=config),
        RecognizeRequest(audio=b"a"),
        RecognizeRequest(commit=Commit()),
        RecognizeRequest(update=ConfigUpdate()),
        RecognizeRequest(audio=b"b"),
    ]


async def test_audio_of_any_size_arrives_whole(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    audio = bytes(range(256)) * 20_000
    await collect(client.recognize(config, [audio]))
    assert gateway.script.audio == audio


async def test_metadata_goes_with_every_call(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    await collect(client.recognize(config, []))
    assert gateway.script.metadata["authorization"] == "Bearer k"
    gateway.script.metadata.clear()
    await client.list_models()
    assert gateway.script.metadata["authorization"] == "Bearer k"


async def test_results_come_while_audio_is_still_being_sent(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    gateway.script.greeting = [interim("hel")]
    async with aclosing(client.recognize(config, endless())) as responses:
        assert await anext(responses) == interim("hel")


async def test_responses_before_a_failure_are_not_lost(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    gateway.script.greeting = [final("one", index) for index in range(50)]
    gateway.script.failure = Failure(code=grpc.StatusCode.UNAVAILABLE, message="lost")
    responses = client.recognize(config, endless())
    assert [await anext(responses) for _ in range(50)] == gateway.script.greeting
    with pytest.raises(RecognitionError, match="UNAVAILABLE: lost"):
        await anext(responses)
    assert not send_tasks()


async def test_a_failure_while_audio_is_being_written_keeps_its_status_and_what_came_before(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    """grpc.aio loses what came before, when a write fails (grpc issue 36066)."""
    gateway.script.greeting = [final("one"), final("two", 1)]
    gateway.script.failure = Failure(code=grpc.StatusCode.UNAVAILABLE, message="lost")
    responses = client.recognize(config, repeat(bytes(100)))
    assert await anext(responses) == final("one")
    await eventually(lambda: not send_tasks())
    assert await anext(responses) == final("two", 1)
    with pytest.raises(RecognitionError, match="UNAVAILABLE: lost"):
        await anext(responses)


async def test_a_connection_that_is_lost_while_audio_is_on_its_way_is_unavailable(config: StreamingConfig) -> None:
    """grpc.aio shows an error of its own first (grpc issue 36066), in three of five calls."""
    for _ in range(5):
        async with losing_gateway() as deaf, RecognitionClient(deaf.target) as client:
            with pytest.raises(RecognitionError, match="UNAVAILABLE"):
                await collect(client.recognize(config, [bytes(2 * WINDOW_BYTES)]))


async def test_an_exception_of_the_audio_cancels_the_call_and_is_raised_again(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    gateway.script.has_no_end = True
    with pytest.raises(MicrophoneError, match="unplugged"):
        await collect(client.recognize(config, failing()))
    await gateway.script.is_over.wait()
    assert gateway.script.is_cancelled
    assert not send_tasks()


async def test_an_exception_before_the_first_audio_is_raised_again(
    client: RecognitionClient, config: StreamingConfig
) -> None:
    with pytest.raises(MicrophoneError, match="never plugged in"):
        await collect(client.recognize(config, Unplugged()))


async def test_a_wrong_item_is_a_type_error(client: RecognitionClient, config: StreamingConfig) -> None:
    with pytest.raises(TypeError, match="not str"):
        await collect(client.recognize(config, ["text"]))  # type: ignore[list-item]  # the mistake in question


async def test_closing_the_iteration_cancels_the_call(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    gateway.script.has_no_end = True
    gateway.script.greeting = [started()]
    responses = client.recognize(config, endless())
    await anext(responses)
    await responses.aclose()
    assert not send_tasks()
    await gateway.script.is_over.wait()
    assert gateway.script.is_cancelled


async def test_abandoning_the_iteration_cancels_the_call(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    gateway.script.has_no_end = True
    gateway.script.greeting = [started()]
    async for _ in client.recognize(config, endless()):
        break
    await gateway.script.is_over.wait()
    assert gateway.script.is_cancelled
    assert not send_tasks()


async def test_cancelling_the_task_cancels_the_call(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    gateway.script.has_no_end = True
    task = asyncio.create_task(collect(client.recognize(config, endless())))
    await gateway.script.is_greeted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gateway.script.is_over.wait()
    assert gateway.script.is_cancelled
    assert not send_tasks()


async def test_closing_the_client_ends_its_calls_with_an_error_not_a_cancellation(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    task = asyncio.create_task(collect(client.recognize(config, endless())))
    await gateway.script.is_greeted.wait()
    await client.close()
    with pytest.raises(RecognitionError, match="CANCELLED: the client was closed"):
        await task


async def test_the_audio_is_left_open_for_a_next_call(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    gateway.script.greeting = [started()]
    audio = endless()
    async for _ in client.recognize(config, audio):
        break
    await gateway.script.is_over.wait()
    await audio.aclose()  # type: ignore[attr-defined]  # a generator that is annotated as an iterator


async def test_a_deadline_is_an_error(gateway: Gateway, client: RecognitionClient, config: StreamingConfig) -> None:
    with pytest.raises(RecognitionError) as caught:
        await collect(client.recognize(config, endless(), timeout=0.05))
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    await gateway.script.is_over.wait()


async def test_a_gateway_that_is_not_there_is_an_error(config: StreamingConfig) -> None:
    async with RecognitionClient("127.0.0.1:1") as client:
        with pytest.raises(RecognitionError) as caught:
            await collect(client.recognize(config, endless()))
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE


async def test_models_are_listed(gateway: Gateway, client: RecognitionClient) -> None:
    gateway.script.models = ListModelsResponse(models=[Model(name="embedded")])
    assert await client.list_models() == gateway.script.models


async def test_a_failure_to_list_models_is_an_error(gateway: Gateway, client: RecognitionClient) -> None:
    gateway.script.failure = Failure(code=grpc.StatusCode.UNAUTHENTICATED, message="who are you")
    with pytest.raises(RecognitionError, match="UNAUTHENTICATED: who are you"):
        await client.list_models()


async def test_two_calls_share_a_client(gateway: Gateway, client: RecognitionClient, config: StreamingConfig) -> None:
    gateway.script.going_away = [finished()]
    calls = (collect(client.recognize(config, [b"a"])), collect(client.recognize(config, [b"b"])))
    assert list(await asyncio.gather(*calls)) == [[finished()], [finished()]]
