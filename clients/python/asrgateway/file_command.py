"""``asr-client file``: recognises recordings, several at the same time."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from asrgateway.advice import advice_for
from asrgateway.audio_file import UnusableFile
from asrgateway.client import RecognitionClient
from asrgateway.commands import FileCommand
from asrgateway.errors import RecognitionError
from asrgateway.exit_codes import FAILED, OK, UNUSABLE
from asrgateway.outputs import CAPTION_FORMATS, Output, WriteLine, open_output
from asrgateway.progress_bars import ProgressBars
from asrgateway.recordings import STANDARD_INPUT, Found, Recording, find_recordings, open_recording
from asrgateway.report import Outcome, Report
from asrgateway.summary import summary_line, summary_table
from asrgateway.terminal import Terminal, printable
from asrgateway.v1.recognition_pb2 import StreamingConfig
from asrgateway.waiting import reconnect_for

_SUFFIXES: Final = {"json": ".jsonl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One recording, and where its results go.

    Attributes:
        number: Its place on the command line, from 0.
        found: Its path and name.
        recording: What is sent.
        output_path: The file for its results; None: standard output.
    """

    number: int
    found: Found
    recording: Recording
    output_path: Path | None


async def recognize_files(command: FileCommand, terminal: Terminal) -> int:
    """Recognise all recordings and return the exit code; no call begins before all files are found to be readable.

    Raises:
        OSError: A file cannot be read or written.
        UnusableFile: A file cannot be sent, or not with these options.
        BrokenPipeError: The reader of the output has left.
    """
    began = time.monotonic()
    jobs = _jobs(command)
    async with command.connection.client() as client:
        outcomes = await _Jobs(command, client, terminal, jobs).run()
    if len(jobs) > 1:
        terminal.table(summary_table(outcomes))
        terminal.note(summary_line(outcomes, time.monotonic() - began))
    return max(outcome.exit_code for outcome in outcomes)


def _jobs(command: FileCommand) -> list[Job]:
    found = find_recordings(command.paths)
    if len(found) > 1 and command.output in CAPTION_FORMATS and command.output_folder is None:
        raise UnusableFile(f"captions of {len(found)} recordings need a file each: add --output-dir")
    recordings = [
        open_recording(
            one.path,
            encoding=command.encoding,
            sample_rate_hertz=command.sample_rate_hertz,
            channel_count=command.channel_count,
        )
        for one in found
    ]
    outputs = [_output_path(one, command) for one in found]
    for output in outputs:
        if output is not None and outputs.count(output) > 1:
            raise UnusableFile(f"two recordings would be written to {output}: name their folder in place of the files")
    return [
        Job(number=number, found=one, recording=recording, output_path=output)
        for number, (one, recording, output) in enumerate(zip(found, recordings, outputs, strict=True))
    ]


def _output_path(found: Found, command: FileCommand) -> Path | None:
    if command.output_folder is None:
        return None
    name = Path("stdin") if found.path == STANDARD_INPUT else found.name
    return command.output_folder / name.with_suffix(_SUFFIXES.get(command.output, f".{command.output}"))


class _Jobs:
    """The calls of one command, as many at the same time as it allows."""

    def __init__(self, command: FileCommand, client: RecognitionClient, terminal: Terminal, jobs: list[Job]) -> None:
        self._command = command
        self._client = client
        self._terminal = terminal
        self._jobs = jobs
        self._bars = ProgressBars(terminal, len(jobs))
        self._outcomes: dict[int, Outcome] = {}
        self._wait_seconds = command.wait_seconds

    async def run(self) -> list[Outcome]:
        """Run all, and return how each went, in the order of the command line."""
        waiting = iter(self._jobs)
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(min(self._command.jobs, len(self._jobs))):
                    tasks.create_task(self._work(waiting), name=f"recognise {number}")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return [self._outcomes[job.number] for job in self._jobs]

    async def _work(self, waiting: Iterator[Job]) -> None:
        for job in waiting:
            self._outcomes[job.number] = await self._recognize(job)

    async def _recognize(self, job: Job) -> Outcome:
        found = job.found
        bar = self._bars.begin(str(found.name), job.recording.seconds)
        report = Report(self._terminal, job.recording, bar, "" if self._is_alone else str(found.path))
        try:
            with self._lines(job) as write_line:
                await self._call(job.recording, report, self._output(job, write_line))
        except RecognitionError as error:
            if report.is_waiting:
                self._wait_seconds = None  # Not for each of a thousand recordings anew.
            report.failed(error, advice_for(error, self._command.connection))
            return report.outcome(error.code.name, FAILED)
        except BrokenPipeError:
            raise
        except OSError as error:
            report.unusable(f"{error.filename or 'input and output'}: {error.strerror}")
            return report.outcome("unusable", UNUSABLE)
        except UnusableFile as error:
            report.unusable(str(error))
            return report.outcome("unusable", UNUSABLE)
        return report.outcome("OK", OK)

    async def _call(self, recording: Recording, report: Report, output: Output) -> None:
        config = StreamingConfig(decoding_config=recording.decoding_config)
        config.MergeFrom(self._command.config)
        messages = _counted(recording.stream(is_fast=self._command.is_fast), report)
        is_live = recording.seconds is None
        reconnect = reconnect_for(self._command.connection, self._wait_seconds, report, is_live=is_live)
        call = self._client.recognize(config, messages, timeout=self._command.timeout_seconds, reconnect=reconnect)
        async with aclosing(call) as responses:
            async for response in responses:
                report.received(response)
                output.received(response)

    @property
    def _is_alone(self) -> bool:
        return len(self._jobs) == 1

    @contextmanager
    def _lines(self, job: Job) -> Iterator[WriteLine]:
        """Yield what takes the lines of a recording's results."""
        if job.output_path is None:
            yield partial(self._terminal.result, label=self._label(job))
        else:
            job.output_path.parent.mkdir(parents=True, exist_ok=True)
            with job.output_path.open("w", encoding="utf-8") as file:
                yield lambda line: print(printable(line), file=file)

    def _label(self, job: Job) -> str:
        if self._is_alone or self._command.output == "json":
            return ""
        return f"{printable(str(job.found.name))}: " if self._terminal.has_names else f"{job.number}\t"

    def _output(self, job: Job, write_line: WriteLine) -> Output:
        has_own_file = self._is_alone or job.output_path is not None
        more = {} if has_own_file else {"file": job.number, "path": str(job.found.path)}
        return open_output(self._command.output, write_line, more)


async def _counted(messages: AsyncIterator[bytes], report: Report) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message
        report.sent(len(message))
