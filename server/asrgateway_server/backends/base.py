"""All the recognizer knows of any transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from asrgateway_server.audio.chunk import PcmChunk
from asrgateway_server.config import RecognitionConfig, Update
from asrgateway_server.events import BackendEvent
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Settings
from asrgateway_server.vendors.dashscope.credentials import Keyring


@dataclass(frozen=True, slots=True)
class Commit:
    """End the open utterance here, between two chunks."""


#: Returns what the backend hears next, and waits until there is something; None is the end of the audio.
ItemSource = Callable[[], Awaitable[PcmChunk | Commit | Update | None]]

#: Takes an event in backend time, and when it was read (``time.monotonic()``); returns once the client has it.
Emit = Callable[[BackendEvent, float], Awaitable[None]]


class Backend(Protocol):
    """Recognizes calls, each on a connection of its own."""

    async def converse(self, config: RecognitionConfig, next_item: ItemSource, emit: Emit) -> None:
        """Run one connection from ``Ready`` to ``Finished``.

        Raises:
            UpstreamLost: The connection ended sooner, or stalled; another one may do better.
            Overloaded: There is no room now.
            UpstreamProtocolError: The backend broke its own rules.
        """


#: Opens a backend for the life of the process.
OpenBackend = Callable[[Settings, Keyring, Metrics], AbstractAsyncContextManager[Backend]]
