"""What is sent to the echo, and what its answers mean. Pure.

It greets with ``{"ready": true}``, answers each binary message with ``{"ms": 100}``, the audio so far, and the text
``end`` with ``{"done": true}``. Then it can begin again on the same connection.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from asrgateway_server.backends.adapter import Output, Send
from asrgateway_server.config import Adaptation, RecognitionConfig
from asrgateway_server.errors import UpstreamProtocolError
from asrgateway_server.events import FinalResult, Finished, InterimResult, Ready, UpdateApplied


class EchoAdapter:
    """One task; see ``WebSocketAdapter``."""

    path = "/echo"
    ends_at_commit: ClassVar[bool] = True
    keeps_connection = True
    answers_speech = True

    def __init__(self, config: RecognitionConfig, task_id: str) -> None:
        self._prefix = config.adaptation.context
        self._task_id = task_id
        self._heard_ms = 0
        self.is_ready = False

    def start(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        return [Send("begin")]

    def audio(self, pcm: bytes) -> bytes:
        """See ``WebSocketAdapter``."""
        return pcm

    def commit(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``; never called."""
        raise NotImplementedError

    def update(self, adaptation: Adaptation) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        self._prefix = adaptation.context
        return [UpdateApplied()]

    def finish(self) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        self.is_ready = False
        return [Send("end")]

    def receive(self, message: str) -> Sequence[Output]:
        """See ``WebSocketAdapter``."""
        match json.loads(message):
            case {"ready": True}:
                self.is_ready = True
                return [Ready(request_id=self._task_id)]
            case {"ms": int(heard_ms)}:
                self._heard_ms = heard_ms
                return [InterimResult(text=self._text, start_ms=0, end_ms=heard_ms)]
            case {"done": True}:
                return [FinalResult(text=self._text, start_ms=0, end_ms=self._heard_ms), Finished()]
        raise UpstreamProtocolError("the echo sent a message that it never promised")

    @property
    def _text(self) -> str:
        return f"{self._prefix} {self._heard_ms} ms".strip()
