"""Clients that open one call after the other and count what becomes of their words."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import grpc

from asrgateway import (
    AudioEncoding,
    DecodingConfig,
    RecognitionClient,
    RecognitionError,
    StreamingConfig,
)
from asrgateway.pacing import at_speaking_speed
from dashscope_emulator.recognizers.markers import marker_audio
from languages.recordings import MODEL, sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Marked audio of 15 s: mono, 16 kHz, 16-bit little-endian; its words are numbered."""

    audio: bytes
    words: tuple[str, ...]

    def pieces(self) -> Iterator[bytes]:
        return (self.audio[at : at + _MESSAGE_BYTES] for at in range(0, len(self.audio), _MESSAGE_BYTES))


def _words(count: int) -> tuple[str, ...]:
    return tuple(f"w{number}" for number in range(count))


_MESSAGE_SECONDS: Final = 0.1
_MESSAGE_BYTES: Final = 3200
_CONFIG: Final = StreamingConfig(
    model=MODEL,
    decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000),
)
#: A final result after each third word, and one at the end only.
RECORDINGS: Final = (
    Recording(audio=sentences((3,) * 8), words=_words(24)),
    Recording(audio=marker_audio(0, 50 * 30), words=_words(50)),
)
_CALL_SECONDS: Final = 300
#: After a call that failed.
_PAUSE_SECONDS: Final = 1
#: Connections of their own, as clients in different processes have them.
_ALONE: Final = (("grpc.use_local_subchannel_pool", 1),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where calls go, and with what.

    Attributes:
        address: Host and port.
        authority: The certificate that is trusted, in PEM.
        key: The client's.
    """

    address: str
    authority: bytes
    key: str

    def client(self, *options: tuple[str, int | str]) -> RecognitionClient:
        """A client with a connection of its own."""
        credentials = grpc.ssl_channel_credentials(self.authority)
        options = (*_ALONE, *options)
        return RecognitionClient(self.address, credentials=credentials, api_key=self.key, channel_options=options)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the calls.

    Attributes:
        calls: How many ended.
        failures: How many of the calls ended with an error, by its text.
        words: How many words were said in the other ones.
        lost: Words that came in no final result.
        doubled: Words that came in more than one.
        continued: When calls went on in another one, by the monotonic clock.
    """

    calls: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    words: int = 0
    lost: int = 0
    doubled: int = 0
    continued: list[float] = field(default_factory=list)

    def count(self, said: Sequence[str], recognized: Sequence[str]) -> None:
        """Count the words of a call that ended well."""
        had = Counter(recognized)
        self.words += len(said)
        self.lost += sum(1 for word in said if not had[word])
        self.doubled += sum(count - 1 for count in had.values() if count > 1)

    def check(self, at_least: int) -> None:
        """Check that so many calls were made, that none failed, and that each word came once."""
        assert self.calls >= at_least, f"fewer than {at_least} calls: {self}"
        assert not self.failures, str(self)
        assert (self.lost, self.doubled) == (0, 0), str(self)

    def __str__(self) -> str:
        failed = self.failures.total()
        why = f" {dict(self.failures)}" if failed else ""
        words = f"{self.lost} words lost, {self.doubled} doubled of {self.words}"
        return f"{failed} of {self.calls} calls failed{why}, {words}; {len(self.continued)} went on in another call"


@asynccontextmanager
async def calling(target: Target, clients: int) -> AsyncIterator[Tally]:
    """Let clients call, each on a connection of its own, until the end of the block; their last calls are waited for.

    Raises:
        AssertionError: A call failed, or lost or doubled a word.
    """
    tally, is_over = Tally(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            recording = RECORDINGS[number % len(RECORDINGS)]
            tasks.create_task(_call_again_and_again(target, recording, tally, is_over))
        try:
            yield tally
        finally:
            is_over.set()
    tally.check(clients)


async def _call_again_and_again(target: Target, recording: Recording, tally: Tally, is_over: asyncio.Event) -> None:
    async with target.client() as client:
        while not is_over.is_set():
            try:
                tally.count(recording.words, await _recognized(client, recording, tally))
            except RecognitionError as error:
                tally.failures[str(error)] += 1
                await asyncio.sleep(_PAUSE_SECONDS)
            tally.calls += 1


async def _recognized(client: RecognitionClient, recording: Recording, tally: Tally) -> list[str]:
    audio = at_speaking_speed(recording.pieces(), _MESSAGE_SECONDS)
    words: list[str] = []
    starts = 0
    async for response in client.recognize(_CONFIG, audio, timeout=_CALL_SECONDS, reconnect=True):
        if response.HasField("started"):
            starts += 1
            tally.continued += [time.monotonic()] if starts > 1 else []
        elif response.HasField("result") and response.result.is_final:
            words += response.result.transcript.split()
    return words
