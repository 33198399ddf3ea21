"""In which order the client is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from asrgateway_server.call.delays import Delays
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.responder import Responder
from asrgateway_server.call.responses import Cursor, Response, Started
from asrgateway_server.config import AudioFormat, RecognitionConfig
from asrgateway_server.events import OptionWarning, Ready, WarningCode
from asrgateway_server.metrics import Metrics
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED

OF_THE_CALL, OF_THE_BACKEND, OF_AN_UPDATE = (
    OptionWarning(code=WarningCode.OPTION_IGNORED, field=field, message="it has no effect") for field in "abc"
)


class Notebook:
    """A client that writes down what it is told."""

    def __init__(self) -> None:
        self.responses: list[Response | None] = []

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        assert cursor.received_ms == 0
        self.responses.append(response)


def responder(client: Notebook) -> Responder:
    config = RecognitionConfig(model=EMBEDDED, audio=AudioFormat())
    cursor = Cursor(received_ms=0, sent_ms=0, final_ms=0, silence_ms=0)
    metrics = Metrics(CollectorRegistry()).of_model(EMBEDDED.name)
    return Responder(config, client, lambda: cursor, Delays(), metrics, GoingAwayNotice())


async def test_no_warning_comes_before_the_start() -> None:
    client = Notebook()
    told = responder(client)
    await told.remark(OF_THE_BACKEND)
    await told.warnings((OF_AN_UPDATE,))
    assert client.responses == []
    await told.ready(Ready(request_id="task-1"), (OF_THE_CALL,))
    started, *warnings = client.responses
    assert isinstance(started, Started)
    assert started.downgrades == (OF_THE_CALL, OF_THE_BACKEND)
    assert warnings == [OF_THE_CALL, OF_THE_BACKEND, OF_AN_UPDATE]
    await told.ready(Ready(request_id="task-2"), (OF_THE_CALL,))
    assert len(client.responses) == 4


async def test_after_the_start_warnings_come_at_once() -> None:
    client = Notebook()
    told = responder(client)
    await told.ready(Ready(), ())
    await told.warnings((OF_AN_UPDATE,))
    assert client.responses[1:] == [OF_AN_UPDATE]
