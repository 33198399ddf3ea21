"""In which order the client is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from asrgateway_server.call.delays import Delays
from asrgateway_server.call.going_away import Farewell
from asrgateway_server.call.responder import Teller
from asrgateway_server.call.responses import Cursor, Reply, Started
from asrgateway_server.config import AudioFormat, RecognitionConfig
from asrgateway_server.events import Notice, NoticeCode, Ready
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import EMBEDDED

OF_THE_CALL, OF_THE_BACKEND, OF_AN_UPDATE = (
    Notice(code=NoticeCode.OPTION_IGNORED, field=field, message="it has no effect") for field in "abc"
)


class Notebook:
    """A client that writes down what it is told."""

    def __init__(self) -> None:
        self.replies: list[Reply | None] = []

    async def write(self, reply: Reply | None, cursor: Cursor) -> None:
        assert cursor.received_ms == 0
        self.replies.append(reply)


def teller(client: Notebook) -> Teller:
    config = RecognitionConfig(model=EMBEDDED, audio=AudioFormat())
    cursor = Cursor(received_ms=0, sent_ms=0, final_ms=0, silence_ms=0)
    metrics = Metrics(CollectorRegistry()).of_model(EMBEDDED.name)
    return Teller(config, client, lambda: cursor, Delays(), metrics, Farewell())


async def test_no_warning_comes_before_the_start() -> None:
    client = Notebook()
    told = teller(client)
    await told.remark(OF_THE_BACKEND)
    await told.notices((OF_AN_UPDATE,))
    assert client.replies == []
    await told.ready(Ready(request_id="task-1"), (OF_THE_CALL,))
    started, *warnings = client.replies
    assert isinstance(started, Started)
    assert started.downgrades == (OF_THE_CALL, OF_THE_BACKEND)
    assert warnings == [OF_THE_CALL, OF_THE_BACKEND, OF_AN_UPDATE]
    await told.ready(Ready(request_id="task-2"), (OF_THE_CALL,))
    assert len(client.replies) == 4


async def test_after_the_start_warnings_come_at_once() -> None:
    client = Notebook()
    told = teller(client)
    await told.ready(Ready(), ())
    await told.notices((OF_AN_UPDATE,))
    assert client.replies[1:] == [OF_AN_UPDATE]
