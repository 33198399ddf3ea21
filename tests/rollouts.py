"""Rollouts of two gateways under callers whose connections are open: how many calls fail.

    PYTHONPATH=tests .venv/bin/python -m rollouts

makes 10,000 calls over ten rollouts with our own client, and as many with a client of gRPC that has no retries. In a
rollout each gateway is stopped by SIGTERM and started anew at its address, one after the other, as Kubernetes does it
behind a headless Service.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from asrgateway import (
    AudioEncoding,
    ChannelOptions,
    DecodingConfig,
    RecognitionClient,
    RecognitionError,
    StreamingConfig,
)
from dashscope_emulator import EmulatorOptions, running_emulator
from dashscope_emulator.recognizers.markers import marker_audio
from gateways import eventually
from processes import GatewayProcess, start

CONFIG: Final = StreamingConfig(
    model="paraformer-realtime-v2",
    decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000),
)
AUDIO: Final = marker_audio(0, 30)
#: Connections of their own, as clients in different processes have them.
ALONE: Final = (("grpc.use_local_subchannel_pool", 1),)
#: What a client of gRPC does by itself that is only told to use all addresses.
ORDINARY: Final = (
    *ALONE,
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    ("grpc.enable_retries", 0),
)
_GATEWAYS: Final = 2
#: Between two calls of a caller: without it they would leave no processor to what starts.
_PAUSE_SECONDS: Final = 0.1


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the calls.

    Attributes:
        calls: How many there were.
        failures: How many of them failed, by status and message.
    """

    calls: int = 0
    failures: Counter[str] = field(default_factory=Counter)


async def rolled_out(*, rollouts: int, calls: int, callers: int, options: ChannelOptions = ALONE) -> Tally:
    """Make at least so many calls, spread over the rollouts, and return what became of them."""
    tally = Tally()
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(running_emulator(EmulatorOptions(recognizer="markers")))
        key_file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "key"
        key_file.write_text("sk-test", encoding="utf-8")
        settings = {"dashscope_url": vendor.url, "dashscope_api_key_file": str(key_file), "embedded_workers": "0"}
        gateways = await asyncio.gather(*(_Rolling.started(settings) for _ in range(_GATEWAYS)))
        stack.push_async_callback(_end, gateways)
        target = "ipv4:" + ",".join(gateway.address for gateway in gateways)
        is_over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(callers):
                tasks.create_task(_call_on_one_connection(target, options, tally, is_over))
            for step in range(rollouts * _GATEWAYS):
                goal = calls * (step + 1) // (rollouts * _GATEWAYS)
                await gateways[step % _GATEWAYS].replace(callers)
                await eventually(lambda goal=goal: tally.calls >= goal, within_seconds=600)  # type: ignore[misc] # mypy infers no lambda with a default
            is_over.set()
    return tally


class _Rolling:
    """A gateway that is replaced at its address."""

    def __init__(self, settings: Mapping[str, str], process: GatewayProcess, address: str) -> None:
        self._settings = settings
        self._process = process
        self.address = address

    @classmethod
    async def started(cls, settings: Mapping[str, str]) -> _Rolling:
        process = GatewayProcess(await start("serve", **settings))
        return cls(settings, process, await process.address("grpc"))

    async def replace(self, callers: int) -> None:
        """Stop it as Kubernetes does, start another one in its place, and wait until every caller has found it."""
        self._process.process.terminate()
        code = await self._process.exit_code()
        if code != 0:
            raise RuntimeError(f"a gateway ended with {code}: {self._process.lines[-3:]}")
        self._process = GatewayProcess(await start("serve", **self._settings, listen=self.address))
        await eventually(lambda: self._peers() >= callers, within_seconds=600)

    def _peers(self) -> int:
        return len({line["peer"] for line in self._process.lines if line["message"] == "call started"})

    async def end(self) -> None:
        if self._process.process.returncode is None:
            self._process.process.kill()
        await self._process.exit_code()


async def _end(gateways: Sequence[_Rolling]) -> None:
    for gateway in gateways:
        await gateway.end()


async def _call_on_one_connection(target: str, options: ChannelOptions, tally: Tally, is_over: asyncio.Event) -> None:
    async with RecognitionClient(target, channel_options=options) as client:
        while not is_over.is_set():
            try:
                responses = [response async for response in client.recognize(CONFIG, [AUDIO], timeout=60)]
                if not responses[-1].HasField("finished"):
                    tally.failures["OK without its end"] += 1
            except RecognitionError as error:
                tally.failures[str(error)] += 1
            tally.calls += 1
            await asyncio.sleep(_PAUSE_SECONDS)


def main() -> None:
    """Print the figures of both clients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=10)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--callers", type=int, default=30)
    given = parser.parse_args()
    for name, options in (("our client", ALONE), ("a client without retries", ORDINARY)):
        tally = asyncio.run(
            rolled_out(rollouts=given.rollouts, calls=given.calls, callers=given.callers, options=options)
        )
        print(  # noqa: T201 a command of the developer's
            f"{name}: {tally.failures.total()} of {tally.calls} calls failed", dict(tally.failures)
        )


if __name__ == "__main__":
    main()
