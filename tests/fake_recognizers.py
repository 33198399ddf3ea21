"""Recognizers for worker processes that are tested; each does one odd thing."""

from __future__ import annotations

import os
import signal
import sys
import time

from asrgateway_server.config import Adaptation
from asrgateway_server.events import BackendEvent, CommitEmpty, FinalResult, Finished, Ready, UpdateApplied


class Echo:
    """Tells at the end how many bytes of audio and how many commits its stream had."""

    def __init__(self) -> None:
        self._bytes = 0
        self._commits = 0

    def start(self, adaptation: Adaptation) -> list[BackendEvent]:
        self._bytes = 0
        self._commits = 0
        return [Ready(request_id=adaptation.context)]

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        self._bytes += len(pcm)
        return []

    def commit(self) -> list[BackendEvent]:
        self._commits += 1
        return [CommitEmpty()]

    def update(self, adaptation: Adaptation) -> list[BackendEvent]:
        assert adaptation.context
        return [UpdateApplied()]

    def finish(self) -> list[BackendEvent | Finished]:
        return [FinalResult(text=f"{self._bytes} bytes, {self._commits} commits"), Finished()]


class Talkative(Echo):
    """Answers every piece of audio with a large result."""

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        return [FinalResult(text="x" * 20_000 + str(pcm[0]))]


class Printing(Echo):
    """Writes to standard output, as libraries do."""

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        os.write(1, b"INFO: a library says hello\n")
        return super().audio(pcm)


class Raising(Echo):
    """Has a bug."""

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        raise ValueError(len(pcm))


class Lying(Echo):
    """Has taken over its process, which answers what it likes."""

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        setattr(sys.modules["__main__"], "pack_events", lambda _events: b'[["System",{}]]')  # noqa: B010 no type has it
        return super().audio(pcm)


class Endless(Echo):
    """Has taken over its process, which announces more than it will ever answer."""

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        setattr(sys.modules["__main__"], "pack", lambda _kind, _events: b"\x05\xff\xff\xff\xff")  # noqa: B010 no type has it
        return super().audio(pcm)


class Slow(Echo):
    """Takes a tenth of the time that the audio lasts."""

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        time.sleep(0.01)
        return super().audio(pcm)


class Stalling(Echo):
    """Answers nothing from the first audio on."""

    def audio(self, pcm: bytes) -> list[BackendEvent]:
        time.sleep(600)
        return super().audio(pcm)


class SlowToStart(Echo):
    """Answers nothing at all."""

    def start(self, adaptation: Adaptation) -> list[BackendEvent]:
        time.sleep(600)
        return super().start(adaptation)


class SlowToLoad(Echo):
    """Does not load in time."""

    def __init__(self) -> None:
        super().__init__()
        time.sleep(600)


class Unloadable(Echo):
    """Does not load at all."""

    def __init__(self) -> None:
        super().__init__()
        os.kill(os.getpid(), signal.SIGKILL)
