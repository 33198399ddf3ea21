"""Start a gateway, stream three recordings to it, show the text, and stop it. Run by `make demo`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from asrgateway import Finished, RecognitionClient, RecognitionError, StreamingConfig
from asrgateway.audio_file import AudioFile, open_audio
from asrgateway.pacing import at_speaking_speed
from asrgateway.terminal import Tail, Terminal

# Python 3.11 logs a warning there when a child process has ended before it is terminated.
logging.getLogger("asyncio").setLevel(logging.ERROR)

RECORDINGS: Final = Path(__file__).resolve().parent / "recordings"
#: The expected text, word for word; None: hard for the embedded recogniser, so only shown.
WORDS: Final[Mapping[str, str | None]] = {
    "mother.wav": "please call my mother tomorrow morning",
    "boy.wav": "the boy was there when the sun rose",
    "fox.wav": None,
}
FREE_PORTS: Final = {
    "ASRGATEWAY_LISTEN": "127.0.0.1:0",
    "ASRGATEWAY_HEALTH_LISTEN": "127.0.0.1:0",
    "ASRGATEWAY_HTTP_LISTEN": "127.0.0.1:0",
}
ONE_CALL_AT_A_TIME: Final = {"ASRGATEWAY_EMBEDDED_WORKERS": "1", "ASRGATEWAY_DRAIN_SECONDS": "2"}
RIVA_SETTINGS: Final = {"ASRGATEWAY_RIVA_FACADE": "true"}
RIVA_METHOD: Final = "/nvidia.riva.asr.RivaSpeechRecognition/StreamingRecognize"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0


#: Recognises a recording, and returns its text.
Recognise = Callable[[AudioFile], Awaitable[str]]


class GatewayFailed(Exception):
    """The gateway did not start or stop as it should; the message shows the end of its log."""


class Gateway:
    """A gateway in a child process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._log: deque[str] = deque(maxlen=20)
        self._target: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read_log(), name="read log")

    async def target(self) -> str:
        """Wait until the gateway accepts calls, and return its address.

        Raises:
            GatewayFailed: The gateway has ended, or is not ready in time.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                if target := await asyncio.shield(self._target):
                    return target
        raise GatewayFailed(f"The gateway did not start:\n{self.log()}")

    async def stop(self) -> int:
        """Terminate the gateway and return its exit code; kill it if it does not end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        await self._reading
        return await self._process.wait()

    def log(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(f"  {line}" for line in self._log)

    async def _read_log(self) -> None:
        async for line in self._process.stderr or asyncio.StreamReader():
            self._log.append(line.decode(errors="replace").rstrip())
            if not self._target.done() and '"message": "listening"' in self._log[-1]:
                self._target.set_result(json.loads(self._log[-1])["grpc"])
        if not self._target.done():
            self._target.set_result("")


@asynccontextmanager
async def running_gateway(more: Mapping[str, str]) -> AsyncIterator[str]:
    """Run a gateway with the demo's settings and these only, yield its address, and stop it.

    Raises:
        GatewayFailed: The gateway did not start, or did not end with exit code 0.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith(("ASRGATEWAY_", "DASHSCOPE_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asrgateway_server", "serve"),
        env=others | FREE_PORTS | ONE_CALL_AT_A_TIME | dict(more),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    gateway = Gateway(process)
    try:
        yield await gateway.target()
    finally:
        code = await gateway.stop()
    if code:
        raise GatewayFailed(f"The gateway ended with exit code {code}:\n{gateway.log()}")


async def recognise(client: RecognitionClient, audio: AudioFile, screen: Terminal, *, is_fast: bool) -> str:
    """Stream one recording, show the text as it arrives, and return the whole final text."""
    config = StreamingConfig(model="embedded", decoding_config=audio.decoding_config, interim_results=True)
    messages = audio.messages(audio.message_bytes)
    finals = []
    async for response in client.recognize(
        config, messages if is_fast else at_speaking_speed(messages, audio.message_seconds), timeout=60
    ):
        match response.WhichOneof("response"):
            case "result" if response.result.is_final:
                finals.append(response.result.transcript)
                screen.close()
                screen.result(f"  {response.result.transcript}")
            case "result":
                show_interim(screen, response.result.transcript)
            case "finished":
                screen.result(f"  {delays(response.finished)}")
    return " ".join(finals)


async def recognise_as_riva(channel: grpc.aio.Channel, audio: AudioFile, screen: Terminal, *, is_fast: bool) -> str:
    """Do the same as a client of NVIDIA Riva, which says nothing of the file that it sends."""
    # Without --riva only the child needs the server's package.
    from asrgateway_server.riva_api import asr_pb2 as riva  # noqa: PLC0415

    async def requests() -> AsyncIterator[riva.StreamingRecognizeRequest]:
        config = riva.StreamingRecognitionConfig(interim_results=True)
        yield riva.StreamingRecognizeRequest(streaming_config=config)
        async for message in audio.stream(is_fast=is_fast):
            yield riva.StreamingRecognizeRequest(audio_content=message)

    # Any: gRPC gives a method without a stub no narrower type.
    call: Any = channel.stream_stream(
        RIVA_METHOD,
        request_serializer=riva.StreamingRecognizeRequest.SerializeToString,
        response_deserializer=riva.StreamingRecognizeResponse.FromString,
    )
    text = ""
    async for response in call(requests(), timeout=60):
        for result in response.results:
            transcript = result.alternatives[0].transcript
            if result.is_final:
                text += transcript
                screen.close()
                screen.result(f"  {transcript.strip()}")
            else:
                show_interim(screen, transcript.strip())
    return text


def show_interim(screen: Terminal, text: str) -> None:
    """Redraw the text so far on a terminal; write it as a line anywhere else."""
    if sys.stdout.isatty():
        screen.live(Tail(text, "  "))
    else:
        screen.result(f"  ... {text}")


def delays(finished: Finished) -> str:
    """Return the delays of a call at the gateway's edge, with the recogniser's part of each."""
    first, last = (
        f"{name} package {_ms(finished, f'{name}_package_delay')} "
        f"(recogniser {_ms(finished, f'upstream_{name}_package_delay')})"
        for name in ("first", "last")
    )
    return f"{first}, {last}"


def _ms(finished: Message, field: str) -> str:
    return f"{getattr(finished, field).ToMilliseconds()} ms" if finished.HasField(field) else "none"


@asynccontextmanager
async def connected(target: str, screen: Terminal, *, is_fast: bool, is_riva: bool) -> AsyncIterator[Recognise]:
    """Yield what recognises a recording, by either of the gateway's services."""
    if is_riva:
        async with grpc.aio.insecure_channel(target) as channel:
            yield lambda audio: recognise_as_riva(channel, audio, screen, is_fast=is_fast)
    else:
        async with RecognitionClient(target) as client:
            yield lambda audio: recognise(client, audio, screen, is_fast=is_fast)


async def demonstrate(screen: Terminal, *, is_fast: bool, is_riva: bool) -> bool:
    """Run the whole demo; return whether all texts are as expected."""
    began = time.monotonic()
    wrong = []
    async with (
        running_gateway(RIVA_SETTINGS if is_riva else {}) as target,
        connected(target, screen, is_fast=is_fast, is_riva=is_riva) as recognise_file,
    ):
        screen.result(f"The gateway listens on {target} after {time.monotonic() - began:.1f} s.")
        for name, words in WORDS.items():
            audio = open_audio(RECORDINGS / name, encoding=None, sample_rate_hertz=None, channel_count=None)
            screen.result("")
            screen.result(f"{name}, {'at once' if is_fast else 'at speaking speed'}")
            text = await recognise_file(audio)
            if words is not None and text != words:
                wrong.append(f"{name} should have been: {words}")
    screen.result("")
    for line in wrong or ["All texts are as expected; the gateway has stopped."]:
        screen.result(line)
    return not wrong


async def run(*, is_fast: bool, is_riva: bool) -> bool:
    """Run the demo; a signal that ends it also ends its gateway."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    screen = Terminal(sys.stdout, sys.stdout)
    try:
        return await demonstrate(screen, is_fast=is_fast, is_riva=is_riva)
    finally:
        screen.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, 1 if the demo failed, or 130 if it was interrupted."""
    parser = argparse.ArgumentParser(description="Start a gateway, stream three recordings to it, and stop it.")
    parser.add_argument("--fast", action="store_true", help="send the recordings at once, not at speaking speed")
    parser.add_argument("--riva", action="store_true", help="call as clients of NVIDIA Riva do")
    options = parser.parse_args(arguments)
    try:
        return 0 if asyncio.run(run(is_fast=options.fast, is_riva=options.riva)) else 1
    except (GatewayFailed, RecognitionError, grpc.aio.AioRpcError) as error:
        print(error, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


if __name__ == "__main__":
    sys.exit(main())
