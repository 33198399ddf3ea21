"""In which order responses are written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from prometheus_client import CollectorRegistry

from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.responses import Cursor, GoingAway, OfChannel, Response, Result, Started
from asrgateway_server.call.statistics import Statistics
from asrgateway_server.config import AudioFormat, RecognitionConfig
from asrgateway_server.events import Emotion, OptionWarning, Ready, WarningCode, Word
from asrgateway_server.metrics import Metrics
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED

CONFIG = RecognitionConfig(model=EMBEDDED, audio=AudioFormat(sample_rate_hertz=16_000))
OF_THE_CALL, OF_THE_BACKEND, OF_AN_UPDATE = (
    OptionWarning(code=WarningCode.OPTION_IGNORED, field=field, message="it has no effect") for field in "abc"
)


class Notebook:
    """A client that writes down its responses."""

    def __init__(self) -> None:
        self.responses: list[Response | None] = []

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        assert cursor.received_ms == 0
        self.responses.append(response)


def responder(client: Notebook, *warnings: OptionWarning) -> Responder:
    statistics = Statistics(CONFIG, Metrics(CollectorRegistry()))
    return Responder(CONFIG, client, statistics, lambda: statistics.cursor, GoingAwayNotice(), warnings)


async def test_no_warning_comes_before_the_start() -> None:
    client = Notebook()
    writing = responder(client, OF_THE_CALL)
    await writing.warn(OF_THE_BACKEND)
    await writing.warn_of_update((OF_AN_UPDATE,))
    assert client.responses == []
    await writing.start(Ready(request_id="task-1"), CONFIG)
    started, *warnings = client.responses
    assert isinstance(started, Started)
    assert started.downgrades == (OF_THE_CALL, OF_THE_BACKEND)
    assert warnings == [OF_THE_CALL, OF_THE_BACKEND, OF_AN_UPDATE]


async def test_a_call_starts_once() -> None:
    client = Notebook()
    writing = responder(client)
    await writing.start(Ready(request_id="task-1"), CONFIG)
    await writing.start(Ready(request_id="task-2"), CONFIG)
    assert len(client.responses) == 1


async def test_after_the_start_warnings_come_at_once() -> None:
    client = Notebook()
    writing = responder(client)
    await writing.start(Ready(), CONFIG)
    await writing.warn_of_update((OF_AN_UPDATE,))
    await writing.warn(OF_THE_BACKEND)
    assert client.responses[1:] == [OF_AN_UPDATE, OF_THE_BACKEND]


class SlowNotebook(Notebook):
    """Takes a while for each response."""

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        await super().write(response, cursor)
        await asyncio.sleep(0)


RESULT = Result(index=0, revision=1, is_final=True, text="good", committed="good")


async def test_a_warning_during_the_start_comes_once_and_after_the_others() -> None:
    client = SlowNotebook()
    first = responder(client, OF_THE_CALL)
    second = first.of_channel(1, Statistics(CONFIG, Metrics(CollectorRegistry())))
    await asyncio.gather(
        first.start(Ready(), CONFIG), second.warn(OF_THE_BACKEND), second.warn_of_update((OF_AN_UPDATE,))
    )
    started, *warnings = client.responses
    assert isinstance(started, Started)
    assert warnings == [OF_THE_CALL, OF_THE_BACKEND, OfChannel(channel=1, response=OF_AN_UPDATE)]


async def test_a_channel_that_is_ready_too_waits_until_the_warnings_of_the_start_are_written() -> None:
    client = SlowNotebook()
    first = responder(client, OF_THE_CALL)
    second = first.of_channel(1, Statistics(CONFIG, Metrics(CollectorRegistry())))

    async def ready_too() -> None:
        await second.start(Ready(), CONFIG)
        await second.write_result(RESULT, 0.0)

    await asyncio.gather(first.start(Ready(), CONFIG), ready_too())
    assert client.responses[1:] == [OF_THE_CALL, OfChannel(channel=1, response=RESULT)]


async def test_a_start_that_is_cancelled_leaves_its_warnings_to_the_next_writer() -> None:
    client = SlowNotebook()
    writing = responder(client, OF_THE_CALL)
    starting = asyncio.create_task(writing.start(Ready(), CONFIG))
    await asyncio.sleep(0)
    starting.cancel()
    await writing.start(Ready(), CONFIG)
    await asyncio.wait((starting,))
    assert client.responses[1:] == [OF_THE_CALL]


async def test_a_result_lacks_fields_that_the_client_does_not_want() -> None:
    client = Notebook()
    word = Word(text="good", start_ms=0, end_ms=200)
    result = Result(
        index=0,
        revision=1,
        is_final=True,
        text="good",
        committed="good",
        words=(word,),
        emotion=Emotion(label="happy"),
    )
    await responder(client).write_result(result, 0.0)
    assert client.responses == [replace(result, words=(), emotion=None)]


async def test_the_client_receives_the_going_away_notice() -> None:
    client, notice = Notebook(), GoingAwayNotice()
    statistics = Statistics(CONFIG, Metrics(CollectorRegistry()))
    writing = Responder(CONFIG, client, statistics, lambda: statistics.cursor, notice, ())
    notice.announce(30.0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writing.keep_awake(60.0))
        while not client.responses:  # noqa: ASYNC110 what is waited for shows nowhere else
            await asyncio.sleep(0)
        writing.stop_keeping_awake()
    (going_away,) = client.responses
    assert isinstance(going_away, GoingAway)
    assert going_away.left_ms <= 30_000
