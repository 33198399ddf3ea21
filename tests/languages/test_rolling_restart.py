"""A client of every language survives the restart of all gateways: no word is lost, none is doubled."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from dashscope_emulator import EmulatorOptions, running_emulator
from dashscope_emulator.recognizers.markers import marker_audio
from gateways import eventually
from languages.balancer import Balancer, running_balancer
from languages.commands import Ended, ended, start
from languages.recordings import MODEL, sentences, write_wav
from processes import GatewayProcess
from processes import start as start_gateway

#: Each has a connection of its own, with all of its calls.
COMMANDS = 3
CALLS = 10
WORD_BYTES = 9600


@asynccontextmanager
async def gateways(count: int, folder: Path) -> AsyncIterator[list[GatewayProcess]]:
    """Processes with one vendor of marked audio."""
    key_file = folder / "key"
    key_file.write_text("sk-test", encoding="utf-8")
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(running_emulator(EmulatorOptions(recognizer="markers")))
        settings = {
            "dashscope_url": vendor.url,
            "dashscope_api_key_file": str(key_file),
            "embedded_workers": "0",
            "drain_seconds": "4",
            "last_scrape_seconds": "0",
        }
        started: list[GatewayProcess] = []
        stack.push_async_callback(end_all, started)
        for _ in range(count):
            started.append(GatewayProcess(await start_gateway("serve", **settings)))
            await started[-1].address("grpc")  # On a busy machine many that start at once take too long.
        yield started


async def end_all(processes: Iterable[GatewayProcess]) -> None:
    for gateway in processes:
        if gateway.process.returncode is None:
            gateway.process.kill()
        await gateway.exit_code()


def calls_of(gateway: GatewayProcess) -> int:
    return sum(line["message"] == "call started" for line in gateway.lines)


async def take_out(gateway: GatewayProcess, balancer: Balancer) -> None:
    """Stop a gateway as an orchestrator does: it gets no new connections, then SIGTERM."""
    balancer.gateways.remove(await gateway.address("grpc"))
    gateway.process.terminate()
    assert await gateway.exit_code() == 0


def write_recordings(folder: Path, sentence_count: int) -> tuple[list[Path], list[list[str]]]:
    """Two recordings and their words: sentences of three words, and as much without a pause, final at its end."""
    with_pauses = sentences((3,) * sentence_count)
    word_count = len(with_pauses) // WORD_BYTES
    without = marker_audio(0, 30 * word_count)
    recordings = [write_wav(folder / "pauses.wav", with_pauses), write_wav(folder / "no_pause.wav", without)]
    return recordings, [all_words(3 * sentence_count), all_words(word_count)]


def words_by_call(result: Ended) -> dict[int, list[str]]:
    words: dict[int, list[str]] = defaultdict(list)
    for line in result.lines:
        number, _, text = line.partition("\t")
        words[int(number)] += text.split()
    return words


def all_words(count: int) -> list[str]:
    return [f"w{number}" for number in range(count)]


@pytest.mark.timeout(300)  # Alone it takes 30 s; a gateway takes 20 s to start where others load the machine.
async def test_no_word_is_lost_or_doubled_while_all_gateways_are_replaced(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    recordings, words = write_recordings(tmp_path, sentence_count=8)
    async with gateways(4, tmp_path) as (first, second, third, fourth), running_balancer() as balancer:
        addresses = [await gateway.address("grpc") for gateway in (first, second, third, fourth)]
        balancer.gateways += addresses[:2]
        arguments = ("--target", balancer.target, "--model", MODEL, *recordings * (CALLS // 2))
        clients = [await start(command, *arguments) for _ in range(COMMANDS)]
        running = [asyncio.create_task(ended(client, within_seconds=120)) for client in clients]
        await eventually(lambda: calls_of(first) + calls_of(second) == COMMANDS * CALLS)
        balancer.gateways.append(addresses[2])
        await take_out(first, balancer)
        balancer.gateways.append(addresses[3])
        await take_out(second, balancer)
        assert not any(task.done() for task in running)
        results = await asyncio.gather(*running)
    assert [result.code for result in results] == [0] * COMMANDS, [result.errors for result in results]
    assert [words_by_call(result) for result in results] == [dict(enumerate(words * (CALLS // 2)))] * COMMANDS
    assert calls_of(first) > 0
    assert calls_of(second) > 0
    assert calls_of(third) + calls_of(fourth) >= COMMANDS * CALLS


@pytest.mark.timeout(300)  # As above.
async def test_no_word_is_lost_or_doubled_when_a_gateway_is_killed(command: tuple[str, ...], tmp_path: Path) -> None:
    recordings, words = write_recordings(tmp_path, sentence_count=4)
    async with gateways(2, tmp_path) as (first, second), running_balancer() as balancer:
        balancer.gateways.append(await first.address("grpc"))
        await second.address("grpc")
        client = await start(command, "--target", balancer.target, "--model", MODEL, *recordings)
        running = asyncio.create_task(ended(client, within_seconds=120))
        await eventually(lambda: balancer.passed_bytes > 2 * 3 * 32_000)  # Three seconds of audio of each.
        balancer.gateways[:] = [await second.address("grpc")]
        first.process.kill()
        result = await running
    assert (result.code, words_by_call(result)) == (0, dict(enumerate(words)))
