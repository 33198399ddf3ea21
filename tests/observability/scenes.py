"""Gateways that are well, and a fault that then lasts for as long as an alert needs.

The gateways' own times that an alert's windows are made for are as much shorter as those of the rules.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.admission.keys import hashed_line
from asrgateway_server.lifecycle import Gateway
from calls import RECORDINGS, Stub, audio, config, in_messages, interleaved, pcm, recognize
from certificates import make_certificate
from dashscope_emulator import Fault
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway
from observability.faster_rules import SPEED
from ports import free_port
from processes import GatewayProcess, children, gateway_process

V2: Final = "paraformer-realtime-v2"
#: One sentence of 1.5 s.
SENTENCE: Final = marker_audio(0, 150) + silent_audio(100)
_PAUSE_SECONDS: Final = 0.2
_FASTER: Final = {"circuit_open_seconds": 10 / SPEED, "reconnect_pause_seconds": 0.01}

Requests: TypeAlias = "Iterable[pb.RecognizeRequest] | AsyncIterator[pb.RecognizeRequest]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Gateways that are well, and what will go wrong with them.

    Attributes:
        targets: Where they are scraped.
        fault: Lasts while its context is open.
    """

    targets: tuple[str, ...]
    fault: Callable[[], AbstractAsyncContextManager[None]]


#: Opens a scene; its files go into the folder.
OpenScene: TypeAlias = Callable[[Path], AbstractAsyncContextManager[Scene]]


# What goes wrong again and again ------------------------------------------------------------------------------------


@asynccontextmanager
async def repeated(
    do: Callable[[], Awaitable[object]], at_once: int = 1, pause_seconds: float = _PAUSE_SECONDS
) -> AsyncIterator[None]:
    """Do something over and over while the context is open, so many of it at once.

    A call that is cancelled has an outcome too, so that cancelling alone would not end this.
    """
    is_over = asyncio.Event()

    async def repeat() -> None:
        while not is_over.is_set():
            await do()
            await asyncio.sleep(pause_seconds)

    tasks = [asyncio.create_task(repeat(), name="fault") for _ in range(at_once)]
    try:
        yield
    finally:
        is_over.set()
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception):
                raise error


@asynccontextmanager
async def open_call(stub: Stub, model: str) -> AsyncIterator[None]:
    """Keep a call open whose client says nothing."""
    call = stub.Recognize(timeout=600)
    await call.write(config(model=model))
    await call.read()
    try:
        yield
    finally:
        call.cancel()


async def stopped(pids: Iterable[int], seconds: float) -> None:
    """Take the processor away from processes for a while."""
    pids = tuple(pids)
    send(signal.SIGSTOP, pids)
    try:
        await asyncio.sleep(seconds)
    finally:
        send(signal.SIGCONT, pids)


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


# Calls that meet a vendor's faults ----------------------------------------------------------------------------------


def sentence(model: str = V2) -> list[pb.RecognizeRequest]:
    return [config(model=model), *in_messages(SENTENCE)]


def long_sentence() -> list[pb.RecognizeRequest]:
    return [config(model=V2), *in_messages(marker_audio(0, 400) + silent_audio(100))]


async def mostly_silence() -> AsyncIterator[pb.RecognizeRequest]:
    yield config(model=V2)
    yield audio(marker_audio(0, 30))
    await asyncio.sleep(1.5)
    yield audio(marker_audio(30, 30))


async def two_speakers() -> AsyncIterator[pb.RecognizeRequest]:
    """20 s of two channels by themselves; the client then stays."""
    decoding = pb.DecodingConfig(sample_rate_hertz=16_000, audio_channel_count=2, channel_mode=pb.CHANNEL_MODE_SEPARATE)
    yield config(model=V2, decoding_config=decoding)
    for request in in_messages(interleaved(marker_audio(0, 2_000), marker_audio(3_000, 2_000))):
        yield request
    await asyncio.Event().wait()


def calls(*faults: Fault, requests: Callable[[], Requests] = sentence, at_once: int = 2, **settings: Any) -> OpenScene:
    """Calls, one after the other, to a gateway in front of a vendor with these faults."""

    @asynccontextmanager
    async def scene(_: Path) -> AsyncIterator[Scene]:
        async with vendor_and_gateway(emulator={"faults": faults}, **_FASTER | settings) as (_vendor, gateway, stub):
            yield of(gateway, lambda: repeated(lambda: recognize(stub, requests(), timeout=600), at_once))

    return scene


def of(gateway: Gateway, fault: Callable[[], AbstractAsyncContextManager[None]]) -> Scene:
    return Scene(targets=(str(gateway.http_address),), fault=fault)


# Gateways that are full ---------------------------------------------------------------------------------------------


def full(fault: Callable[[Stub], AbstractAsyncContextManager[None]]) -> OpenScene:
    """A gateway that takes one call."""

    @asynccontextmanager
    async def scene(_: Path) -> AsyncIterator[Scene]:
        async with vendor_and_gateway(max_streams=1) as (_vendor, gateway, stub):
            yield of(gateway, lambda: fault(stub))

    return scene


@asynccontextmanager
async def one_call_and_more(stub: Stub) -> AsyncIterator[None]:
    async with open_call(stub, V2), repeated(lambda: recognize(stub, sentence())):
        yield


# Processes ----------------------------------------------------------------------------------------------------------

Break: TypeAlias = Callable[[GatewayProcess, Stub], AbstractAsyncContextManager[None]]


def process(fault: Break, **settings: str) -> OpenScene:
    """A gateway in a process of its own, with what happens to it."""

    @asynccontextmanager
    async def scene(_: Path) -> AsyncIterator[Scene]:
        async with gateway_process(**settings) as (gateway, stub):
            target = (await gateway.address("metrics")).removeprefix("http://").removesuffix("/metrics")
            yield Scene(targets=(target,), fault=lambda: fault(gateway, stub))

    return scene


@asynccontextmanager
async def terminated_in_a_call(gateway: GatewayProcess, stub: Stub) -> AsyncIterator[None]:
    async with open_call(stub, "embedded"):
        gateway.process.terminate()
        yield


@asynccontextmanager
async def killed(gateway: GatewayProcess, _: Stub) -> AsyncIterator[None]:
    gateway.process.kill()
    yield


@asynccontextmanager
async def stopped_time_and_again(gateway: GatewayProcess, _: Stub) -> AsyncIterator[None]:
    async with repeated(lambda: stopped([gateway.process.pid], 0.4)):
        yield


@asynccontextmanager
async def calls_of_stopped_workers(gateway: GatewayProcess, stub: Stub) -> AsyncIterator[None]:
    async with (
        repeated(lambda: recognize(stub, a_second_of_speech())),
        repeated(lambda: stopped(children(gateway.process.pid), 1.5), pause_seconds=0.5),
    ):
        yield


@asynccontextmanager
async def calls_of_killed_workers(gateway: GatewayProcess, stub: Stub) -> AsyncIterator[None]:
    async def kill() -> None:
        send(signal.SIGKILL, children(gateway.process.pid))

    async with repeated(lambda: recognize(stub, a_second_of_speech())), repeated(kill, pause_seconds=1.0):
        yield


def a_second_of_speech() -> list[pb.RecognizeRequest]:
    return [config(model="embedded"), *in_messages(pcm(RECORDINGS / "mother.wav")[:32_000])]


@asynccontextmanager
async def rollout(_: Path) -> AsyncIterator[Scene]:
    """A gateway, and a place for one of the next version."""
    next_target = f"127.0.0.1:{free_port()}"

    @asynccontextmanager
    async def half_way() -> AsyncIterator[None]:
        async with vendor_and_gateway(revision="next", http_listen=next_target):
            yield

    async with vendor_and_gateway(revision="last") as (_vendor, gateway, _stub):
        yield Scene(targets=(str(gateway.http_address), next_target), fault=half_way)


# Files --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def keys_file(folder: Path) -> AsyncIterator[Scene]:
    """A gateway with a file of clients' keys, to which somebody adds a line."""
    path = folder / "keys"
    path.write_text(hashed_line("correct-horse-battery") + "\n")

    @asynccontextmanager
    async def a_plain_key() -> AsyncIterator[None]:
        with path.open("a") as file:
            file.write("another-horse-battery\n")
        yield

    async with vendor_and_gateway(api_keys_file=str(path)) as (_vendor, gateway, _stub):
        yield of(gateway, a_plain_key)


@asynccontextmanager
async def certificate(folder: Path) -> AsyncIterator[Scene]:
    """A gateway whose certificate becomes one that is nearly over."""
    made = make_certificate(folder, days=30)

    @asynccontextmanager
    async def nearly_over() -> AsyncIterator[None]:
        make_certificate(folder, days=13)
        yield

    async with vendor_and_gateway(tls_cert_file=str(made.chain), tls_key_file=str(made.key)) as (_, gateway, _stub):
        yield of(gateway, nearly_over)
