"""The command ``asr-client``: runs it and returns the exit code."""

import asyncio
import io
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from asrgateway.arguments import Command, FileCommand, ModelsCommand, parse
from asrgateway.audio_file import AudioFile, UnusableFile, open_audio
from asrgateway.client import RecognitionClient
from asrgateway.connection import Connection
from asrgateway.errors import RecognitionError
from asrgateway.json_lines import to_json
from asrgateway.model_table import model_table
from asrgateway.pacing import at_speaking_speed
from asrgateway.report import Report
from asrgateway.terminal import Terminal
from asrgateway.v1.recognition_pb2 import StreamingConfig

OK, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

_MODELS_TIMEOUT_SECONDS = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code of the process.

    Args:
        arguments: Without the program's name; None: those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # A narrow encoding must not end a call.
    try:
        return asyncio.run(run(parse(arguments)))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has left; the interpreter must find nothing to flush into the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


async def run(command: Command) -> int:
    """Run one command and return the exit code.

    Raises:
        BrokenPipeError: The reader of the output has left.
    """
    terminal = Terminal(sys.stdout, sys.stderr)
    try:
        match command:
            case FileCommand():
                await _recognize_file(command, terminal)
            case ModelsCommand():
                await _list_models(command, terminal)
    except RecognitionError as error:
        terminal.note(f"asr-client: {error}")
        terminal.note(f"asr-client: {error.advice}")
        return FAILED
    except BrokenPipeError:
        raise
    except OSError as error:
        terminal.note(f"asr-client: {error.filename or 'input and output'}: {error.strerror}")
        return UNUSABLE
    except UnusableFile as error:
        terminal.note(f"asr-client: {error}")
        return UNUSABLE
    finally:
        terminal.close()
    return OK


async def _recognize_file(command: FileCommand, terminal: Terminal) -> None:
    audio = open_audio(
        command.path,
        encoding=command.encoding,
        sample_rate_hertz=command.sample_rate_hertz,
        channel_count=command.channel_count,
    )
    config = StreamingConfig(decoding_config=audio.decoding_config)
    config.MergeFrom(command.config)
    report = Report(terminal, audio, is_json=command.is_json)
    messages = _sent(_messages(audio, is_fast=command.is_fast), report)
    async with (
        _client(command.connection) as client,
        aclosing(client.recognize(config, messages, timeout=command.timeout_seconds)) as responses,
    ):
        async for response in responses:
            report.received(response)


def _client(connection: Connection) -> RecognitionClient:
    try:
        return RecognitionClient(
            connection.target,
            credentials=connection.credentials(),
            api_key=connection.api_key(),
            channel_options=connection.channel_options,
        )
    except ValueError as error:
        raise UnusableFile(str(error)) from None


def _messages(audio: AudioFile, *, is_fast: bool) -> AsyncIterator[bytes]:
    if is_fast:
        return at_speaking_speed(audio.messages(), 0.0)
    return at_speaking_speed(audio.messages(audio.message_bytes), audio.message_seconds)


async def _sent(messages: AsyncIterator[bytes], report: Report) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message
        report.sent(len(message))


async def _list_models(command: ModelsCommand, terminal: Terminal) -> None:
    async with _client(command.connection) as client:
        response = await client.list_models(timeout=_MODELS_TIMEOUT_SECONDS)
    lines = [to_json(response)] if command.is_json else model_table(response)
    for line in lines:
        terminal.result(line)
