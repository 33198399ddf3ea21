"""``asr-client load``: many streams at speaking speed, and what they wait for."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing

from rich.text import Text

from asrgateway.advice import advice_for
from asrgateway.audio_file import AudioFile, open_audio
from asrgateway.client import RecognitionClient
from asrgateway.commands import LoadCommand
from asrgateway.errors import RecognitionError
from asrgateway.exit_codes import FAILED, OK
from asrgateway.load_report import load_json, load_table
from asrgateway.load_statistics import CallTimes, LoadStatistics
from asrgateway.pacing import at_speaking_speed
from asrgateway.terminal import Terminal
from asrgateway.v1.recognition_pb2 import AudioEncoding, DecodingConfig, StreamingConfig

_STREAMS_PER_CONNECTION = 100  # Many gateways and proxies allow no more on one connection.
_PAUSE_AFTER_ERROR_SECONDS = 1.0
_LAST_RESULTS_SECONDS = 30.0
_TICK_SECONDS = 0.5


async def run_load(command: LoadCommand, terminal: Terminal) -> int:
    """Run the streams until the time is up, print what was measured, and return the exit code.

    Raises:
        OSError: The file cannot be read.
        UnusableFile: The file cannot be sent, or not with these options.
    """
    audio = open_audio(
        command.path,
        encoding=command.encoding,
        sample_rate_hertz=command.sample_rate_hertz,
        channel_count=command.channel_count,
    )
    load = _Load(command, audio)
    async with AsyncExitStack() as stack:
        # Without a pool of its own each channel would share one connection.
        clients = [
            await stack.enter_async_context(command.connection.client(("grpc.use_local_subchannel_pool", 1)))
            for _ in range(-(-command.streams // _STREAMS_PER_CONNECTION))
        ]
        async with asyncio.TaskGroup() as tasks:
            display = tasks.create_task(load.show(terminal), name="show load")
            async with asyncio.TaskGroup() as streams:
                for number in range(command.streams):
                    client = clients[number // _STREAMS_PER_CONNECTION]
                    streams.create_task(load.run_stream(number, client), name=f"stream {number}")
            display.cancel()
    terminal.close()
    lines = (
        [load_json(load.statistics, command.streams)]
        if command.is_json
        else load_table(load.statistics, command.streams)
    )
    for line in lines:
        terminal.result(line)
    if load.first_error is None:
        return OK
    terminal.note(f"asr-client: {load.first_error}")
    terminal.note(f"asr-client: {advice_for(load.first_error, command.connection)}")
    return FAILED


class _Load:
    """A load test that runs.

    Attributes:
        statistics: Of the calls that have ended.
        first_error: None: all of them ended with OK.
    """

    def __init__(self, command: LoadCommand, audio: AudioFile) -> None:
        self.statistics = LoadStatistics()
        self.first_error: RecognitionError | None = None
        self._command = command
        self._samples = audio.samples()
        self._message_bytes = audio.message_bytes
        self._message_seconds = audio.message_seconds
        self._began = time.monotonic()
        self._open = 0
        self._config = StreamingConfig(
            decoding_config=DecodingConfig(
                encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16,
                sample_rate_hertz=audio.sample_rate_hertz,
                audio_channel_count=audio.channel_count,
            )
        )
        self._config.MergeFrom(command.config)

    async def run_stream(self, number: int, client: RecognitionClient) -> None:
        """Wait for the stream's turn; then keep a call open until the time is up, a new one after each error."""
        await asyncio.sleep(self._command.ramp_seconds * number / self._command.streams)
        while (left := self._left_seconds) > 0:
            if await self._call(client, left) == "OK":
                return
            await asyncio.sleep(max(0.0, min(_PAUSE_AFTER_ERROR_SECONDS, self._left_seconds)))

    async def show(self, terminal: Terminal) -> None:
        """Show how far the test is, until it is cancelled."""
        whole = self._command.ramp_seconds + self._command.duration_seconds
        while True:
            passed = min(whole, time.monotonic() - self._began)
            failed = self.statistics.failed
            terminal.live(Text(f"{passed:.0f} of {whole:.0f} s, {self._open} streams open, {failed} calls failed"))
            await asyncio.sleep(_TICK_SECONDS)

    @property
    def _left_seconds(self) -> float:
        return self._began + self._command.ramp_seconds + self._command.duration_seconds - time.monotonic()

    async def _call(self, client: RecognitionClient, seconds: float) -> str:
        """Run one call and return its status."""
        times = CallTimes(self._message_seconds)
        call = client.recognize(self._config, self._audio(times, seconds), timeout=seconds + _LAST_RESULTS_SECONDS)
        self._open += 1
        try:
            async with aclosing(call) as responses:
                async for response in responses:
                    times.received(response, time.monotonic())
        except RecognitionError as error:
            status = error.code.name
            self.first_error = self.first_error or error
        else:
            status = "OK"
        finally:
            self._open -= 1
        self.statistics.add(times, status)
        return status

    async def _audio(self, times: CallTimes, seconds: float) -> AsyncIterator[bytes]:
        messages = _looped(self._samples, self._message_bytes, max(1, round(seconds / self._message_seconds)))
        async for message in at_speaking_speed(messages, self._message_seconds):
            times.sent(time.monotonic())
            yield message


def _looped(samples: bytes, message_bytes: int, count: int) -> Iterator[bytes]:
    """Yield so many messages of the samples, which begin again and again."""
    start = 0
    for _ in range(count):
        message = samples[start : start + message_bytes]
        while len(message) < message_bytes:
            message += samples[: message_bytes - len(message)]
        yield message
        start = (start + message_bytes) % len(samples)
