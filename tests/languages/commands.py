"""The commands of all languages: a new one is a row here."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calls import ROOT

#: The program, which `make clients` builds, and what comes before its options.
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "python": (str(Path(sys.executable).with_name("asr-client")), "file", "--jobs", "50"),
    "go": (str(ROOT / "clients" / "go" / "bin" / "asr-client-go"),),
    "java": (str(ROOT / "clients" / "java" / "target" / "asr-client-java"),),
    "typescript": (str(ROOT / "clients" / "typescript" / "dist" / "cli.js"),),
    "rust": (str(ROOT / "clients" / "rust" / "target" / "release" / "asr-client-rust"),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a command left behind.

    Attributes:
        code: Its exit code.
        lines: Of its standard output.
        errors: Its standard error.
    """

    code: int
    lines: list[str]
    errors: str


async def start(command: tuple[str, ...], *arguments: object) -> asyncio.subprocess.Process:
    """Start a command with these arguments; it finds no key in its environment."""
    environment = {name: value for name, value in os.environ.items() if name != "ASR_API_KEY"}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command, *map(str, arguments), env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    )


async def ended(process: asyncio.subprocess.Process, standard_input: bytes = b"", *, within_seconds: float) -> Ended:
    """Wait for the end of a command; it is killed when that takes too long."""
    try:
        async with asyncio.timeout(within_seconds):
            output, errors = await process.communicate(standard_input)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(code=process.returncode, lines=output.decode().splitlines(), errors=errors.decode())


async def run(command: tuple[str, ...], *arguments: object, standard_input: bytes = b"") -> Ended:
    """Run a command to its end."""
    return await ended(await start(command, *arguments), standard_input, within_seconds=120)
