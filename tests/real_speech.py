"""Calls of recorded speech while every connection to the vendor is reset some seconds after it was opened.

    PYTHONPATH=tests .venv/bin/python -m real_speech FOLDER

says every call twice, first undisturbed, and prints how many words both have in common. The vendor is the emulator with
PocketSphinx, which hears no text twice in exactly the same way: it begins within a sentence after each reset. What must
hold is that each call ends with OK, that its indexes have no gaps, and that no final result begins before the last one
ended.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import struct
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import cycle, pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, Stub, audio, config, pcm, recognize, silence
from dashscope_emulator import EmulatorOptions, running_emulator
from gateways import open_gateway

MODELS: Final = ("paraformer-realtime-v2", "qwen3-asr-flash-realtime")
_RATE_HERTZ: Final = 16_000
_PACKET_SECONDS: Final = 0.1
_PACKET_BYTES: Final = round(_RATE_HERTZ * _PACKET_SECONDS) * 2
# With this SO_LINGER a socket that is closed sends a reset.
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a call said and heard.

    Attributes:
        name: Of the recording and the model.
        outcome: What its caller saw.
    """

    name: str
    outcome: Outcome

    @property
    def words(self) -> list[str]:
        """The words of its final results."""
        return [word for text in self.outcome.texts for word in text.split()]

    @property
    def overlap_ms(self) -> int:
        """By how much a final result begins before the last one ended, at most."""
        spans = [(one.start_offset.ToMilliseconds(), one.end_offset.ToMilliseconds()) for one in self.outcome.finals]
        return max((before[1] - after[0] for before, after in pairwise(spans)), default=0)

    @property
    def is_whole(self) -> bool:
        """Whether it ended well, with every index once and no audio twice."""
        indexes = [final.result_index for final in self.outcome.finals]
        return self.outcome.code.name == "OK" and indexes == list(range(len(indexes))) and self.overlap_ms <= 0


@asynccontextmanager
async def resetting(url: str, after_seconds: tuple[float, float]) -> AsyncIterator[str]:
    """Pass connections on to a server; reset each of them after so long."""
    chance = random.Random(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        sides = (writer, upstream_writer)
        try:
            async with asyncio.timeout(chance.uniform(*after_seconds)), asyncio.TaskGroup() as tasks:
                tasks.create_task(_pass_on(reader, upstream_writer))
                tasks.create_task(_pass_on(upstream_reader, writer))
        except (TimeoutError, ExceptionGroup):
            for side in sides:
                side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        finally:
            for side in sides:
                side.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def spoken(
    recordings: Sequence[Path], calls: int, seconds: float, reset_after: tuple[float, float]
) -> list[Spoken]:
    """Make so many calls at the same time, each of one recording again and again."""
    async with (
        running_emulator(EmulatorOptions(recognizer="pocketsphinx")) as vendor,
        resetting(vendor.url, reset_after) as url,
        open_gateway(dashscope_url=url, dashscope_api_key="sk-test", embedded_workers=0, max_upstream_failures=5) as (
            _,
            stub,
        ),
        asyncio.TaskGroup() as tasks,
    ):
        said = [
            tasks.create_task(_say(stub, recordings[number % len(recordings)], MODELS[number % len(MODELS)], seconds))
            for number in range(calls)
        ]
    return [one.result() for one in said]


async def _say(stub: Stub, recording: Path, model: str, seconds: float) -> Spoken:
    outcome = await recognize(stub, _requests(recording, model, seconds), timeout=2 * seconds + 120)
    return Spoken(name=f"{recording.stem}, {model}", outcome=outcome)


async def _requests(recording: Path, model: str, seconds: float) -> AsyncIterator[pb.RecognizeRequest]:
    yield config(model=model, interim_results=True)
    loop = asyncio.get_running_loop()
    due, end = loop.time(), loop.time() + seconds
    data = pcm(recording) + silence(1)
    for start in cycle(range(0, len(data), _PACKET_BYTES)):
        if due >= end:
            return
        yield audio(data[start : start + _PACKET_BYTES])
        due += _PACKET_SECONDS
        await asyncio.sleep(max(due - loop.time(), 0.0))


def is_usable(recording: Path) -> bool:
    with wave.open(str(recording)) as file:
        return (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (_RATE_HERTZ, 1, 2)


def main() -> None:
    """Print a line for each call, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, metavar="FOLDER", help="WAV files: 16 kHz, mono, 16-bit")
    parser.add_argument("--calls", type=int, default=6, help="at the same time")
    parser.add_argument("--minutes", type=float, default=3.0, help="that each of them lasts")
    parser.add_argument("--reset-after", type=float, nargs=2, default=(3.0, 7.0), metavar="SECONDS", help="least, most")
    given = parser.parse_args()
    recordings = [path for path in sorted(given.recordings.glob("*.wav")) if is_usable(path)]
    seconds, never = given.minutes * 60, (1e9, 1e9)
    undisturbed = asyncio.run(spoken(recordings, given.calls, seconds, never))
    through_resets = asyncio.run(spoken(recordings, given.calls, seconds, tuple(given.reset_after)))
    same, total = 0, 0
    for before, after in zip(undisturbed, through_resets, strict=True):
        matcher = SequenceMatcher(None, before.words, after.words, autojunk=False)
        common = sum(block.size for block in matcher.get_matching_blocks())
        same, total = same + common, total + len(before.words)
        finished = after.outcome.finished
        print(  # noqa: T201 a command of the developer's
            f"{after.name}: {after.outcome.code.name} {after.outcome.message}, "
            f"{'whole' if after.is_whole else 'NOT whole'}, overlap {after.overlap_ms} ms, "
            f"{finished.reconnects} reconnects, {finished.replayed_audio.ToMilliseconds() / 1000:.0f} s sent again, "
            f"{len(after.words)} words, {common} of {len(before.words)} as before"
        )
    print(f"{same} of {total} words as in the undisturbed calls")  # noqa: T201 likewise


if __name__ == "__main__":
    main()
