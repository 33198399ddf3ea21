"""A recognition that goes on when its call is lost, in both clients."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from itertools import repeat
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

import asrgateway.sync
from asrgateway import (
    AudioEncoding,
    AudioItem,
    Commit,
    DecodingConfig,
    GoingAway,
    RecognitionClient,
    RecognitionError,
    Reconnect,
    Resume,
    Started,
    StreamingConfig,
)
from asrgateway.errors import DETAILS_KEY
from asrgateway.requests import MAX_AUDIO_BYTES
from asrgateway.v1.recognition_pb2 import RecognizeResponse
from gateways import eventually
from scripted_gateway import Failure, Script, final, finished, interim, running_scripts
from waves import fmt, samples, wav

CODE = grpc.StatusCode
#: 100 ms of audio each.
A, B = bytes([1]) * 3200, bytes([2]) * 3200
LOST = Failure(code=CODE.UNAVAILABLE, message="lost")
#: Otherwise the client would open calls again that no script takes.
ALONE = (("grpc.enable_retries", 0),)

Collect = Callable[..., Awaitable[list[RecognizeResponse]]]


class MicrophoneError(Exception):
    pass


class Microphone:
    """Records, and is silent then until it is unplugged."""

    def __init__(self, *items: AudioItem) -> None:
        self._items = items
        self._unplugged = threading.Event()

    def unplug(self) -> None:
        self._unplugged.set()

    def __iter__(self) -> Iterator[AudioItem]:
        yield from self._items
        self._unplugged.wait()
        raise MicrophoneError("unplugged")

    async def __aiter__(self) -> AsyncIterator[AudioItem]:
        for item in self._items:
            yield item
        while not self._unplugged.is_set():  # noqa: ASYNC110 - any thread may unplug it
            await asyncio.sleep(0.001)
        raise MicrophoneError("unplugged")


@pytest.fixture
def microphone() -> Iterator[Microphone]:
    microphone = Microphone(A, B)
    yield microphone
    microphone.unplug()


async def collect_with_asyncio(target: str, *arguments: Any, **options: Any) -> list[RecognizeResponse]:
    async with RecognitionClient(target, channel_options=ALONE) as client:
        return [one async for one in client.recognize(*arguments, **{"reconnect": True} | options)]


async def collect_with_threads(target: str, *arguments: Any, **options: Any) -> list[RecognizeResponse]:
    def run() -> list[RecognizeResponse]:
        with asrgateway.sync.RecognitionClient(target, channel_options=ALONE) as client:
            return list(client.recognize(*arguments, **{"reconnect": True} | options))

    return await asyncio.to_thread(run)


@pytest.fixture(params=[collect_with_asyncio, collect_with_threads])
def collect(request: pytest.FixtureRequest) -> Collect:
    """Runs a recognition with reconnect on either client."""
    function: Collect = request.param
    return function


def started(call_id: str) -> RecognizeResponse:
    return RecognizeResponse(started=Started(call_id=call_id))


def final_until(milliseconds: int, text: str, index: int = 0) -> RecognizeResponse:
    response = final(text, index)
    response.cursor.finalized.FromMilliseconds(milliseconds)
    return response


def going_away(seconds: int) -> RecognizeResponse:
    return RecognizeResponse(going_away=GoingAway(deadline=Duration(seconds=seconds)))


def busy(retry_nanos: int) -> Failure:
    detail = AnyMessage()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(nanos=retry_nanos)))
    status = status_pb2.Status(code=8, message="busy", details=[detail])
    return Failure(
        code=CODE.RESOURCE_EXHAUSTED,
        message="busy",
        trailing_metadata=((DETAILS_KEY, status.SerializeToString()),),
    )


def last(**values: Any) -> Script:
    """The script of a call that ends well."""
    return Script(greeting=[started("c2")], going_away=[finished()], **values)


def texts(responses: Iterable[RecognizeResponse]) -> list[str]:
    return [one.result.transcript for one in responses if one.result.is_final]


async def test_a_lost_call_goes_on_after_its_last_final_result(collect: Collect, config: StreamingConfig) -> None:
    first = Script(greeting=[started("c1")], hears_bytes=6400, answer=[final_until(100, "one")], failure=LOST)
    second = Script(greeting=[started("c2")], going_away=[final_until(200, "two", 1), finished()])
    async with running_scripts(first, second) as target:
        responses = await collect(target, config, [A, B])
    assert responses == [*first.greeting, *first.answer, *second.greeting, *second.going_away]
    resume = Resume(audio_offset=Duration(nanos=100_000_000), next_result_index=1, call_id="c1")
    assert second.received[0].streaming_config.resume == resume
    assert second.audio == B


async def test_a_call_may_be_lost_again_and_again(collect: Collect, config: StreamingConfig) -> None:
    losses = [
        Script(
            hears_bytes=6400,
            greeting=[started(f"c{index}")],
            answer=[final_until(50 * index, "one", index)],
            failure=LOST,
        )
        for index in range(1, 4)
    ]
    end = last()
    async with running_scripts(*losses, end) as target:
        losses[1].hears_bytes, losses[2].hears_bytes = 4800, 3200
        await collect(target, config, [A, B])
    assert end.audio == B[1600:]
    assert end.received[0].streaming_config.resume.next_result_index == 4


async def test_a_commit_without_an_answer_is_sent_again(collect: Collect, config: StreamingConfig) -> None:
    first = Script(greeting=[started("c1")], hears_bytes=6400, failure=LOST)
    second = last()
    async with running_scripts(first, second) as target:
        await collect(target, config, [A, Commit(), B])
    assert [request.WhichOneof("request") for request in second.received] == [
        "streaming_config",
        "audio",
        "commit",
        "audio",
    ]


async def test_audio_that_came_meanwhile_follows(
    collect: Collect, config: StreamingConfig, microphone: Microphone
) -> None:
    first = Script(greeting=[started("c1")], failure=LOST)
    second = Script(greeting=[started("c2")], hears_bytes=6400, failure=Failure(code=CODE.INTERNAL, message="enough"))
    async with running_scripts(first, second) as target:
        with pytest.raises(RecognitionError, match="enough"):
            await collect(target, config, microphone)
    assert second.audio == A + B


async def test_a_gateway_that_goes_away_is_left_after_the_next_final_result(
    collect: Collect, config: StreamingConfig, microphone: Microphone
) -> None:
    answer = [going_away(600), interim("one"), final_until(100, "one")]
    first = Script(greeting=[started("c1")], hears_bytes=6400, answer=answer, has_no_end=True)
    second = Script(greeting=[started("c2")], hears_bytes=3200, failure=Failure(code=CODE.INTERNAL, message="enough"))
    async with running_scripts(first, second) as target:
        with pytest.raises(RecognitionError, match="enough"):
            await collect(target, config, microphone)
        await first.is_over.wait()
    assert first.is_cancelled
    assert second.audio == B


async def test_a_gateway_that_goes_away_is_left_when_half_of_its_time_has_passed(
    collect: Collect, config: StreamingConfig, microphone: Microphone
) -> None:
    first = Script(greeting=[started("c1")], hears_bytes=6400, answer=[going_away(0)], has_no_end=True)
    second = Script(greeting=[started("c2")], hears_bytes=6400, failure=Failure(code=CODE.INTERNAL, message="enough"))
    async with running_scripts(first, second) as target:
        with pytest.raises(RecognitionError, match="enough"):
            await collect(target, config, microphone)
        await first.is_over.wait()
    assert first.is_cancelled


async def test_a_client_that_has_sent_everything_stays(collect: Collect, config: StreamingConfig) -> None:
    ending = [going_away(0), final_until(100, "one"), final_until(200, "two", 1), finished()]
    script = Script(greeting=[started("c1")], going_away=ending)
    async with running_scripts(script) as target:
        assert texts(await collect(target, config, [A, B])) == ["one", "two"]


async def test_the_pause_is_as_long_as_the_gateway_asks(collect: Collect, config: StreamingConfig) -> None:
    pauses: list[float] = []
    reconnect = Reconnect(on_retry=lambda _, seconds: pauses.append(seconds))
    async with running_scripts(Script(failure=busy(150_000_000)), last()) as target:
        await collect(target, config, [A], reconnect=reconnect)
    assert pauses == [0.15]


async def test_the_last_error_is_raised_when_no_gateway_answers_in_time(
    collect: Collect, config: StreamingConfig
) -> None:
    errors: list[RecognitionError] = []
    reconnect = Reconnect(give_up_seconds=0.5, on_retry=lambda error, _: errors.append(error))
    with pytest.raises(RecognitionError) as caught:
        await collect("127.0.0.1:1", config, [A], reconnect=reconnect)
    assert caught.value.code is CODE.UNAVAILABLE
    assert errors


async def test_a_gateway_that_hangs_does_not_hold_the_client(
    collect: Collect, config: StreamingConfig, microphone: Microphone
) -> None:
    hanging = Script()
    async with running_scripts(Script(failure=LOST), hanging) as target:
        with pytest.raises(RecognitionError, match="lost"):
            await collect(target, config, microphone, reconnect=Reconnect(give_up_seconds=0.5))
        await hanging.is_over.wait()


@pytest.mark.parametrize("code", [CODE.INVALID_ARGUMENT, CODE.UNAUTHENTICATED, CODE.RESOURCE_EXHAUSTED])
async def test_an_error_that_would_come_again_is_raised_at_once(
    collect: Collect, config: StreamingConfig, code: grpc.StatusCode
) -> None:
    script = Script(greeting=[started("c1")], failure=Failure(code=code, message="no"))
    async with running_scripts(script) as target:
        with pytest.raises(RecognitionError, match="no"):
            await collect(target, config, [A], reconnect=Reconnect(on_retry=lambda *_: pytest.fail("it tried again")))


async def test_without_reconnect_a_lost_call_is_an_error(collect: Collect, config: StreamingConfig) -> None:
    async with running_scripts(Script(greeting=[started("c1")], failure=LOST), last()) as target:
        with pytest.raises(RecognitionError, match="lost"):
            await collect(target, config, [A], reconnect=False)


async def test_a_call_in_another_encoding_is_not_continued(collect: Collect) -> None:
    config = StreamingConfig(decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_OGG_OPUS))
    async with running_scripts(Script(greeting=[started("c1")], failure=LOST), last()) as target:
        with pytest.raises(RecognitionError, match="lost"):
            await collect(target, config, [A])


async def test_a_wav_stream_is_continued_without_its_header(collect: Collect) -> None:
    config = StreamingConfig(decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_WAV))
    first = Script(greeting=[started("c1")], hears_bytes=6400, answer=[final_until(100, "one")], failure=LOST)
    second = last()
    async with running_scripts(first, second) as target:
        await collect(target, config, [wav(fmt(rate=16_000), samples(A + B))])
    assert second.audio == B


async def test_an_error_of_the_audio_is_raised_again(
    collect: Collect, config: StreamingConfig, microphone: Microphone
) -> None:
    script = Script(greeting=[started("c1")], hears_bytes=6400, has_no_end=True)
    async with running_scripts(script) as target, asyncio.TaskGroup() as tasks:
        tasks.create_task(unplug_after(script.is_greeted, microphone))
        with pytest.raises(MicrophoneError, match="unplugged"):
            await collect(target, config, microphone)
        await script.is_over.wait()
    assert script.is_cancelled


async def unplug_after(event: asyncio.Event, microphone: Microphone) -> None:
    await event.wait()
    microphone.unplug()


async def test_an_error_of_the_audio_ends_the_pause(
    collect: Collect, config: StreamingConfig, microphone: Microphone
) -> None:
    reconnect = Reconnect(give_up_seconds=1000, on_retry=lambda *_: microphone.unplug())
    async with running_scripts(Script(failure=Failure(code=CODE.UNAVAILABLE, message="lost"))) as target:
        with pytest.raises(MicrophoneError, match="unplugged"):
            await collect(target, config, microphone, reconnect=reconnect)


async def test_a_wrong_item_is_a_type_error(collect: Collect, config: StreamingConfig) -> None:
    async with running_scripts(last()) as target:
        with pytest.raises(TypeError, match="not str"):
            await collect(target, config, ["text"])


async def test_the_deadline_spans_all_calls(collect: Collect, config: StreamingConfig, microphone: Microphone) -> None:
    losing = Script(greeting=[started("c1")], failure=LOST)
    async with running_scripts(losing) as target:
        with pytest.raises(RecognitionError) as caught:
            await collect(target, config, microphone, timeout=0.5)
    assert caught.value.code is CODE.DEADLINE_EXCEEDED


async def test_the_deadline_holds_for_a_wav_stream_that_does_not_begin(collect: Collect) -> None:
    config = StreamingConfig(decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_WAV))
    microphone = Microphone()
    async with running_scripts(last()) as target:
        with pytest.raises(RecognitionError, match="DEADLINE_EXCEEDED"):
            await collect(target, config, microphone, timeout=0.05)
    microphone.unplug()


def own_tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() in ("send audio", "read audio")]


async def test_a_reader_who_leaves_ends_the_call(config: StreamingConfig, microphone: Microphone) -> None:
    script = Script(greeting=[started("c1")], has_no_end=True)
    async with running_scripts(script) as target, RecognitionClient(target) as client:
        async with aclosing(client.recognize(config, microphone, reconnect=True)) as responses:
            await anext(responses)
        assert not own_tasks()
        await script.is_over.wait()
    assert script.is_cancelled


async def test_a_reader_who_leaves_ends_the_call_of_threads(config: StreamingConfig, microphone: Microphone) -> None:
    script = Script(greeting=[started("c1")], has_no_end=True)
    async with running_scripts(script) as target:
        with asrgateway.sync.RecognitionClient(target) as client:
            responses = client.recognize(config, microphone, reconnect=True)
            await asyncio.to_thread(next, responses)
            responses.close()
            await script.is_over.wait()
    assert script.is_cancelled


async def test_a_gateway_is_left_in_the_middle_of_a_message_before_the_reader_comes_back(
    config: StreamingConfig,
) -> None:
    answer = [going_away(600), final_until(100, "one")]
    message = bytes(MAX_AUDIO_BYTES)
    first = Script(greeting=[started("c1")], hears_bytes=MAX_AUDIO_BYTES, answer=answer, is_deaf=True)
    second = Script(greeting=[started("c2")], failure=Failure(code=CODE.INTERNAL, message="enough"))
    async with running_scripts(first, second) as target, RecognitionClient(target) as client:
        with pytest.raises(RecognitionError, match="enough"):
            await read_slowly(client.recognize(config, repeat(message), reconnect=True))


async def read_slowly(responses: AsyncIterator[RecognizeResponse]) -> None:
    """Come back after a final result only when nothing is being sent any more."""
    async for response in responses:
        if response.result.is_final:
            await eventually(lambda: "send audio" not in own_tasks())


@pytest.mark.parametrize("has_gateway", [True, False], ids=["in a call", "in a pause"])
async def test_a_cancelled_reader_leaves_nothing_open(
    config: StreamingConfig, microphone: Microphone, *, has_gateway: bool
) -> None:
    script = Script(greeting=[started("c1")], has_no_end=True)
    is_waiting = asyncio.Event()
    reconnect = Reconnect(give_up_seconds=1000, on_retry=lambda *_: is_waiting.set())
    async with running_scripts(script) as target:
        task = asyncio.create_task(
            collect_with_asyncio(target if has_gateway else "127.0.0.1:1", config, microphone, reconnect=reconnect)
        )
        await (script.is_greeted if has_gateway else is_waiting).wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not own_tasks()
        if has_gateway:
            await script.is_over.wait()


async def test_a_client_that_is_closed_does_not_try_again(config: StreamingConfig, microphone: Microphone) -> None:
    script = Script(greeting=[started("c1")], has_no_end=True)
    async with running_scripts(script) as target:
        client = RecognitionClient(target)
        responses = client.recognize(config, microphone, reconnect=True)
        await anext(responses)
        await client.close()
        with pytest.raises(RecognitionError, match="CANCELLED: the client was closed"):
            await anext(responses)


async def test_a_client_of_threads_that_is_closed_does_not_try_again(
    config: StreamingConfig, microphone: Microphone
) -> None:
    script = Script(greeting=[started("c1")], has_no_end=True)
    async with running_scripts(script) as target:
        client = asrgateway.sync.RecognitionClient(target)
        responses = client.recognize(config, microphone, reconnect=True)
        await asyncio.to_thread(next, responses)
        client.close()
        with pytest.raises(RecognitionError, match="CANCELLED"):
            await asyncio.to_thread(next, responses)
