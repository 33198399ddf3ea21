"""The synchronous client, in a thread beside the gateway's event loop."""

import asyncio
import threading
from collections.abc import Iterator

import grpc
import pytest

from asrgateway import Commit, ListModelsResponse, Model, RecognitionError, StreamingConfig
from asrgateway.sync import RecognitionClient
from asrgateway.v1.recognition_pb2 import RecognizeRequest, RecognizeResponse
from scripted_gateway import Failure, Gateway, final, finished, interim, started


class MicrophoneError(Exception):
    pass


class Microphone:
    """Speaks once and is then silent until it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"audio"
        self.closed.wait()


def failing() -> Iterator[bytes]:
    yield b"audio"
    raise MicrophoneError("unplugged")


@pytest.fixture
def microphone() -> Iterator[Microphone]:
    microphone = Microphone()
    yield microphone
    microphone.closed.set()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[RecognitionClient]:
    with RecognitionClient(gateway.target, metadata=[("authorization", "Bearer k")]) as client:
        yield client


async def collect(responses: Iterator[RecognizeResponse]) -> list[RecognizeResponse]:
    return await asyncio.to_thread(list, responses)


async def test_responses_arrive_in_order(gateway: Gateway, client: RecognitionClient, config: StreamingConfig) -> None:
    gateway.script.greeting = [started(), interim("hello")]
    gateway.script.going_away = [final("hello"), finished()]
    responses = await collect(client.recognize(config, [b"audio"]))
    assert responses == [started(), interim("hello"), final("hello"), finished()]


async def test_the_configuration_goes_first_then_every_item_in_order(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig
) -> None:
    await collect(client.recognize(config, [b"a", Commit()]))
    assert gateway.script.metadata["authorization"] == "Bearer k"
    assert gateway.script.received == [
        RecognizeRequest(streaming_config=config),
        RecognizeRequest(audio=b"a"),
        RecognizeRequest(commit=Commit()),
    ]


async def test_a_failure_is_an_error(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig, microphone: Microphone
) -> None:
    gateway.script.failure = Failure(code=grpc.StatusCode.UNAVAILABLE, message="lost")
    with pytest.raises(RecognitionError, match="UNAVAILABLE: lost"):
        await collect(client.recognize(config, microphone))


async def test_an_exception_of_the_audio_cancels_the_call_and_is_raised_again(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.script.has_no_end = True
    with pytest.raises(MicrophoneError, match="unplugged"):
        await collect(client.recognize(config, failing()))
    await gateway.script.is_over.wait()
    assert gateway.script.is_cancelled
    assert not caplog.records


async def test_closing_the_iteration_cancels_the_call(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig, microphone: Microphone
) -> None:
    gateway.script.has_no_end = True
    gateway.script.greeting = [started()]
    responses = client.recognize(config, microphone)
    assert await asyncio.to_thread(next, responses) == started()
    responses.close()
    await gateway.script.is_over.wait()
    assert gateway.script.is_cancelled


async def test_a_deadline_is_an_error(
    gateway: Gateway, client: RecognitionClient, config: StreamingConfig, microphone: Microphone
) -> None:
    with pytest.raises(RecognitionError) as caught:
        await collect(client.recognize(config, microphone, timeout=0.05))
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    await gateway.script.is_over.wait()


async def test_models_are_listed(gateway: Gateway, client: RecognitionClient) -> None:
    gateway.script.models = ListModelsResponse(models=[Model(name="embedded")])
    assert await asyncio.to_thread(client.list_models) == gateway.script.models


async def test_a_failure_to_list_models_is_an_error(gateway: Gateway, client: RecognitionClient) -> None:
    gateway.script.failure = Failure(code=grpc.StatusCode.UNAUTHENTICATED, message="who are you")
    with pytest.raises(RecognitionError, match="UNAUTHENTICATED: who are you"):
        await asyncio.to_thread(client.list_models)
