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
WORDS_OF_SENTENCES, WORDS_WITHOUT_PAUSE = 24, 50


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


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """Fifteen seconds each: one of eight sentences, and one without a pause, which is final only at its end."""
    pauses = write_wav(tmp_path / "pauses.wav", sentences((3,) * 8))
    no_pause = write_wav(tmp_path / "no_pause.wav", marker_audio(0, 30 * WORDS_WITHOUT_PAUSE))
    return [pauses, no_pause] * (CALLS // 2)


def words_by_call(result: Ended) -> dict[int, list[str]]:
    words: dict[int, list[str]] = defaultdict(list)
    for line in result.lines:
        number, _, text = line.partition("\t")
        words[int(number)] += text.split()
    return words


def all_words(count: int) -> list[str]:
    return [f"w{number}" for number in range(count)]


EXPECTED = {number: all_words((WORDS_OF_SENTENCES, WORDS_WITHOUT_PAUSE)[number % 2]) for number in range(CALLS)}


@pytest.mark.timeout(300)  # Alone it takes 20 s; starting four gateways takes that long where others load the machine.
async def test_no_word_is_lost_or_doubled_while_all_gateways_are_replaced(
    command: tuple[str, ...], recordings: list[Path], tmp_path: Path
) -> None:
    async with gateways(4, tmp_path) as (first, second, third, fourth), running_balancer() as balancer:
        addresses = [await gateway.address("grpc") for gateway in (first, second, third, fourth)]
        balancer.gateways += addresses[:2]
        arguments = ("--target", balancer.target, "--model", MODEL, *recordings)
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
    assert [words_by_call(result) for result in results] == [EXPECTED] * COMMANDS
    assert calls_of(first) > 0
    assert calls_of(second) > 0
    assert calls_of(third) + calls_of(fourth) >= COMMANDS * CALLS


@pytest.mark.timeout(300)  # As above.
async def test_no_word_is_lost_or_doubled_when_a_gateway_is_killed(
    command: tuple[str, ...], recordings: list[Path], tmp_path: Path
) -> None:
    async with gateways(2, tmp_path) as (first, second), running_balancer() as balancer:
        balancer.gateways.append(await first.address("grpc"))
        await second.address("grpc")
        client = await start(command, "--target", balancer.target, "--model", MODEL, *recordings[:2])
        running = asyncio.create_task(ended(client, within_seconds=120))
        await eventually(lambda: balancer.passed_bytes > 2 * 4 * 32_000)  # Four seconds of audio of each.
        balancer.gateways[:] = [await second.address("grpc")]
        first.process.kill()
        result = await running
    assert (result.code, words_by_call(result)) == (0, {number: EXPECTED[number] for number in range(2)})
