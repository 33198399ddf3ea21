"""Between the threads of the vendor's SDK and the event loop: bounded, in order, and nothing after the end."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import WSMsgType
from prometheus_client import CollectorRegistry

from all_settings import Settings
from asrgateway_server.errors import GatewayError, UnsupportedOption, UpstreamLost
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import SettingsError
from asrgateway_server.vendors.dashscope.official_sdk.tasks import RESERVED, Frame, Link, Task, TaskConnection
from asrgateway_server.vendors.dashscope.official_sdk.threads import Access, Closed, Inbox, message_of, unreadable
from asrgateway_server.vendors.dashscope.vendor import DashScope
from catalogues import WITHOUT_KEY

PATIENCE_SECONDS = 60.0


@pytest.fixture(autouse=True, scope="module")
def garbage() -> Iterator[None]:
    """What the SDK leaves lying about is collected here, not in somebody else's test."""
    yield
    gc.collect()


def in_thread(work: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def bring(inbox: Inbox, count: int, brought: list[str] | None = None) -> None:
    """What a thread of the SDK does."""
    for number in range(count):
        inbox.put(str(number))
        if brought is not None:
            brought.append(str(number))


async def ended(thread: threading.Thread) -> bool:
    await asyncio.to_thread(thread.join, PATIENCE_SECONDS)
    return not thread.is_alive()


# The inbox ------------------------------------------------------------------------------------------------------


async def test_arrivals_cross_in_the_order_they_came() -> None:
    inbox = Inbox()
    thread = in_thread(bring, inbox, 100)
    assert [await inbox.get() for _ in range(100)] == [str(number) for number in range(100)]
    assert await ended(thread)


async def test_a_full_inbox_holds_the_sdks_thread_back() -> None:
    inbox = Inbox(capacity=2)
    put: list[str] = []
    thread = in_thread(bring, inbox, 5, put)
    assert await inbox.get() == "0"
    assert len(put) <= 3
    assert [await inbox.get() for _ in range(4)] == ["1", "2", "3", "4"]
    assert await ended(thread)
    assert put == ["0", "1", "2", "3", "4"]


async def test_what_comes_after_the_end_is_dropped_and_holds_nobody() -> None:
    inbox = Inbox(capacity=1)
    threads = [in_thread(bring, inbox, 10) for _ in range(3)]
    inbox.close()
    assert [await ended(thread) for thread in threads] == [True] * 3


def test_a_thread_that_outlives_the_event_loop_is_not_held() -> None:
    async def made() -> Inbox:
        return Inbox()

    inbox = asyncio.run(made())
    inbox.put("to nobody")


async def test_it_knows_whether_the_vendor_ever_said_anything() -> None:
    inbox = Inbox()
    await asyncio.to_thread(inbox.put, Closed(1000))
    await inbox.get()
    assert not inbox.has_messages
    await asyncio.to_thread(inbox.put, "{}")
    await inbox.get()
    assert inbox.has_messages


def test_an_arrival_is_what_a_websocket_would_have_given() -> None:
    assert message_of("{}")[:2] == (WSMsgType.TEXT, "{}")
    assert message_of(Closed(1011)).type is WSMsgType.CLOSED
    with pytest.raises(GatewayError, match="cannot read"):
        message_of(unreadable())


# Audio ----------------------------------------------------------------------------------------------------------


def test_a_frame_tells_when_it_is_taken() -> None:
    taken: list[int] = []
    frame = Frame(b"\x01\x02", lambda: taken.append(1))
    assert len(frame) == 2
    assert not taken
    assert bytes(frame) == b"\x01\x02"
    assert taken == [1]


def run_task(**parameters: object) -> str:
    payload = {"model": "m", "input": {}, "parameters": {"format": "pcm", "sample_rate": 16000, **parameters}}
    return json.dumps({"header": {"action": "run-task", "task_id": "t1"}, "payload": payload})


async def key() -> str:
    return "sk-test"


class NoThreads(TaskConnection):
    """A connection whose SDK starts no threads: nothing is ever taken."""

    def __init__(self) -> None:
        async def run(work: Any) -> None:
            if work.__name__ == "start":
                work.__self__._recognition._running = True

        access = Access(url="ws://nowhere", key=key, timeout_seconds=1.0)
        super().__init__("/path", access, Inbox(), run)


async def test_no_more_than_half_a_second_of_audio_waits_in_the_sdk() -> None:
    connection = NoThreads()
    await connection.send_str(run_task())
    for _ in range(5):
        await connection.send_bytes(bytes(3200))
    sending = asyncio.ensure_future(connection.send_bytes(bytes(3200)))
    await asyncio.sleep(0)
    assert not sending.done()
    frames = connection._running._recognition._stream_data
    bytes(next(frame for frame in iter(frames.get, None) if len(frame)))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await sending
    connection._running._recognition._running = False


async def test_audio_for_a_task_that_is_over_waits_for_the_reason() -> None:
    """As on a WebSocket: the error that stands in the inbox tells it."""
    connection = NoThreads()
    await connection.send_str(run_task())
    connection._running._recognition._running = False
    with pytest.raises(ConnectionResetError):
        await connection.send_bytes(bytes(3200))


@pytest.mark.parametrize("name", sorted(RESERVED - {"self", "input", "model"}))
async def test_a_parameter_that_the_sdk_takes_for_itself_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedOption, match=name) as caught:
        await NoThreads().send_str(run_task(**{name: "x"}))
    assert caught.value.field == "streaming_config.vendor_parameters"


def test_what_reaches_the_vendor_as_a_parameter_is_not_reserved() -> None:
    known = {"format", "sample_rate", "heartbeat", "language_hints", "vocabulary_id", "disfluency_removal_enabled"}
    assert not RESERVED & known


# The end --------------------------------------------------------------------------------------------------------


def new_task(inbox: Inbox) -> Task:
    access = Access(url="ws://nowhere", key=key, timeout_seconds=1.0)
    return Task("t1", json.loads(run_task())["payload"], "ws://nowhere/path", access, "sk-test", inbox)


async def test_an_end_that_nobody_asked_for_is_a_loss() -> None:
    inbox = Inbox()
    await asyncio.to_thread(new_task(inbox)._ended, None)
    assert isinstance(await inbox.get(), UpstreamLost)


async def test_an_end_that_was_asked_for_is_the_tasks() -> None:
    inbox = Inbox()
    task = new_task(inbox)
    task.finish()
    await asyncio.to_thread(task._ended, None)
    message = await inbox.get()
    assert isinstance(message, str)
    assert json.loads(message)["header"] == {"event": "task-finished", "task_id": "t1"}


async def test_a_task_that_is_ended_before_its_start_starts_no_thread() -> None:
    task = new_task(Inbox())
    task.end()
    before = threading.active_count()
    task.start()
    assert threading.active_count() == before


def test_a_link_that_leads_nowhere_can_be_cut() -> None:
    Link(lambda _: None).cut()


# The setting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["paraformer=official_sdk", " paraformer = official_sdk ,"])
def test_transports_are_read_from_a_variable(value: str) -> None:
    settings = Settings.from_environment({"ASRGATEWAY_TRANSPORTS": value})
    assert settings.transports == {"paraformer": "official_sdk"}


@pytest.mark.parametrize("value", ["official_sdk", "paraformer=carrier_pigeon", "="])
def test_a_transport_that_is_none_ends_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match=r"(?i)transports"):
        Settings.from_environment({"ASRGATEWAY_TRANSPORTS": value})


@pytest.mark.parametrize("name", ["pocketsphinx", "embedded", "whisper"])
async def test_what_has_one_transport_only_has_none_to_choose(name: str) -> None:
    settings = Settings(transports={name: "official_sdk"}, embedded_workers=0)
    with pytest.raises(SettingsError, match="no model or backend with a transport to choose; known are: fun-asr"):
        async with DashScope().open(settings, WITHOUT_KEY, Metrics(CollectorRegistry())):
            pass
