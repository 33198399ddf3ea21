"""From the config to `started`: how long a call takes to open, by each way there is.

``python -m benchmarks.opening --kind gateway|bare|sdk --target … --count N`` tells one duration after another. With
``--pause-seconds`` a gateway has so long to open connections ahead before each.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
import grpc
import uvloop

from benchmarks.bare_client import PATH, open_task
from benchmarks.driver import DONE, tell
from benchmarks.load import calls_on, open_call
from benchmarks.workload import MODEL, PACKET, SAMPLE_RATE_HERTZ

_PATIENCE_SECONDS: Final = 5.0


def open_by_gateway(target: str, count: int, _ca_file: str, pause_seconds: float) -> list[float]:
    """Open calls on one gRPC connection that is open already, as a caller's is."""

    async def run() -> list[float]:
        async with grpc.aio.insecure_channel(target) as channel:
            await channel.channel_ready()
            open_raw = calls_on(channel)
            durations = []
            for _ in range(count):
                await asyncio.sleep(pause_seconds)
                began = time.monotonic()
                async with open_call(open_raw):
                    durations.append(time.monotonic() - began)
            return durations

    return uvloop.run(run())


def open_by_hand(target: str, count: int, ca_file: str, _pause_seconds: float) -> list[float]:
    """Open tasks, each on a WebSocket of its own."""

    async def run() -> list[float]:
        tls = ssl.create_default_context(cafile=ca_file)
        durations = []
        async with aiohttp.ClientSession() as http:
            for _ in range(count):
                began = time.monotonic()
                async with open_task(http, target, tls):
                    durations.append(time.monotonic() - began)
        return durations

    return uvloop.run(run())


def open_by_sdk(target: str, count: int, _ca_file: str, _pause_seconds: float) -> list[float]:
    """Open the SDK's streams; that a task has started it tells in its debug log only."""
    import dashscope  # noqa: PLC0415 half a second that the other kinds need not wait
    from dashscope.audio.asr import Recognition, RecognitionCallback  # noqa: PLC0415

    dashscope.api_key = "benchmark"
    dashscope.base_websocket_api_url = target + PATH
    started = _Started()
    logger = logging.getLogger("dashscope")
    logger.addHandler(started)
    logger.setLevel(logging.DEBUG)
    durations = []
    for _ in range(count):
        recognition: Any = Recognition(  # the SDK has no types
            model=MODEL, format="pcm", sample_rate=SAMPLE_RATE_HERTZ, callback=RecognitionCallback()
        )
        started.is_seen.clear()
        began = time.monotonic()
        recognition.start()
        if not started.is_seen.wait(_PATIENCE_SECONDS):
            raise TimeoutError("the SDK did not start its task")
        durations.append(started.at - began)
        recognition.send_audio_frame(PACKET)
        recognition.stop()
    return durations


class _Started(logging.Handler):
    """Notes when the SDK logs that its task has started."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.is_seen = threading.Event()
        self.at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if "task-started" in record.getMessage():
            self.at = time.monotonic()
            self.is_seen.set()


KINDS: Final[Mapping[str, Callable[[str, int, str, float], list[float]]]] = {
    "gateway": open_by_gateway,
    "bare": open_by_hand,
    "sdk": open_by_sdk,
}


def main() -> None:
    """Run this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--ca-file", default="")
    parser.add_argument("--pause-seconds", type=float, default=0.0)
    arguments = parser.parse_args()
    open_all = KINDS[arguments.kind]
    durations = open_all(arguments.target, arguments.count, arguments.ca_file, arguments.pause_seconds)
    tell(DONE, seconds=durations)


if __name__ == "__main__":
    main()
