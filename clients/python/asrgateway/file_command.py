"""``asr-client file``: recognises recordings, several at the same time."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path

from asrgateway.arguments import FileCommand
from asrgateway.audio_file import UnusableFile
from asrgateway.client import RecognitionClient
from asrgateway.errors import RecognitionError
from asrgateway.exit_codes import FAILED, OK, UNUSABLE
from asrgateway.outputs import JsonOutput, Output, TextOutput
from asrgateway.progress_bars import ProgressBars
from asrgateway.recordings import Recording, find_recordings, open_recordings
from asrgateway.report import Outcome, Report
from asrgateway.summary import summary_line, summary_table
from asrgateway.terminal import Terminal, printable
from asrgateway.v1.recognition_pb2 import StreamingConfig

Job = tuple[int, Path, Recording]


async def recognize_files(command: FileCommand, client: RecognitionClient, terminal: Terminal) -> int:
    """Recognise all recordings and return the exit code; no call begins before all files are found to be readable.

    Raises:
        OSError: A file cannot be read.
        UnusableFile: A file cannot be sent, or not with these options.
        BrokenPipeError: The reader of the output has left.
    """
    began = time.monotonic()
    paths = find_recordings(command.paths)
    recordings = open_recordings(
        paths,
        encoding=command.encoding,
        sample_rate_hertz=command.sample_rate_hertz,
        channel_count=command.channel_count,
    )
    jobs = [(number, path, recording) for number, (path, recording) in enumerate(zip(paths, recordings, strict=True))]
    outcomes = await _Jobs(command, client, terminal, jobs).run()
    if len(jobs) > 1:
        terminal.table(summary_table(outcomes))
        terminal.note(summary_line(outcomes, time.monotonic() - began))
    return max(outcome.exit_code for outcome in outcomes)


class _Jobs:
    """The calls of one command, as many at the same time as it allows."""

    def __init__(self, command: FileCommand, client: RecognitionClient, terminal: Terminal, jobs: list[Job]) -> None:
        self._command = command
        self._client = client
        self._terminal = terminal
        self._jobs = jobs
        self._bars = ProgressBars(terminal, len(jobs))
        self._outcomes: dict[int, Outcome] = {}

    async def run(self) -> list[Outcome]:
        """Run all, and return how each went, in the order of the command line."""
        waiting = iter(self._jobs)
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(min(self._command.jobs, len(self._jobs))):
                    tasks.create_task(self._work(waiting), name=f"recognise {number}")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return [self._outcomes[number] for number, _, _ in self._jobs]

    async def _work(self, waiting: Iterator[Job]) -> None:
        for job in waiting:
            self._outcomes[job[0]] = await self._recognize(*job)

    async def _recognize(self, number: int, path: Path, recording: Recording) -> Outcome:
        name = str(path) if len(self._jobs) > 1 else ""
        bar = self._bars.begin(path.name, recording.seconds)
        report = Report(self._terminal, recording, self._output(number, path), bar, name)
        try:
            await self._call(recording, report)
        except RecognitionError as error:
            report.failed(error, error.advice)
            return report.outcome(error.code.name, FAILED)
        except BrokenPipeError:
            raise
        except OSError as error:
            report.unusable(f"{error.filename or 'input and output'}: {error.strerror}")
            return report.outcome("unreadable", UNUSABLE)
        except UnusableFile as error:
            report.unusable(str(error))
            return report.outcome("unreadable", UNUSABLE)
        return report.outcome("OK", OK)

    async def _call(self, recording: Recording, report: Report) -> None:
        config = StreamingConfig(decoding_config=recording.decoding_config)
        config.MergeFrom(self._command.config)
        messages = _counted(recording.stream(is_fast=self._command.is_fast), report)
        call = self._client.recognize(config, messages, timeout=self._command.timeout_seconds)
        async with aclosing(call) as responses:
            async for response in responses:
                report.received(response)

    def _output(self, number: int, path: Path) -> Output:
        is_alone = len(self._jobs) == 1
        if self._command.is_json:
            return JsonOutput(self._terminal.result, {} if is_alone else {"file": number, "path": str(path)})
        label = f"{printable(path.name)}: " if self._terminal.has_names else f"{number}\t"
        return TextOutput(partial(self._terminal.result, label="" if is_alone else label))


async def _counted(messages: AsyncIterator[bytes], report: Report) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message
        report.sent(len(message))
