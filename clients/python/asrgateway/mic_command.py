"""``asr-client mic``: recognises what is spoken into a microphone."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, aclosing
from functools import partial
from typing import Final, Protocol

from rich.console import Group
from rich.text import Text

from asrgateway.commands import MicCommand
from asrgateway.exit_codes import OK
from asrgateway.keyboard import pressed_keys
from asrgateway.microphone import Microphone, UnusableDevice, choose, microphones, sound_library
from asrgateway.outputs import open_output
from asrgateway.report import Report
from asrgateway.requests import AudioItem
from asrgateway.sound_level import SILENCE_DBFS, meter, peak_dbfs
from asrgateway.terminal import Tail, Terminal
from asrgateway.v1.recognition_pb2 import AudioEncoding, Commit, DecodingConfig, StreamingConfig
from asrgateway.waiting import reconnect_for

_STANDARD_INPUT: Final = 0
_SAMPLE_BYTES: Final = 2
_MOST_ITEMS: Final = 600  # A minute of audio that the gateway does not take yet.
_END_KEYS: Final = frozenset("q\r\n\x04")

OnKey = Callable[[str], None]


class AudioSource(Protocol):
    """What records: a microphone, or anything else in tests."""

    @property
    def sample_rate_hertz(self) -> int:
        """Samples per second of its 16-bit mono audio."""

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Record until the iteration ends."""


async def run_mic(
    command: MicCommand,
    terminal: Terminal,
    *,
    source: AudioSource | None = None,
    keys: Callable[[OnKey], AbstractContextManager[None]] | None = None,
) -> int:
    """Recognise until a key ends it, and return the exit code.

    Args:
        command: What to do.
        terminal: Where to print.
        source: What records; None: the microphone that the command names.
        keys: Calls a function for each key while its context is open; None: those of standard input.

    Raises:
        UnusableDevice: There is no microphone to record from.
        RecognitionError: The call ended with another status than OK.
    """
    if command.is_list:
        _list_devices(terminal)
        return OK
    keys = keys or _keys(command)
    source = source or _microphone(command)
    session = _Session(terminal, command, source.sample_rate_hertz)
    output = open_output(command.output, terminal.result)
    report = Report(terminal, session, session, "")
    config = StreamingConfig(decoding_config=session.decoding_config)
    config.MergeFrom(command.config)
    if command.is_push_to_talk and not config.HasField("endpointing"):
        config.endpointing.manual.SetInParent()
    reconnect = reconnect_for(command.connection, command.wait_seconds, report, is_live=True)
    terminal.note(session.hint)
    try:
        async with command.connection.client() as client, asyncio.TaskGroup() as tasks:
            recorder = tasks.create_task(session.record(source), name="record")
            with keys(session.press):
                call = client.recognize(config, session.items(report.sent), reconnect=reconnect)
                async with aclosing(call) as responses:
                    async for response in responses:
                        report.received(response)
                        output.received(response)
            recorder.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return OK


class _Session:
    """What is recorded, what is shown of it, and what the keys do."""

    seconds: float | None = None

    def __init__(self, terminal: Terminal, command: MicCommand, rate_hertz: int) -> None:
        self.decoding_config = DecodingConfig(
            encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=rate_hertz, audio_channel_count=1
        )
        self._terminal = terminal
        self._is_push_to_talk = command.is_push_to_talk
        self._is_talking = not command.is_push_to_talk
        self._bytes_per_second = rate_hertz * _SAMPLE_BYTES
        self._left_bytes = (
            None if command.duration_seconds is None else command.duration_seconds * self._bytes_per_second
        )
        self._items: asyncio.Queue[AudioItem | None] = asyncio.Queue()
        self._has_dropped = False
        self._has_ended = False
        self._dbfs = SILENCE_DBFS
        self._interim = ""

    @property
    def hint(self) -> str:
        """What the keys do, in a line."""
        space = "talk, and again to end the utterance" if self._is_push_to_talk else "end the utterance"
        return f"space: {space}; q: finish; Ctrl-C: stop at once"

    def seconds_of(self, sent_bytes: int) -> float:
        """Return how much audio so many bytes hold."""
        return sent_bytes / self._bytes_per_second

    async def record(self, source: AudioSource) -> None:
        """Pass on what is recorded while somebody talks, until the source or the time ends."""
        async with aclosing(source.chunks()) as chunks:
            async for chunk in chunks:
                self._dbfs = peak_dbfs(chunk)
                self._show(at_once=False)
                if self._is_talking:
                    self._put(chunk)
                if self._left_bytes is not None:
                    self._left_bytes -= len(chunk)
                    if self._left_bytes <= 0:
                        break
        self._finish()

    def press(self, key: str) -> None:
        """Do what a key stands for."""
        if key in _END_KEYS:
            self._finish()
        elif key == " ":
            if self._is_talking:
                self._items.put_nowait(Commit())
            if self._is_push_to_talk:
                self._is_talking = not self._is_talking
            self._show()

    async def items(self, sent: Callable[[int], None]) -> AsyncIterator[AudioItem]:
        """Yield audio and commits in order, until the session ends; ``sent`` counts bytes."""
        while (item := await self._items.get()) is not None:
            yield item
            if isinstance(item, bytes):
                sent(len(item))

    def sent(self, seconds: float) -> None:
        """Do nothing: the level shows that something is recorded."""

    def interim(self, text: str) -> None:
        """Show the text so far."""
        self._interim = text
        self._show()

    def end(self) -> None:
        """Remove what is shown."""
        self._terminal.live(None)

    def _put(self, chunk: bytes) -> None:
        if self._items.qsize() < _MOST_ITEMS:
            self._items.put_nowait(chunk)
        elif not self._has_dropped:
            self._has_dropped = True
            self._terminal.note("warning: the gateway takes audio too slowly; some is dropped")

    def _finish(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._is_talking = False
            self._items.put_nowait(None)

    def _show(self, *, at_once: bool = True) -> None:
        state = "● " if self._is_talking else "○ "
        level = Text(f"{state}{meter(self._dbfs)} {self._dbfs:.0f} dB")
        self._terminal.live(Group(level, Tail(self._interim)), at_once=at_once)


def _list_devices(terminal: Terminal) -> None:
    devices = microphones(sound_library())
    choose(devices, None)  # Raises an error if there is none.
    for device in devices:
        default = " (default)" if device.is_default else ""
        terminal.result(f"{device.number:3}  {device.name}, {device.rate_hertz} Hz{default}")


def _microphone(command: MicCommand) -> Microphone:
    library = sound_library()
    return Microphone(library, choose(microphones(library), command.device), command.sample_rate_hertz)


def _keys(command: MicCommand) -> Callable[[OnKey], AbstractContextManager[None]]:
    if command.is_push_to_talk and not os.isatty(_STANDARD_INPUT):
        raise UnusableDevice("--push-to-talk needs a terminal as standard input, for its keys")
    return partial(pressed_keys, _STANDARD_INPUT)
