"""The command ``asr-client``: runs it and returns the exit code."""

import asyncio
import io
import os
import sys
from collections.abc import Sequence
from functools import partial

from asrgateway.advice import advice_for
from asrgateway.arguments import parse
from asrgateway.audio_file import UnusableFile
from asrgateway.commands import Command, FileCommand, LoadCommand, MicCommand, ModelsCommand
from asrgateway.errors import RecognitionError
from asrgateway.exit_codes import FAILED, INTERRUPTED, OK, UNUSABLE
from asrgateway.file_command import recognize_files
from asrgateway.json_lines import to_json
from asrgateway.load_command import run_load
from asrgateway.mic_command import run_mic
from asrgateway.microphone import UnusableDevice
from asrgateway.model_table import model_table
from asrgateway.terminal import Terminal
from asrgateway.waiting import answer_of

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
        return await _run(command, terminal)
    except RecognitionError as error:
        terminal.note(f"asr-client: {error}")
        terminal.note(f"asr-client: {advice_for(error, command.connection)}")
        return FAILED
    except BrokenPipeError:
        raise
    except OSError as error:
        terminal.note(f"asr-client: {error.filename or 'input and output'}: {error.strerror}")
        return UNUSABLE
    except (UnusableFile, UnusableDevice) as error:
        terminal.note(f"asr-client: {error}")
        return UNUSABLE
    finally:
        terminal.close()


async def _run(command: Command, terminal: Terminal) -> int:
    match command:
        case FileCommand():
            return await recognize_files(command, terminal)
        case LoadCommand():
            return await run_load(command, terminal)
        case MicCommand():
            return await run_mic(command, terminal)
        case ModelsCommand():
            return await _list_models(command, terminal)


async def _list_models(command: ModelsCommand, terminal: Terminal) -> int:
    async with command.connection.client() as client:
        ask = partial(client.list_models, timeout=_MODELS_TIMEOUT_SECONDS)
        response = await answer_of(ask, command.connection, command.wait_seconds, terminal)
    lines = [to_json(response)] if command.is_json else model_table(response)
    for line in lines:
        terminal.result(line)
    return OK
