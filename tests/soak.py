"""Calls of random length for half an hour, while every connection to the vendor fails sooner or later.

    PYTHONPATH=tests .venv/bin/python -m soak

The gateway runs in a process of its own; its memory, files, threads and child processes are printed every minute, with
the calls that have ended and what was wrong with them. A recovery is the time from the loss of a task, as the gateway's
log has it, to the next result.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from asrgateway.v1 import recognition_pb2 as pb
from calls import RecognizeCall, Stub, audio, config
from dashscope_emulator import EmulatorOptions, Fault, running_emulator
from dashscope_emulator.faults import Action, Close, Drop, Fail, Phase, Stall
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from processes import GatewayProcess, children, gateway_process

MODELS: Final = ("paraformer-realtime-v2", "fun-asr-realtime", "qwen3-asr-flash-realtime")
ACTIONS: Final[tuple[Action, ...]] = (
    Drop(),
    Drop(),
    Drop(),
    Close(code=1000),
    Close(code=1011),
    Fail(code="InternalError"),
    Fail(code="Throttling.RateQuota"),
    Stall(seconds=1.0),
)
_PACKET_BLOCKS: Final = 10
_PACKET_SECONDS: Final = 0.1
_WORD_BLOCKS: Final = 30
# Five words and a second of silence.
_SENTENCE_BLOCKS: Final = 5 * _WORD_BLOCKS + 100


@dataclass(slots=True)
class Tally:
    """What became of the calls.

    Attributes:
        calls: How many have ended.
        words: How many words were said in them.
        wrong: What was wrong with some of them.
        reconnects: How often a task took over.
        result_times: When each call got its results, by its id; seconds of the clock on the wall.
    """

    calls: int = 0
    words: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0
    result_times: dict[str, list[float]] = field(default_factory=dict)

    def recoveries_seconds(self, log: Iterable[Mapping[str, Any]]) -> list[float]:  # Any: JSON values
        """Return how long each recovery took, shortest first; the last losses of a call may have had none."""
        found = []
        for line in log:
            if line["message"] == "task lost":
                lost_at = datetime.fromisoformat(line["time"]).timestamp()
                later = (at for at in self.result_times.get(line["call_id"], ()) if at > lost_at)
                found += [at - lost_at for at in islice(later, 1)]
        return sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run.

    Attributes:
        seconds: How long it lasts.
        calls: How many calls are open at a time.
        longest_seconds: The most that one of them says.
        fails_after_seconds: The least and the most audio after which a connection fails.
        starts_per_second: The gateway's limit of task starts; 0: none.
        every_seconds: Between two lines.
    """

    seconds: float
    calls: int
    longest_seconds: float
    fails_after_seconds: tuple[float, float]
    starts_per_second: float
    every_seconds: float


def faults(chance: random.Random, connections: int, after_seconds: tuple[float, float]) -> Iterator[Fault]:
    """Yield what goes wrong on each connection, once it has had so much audio."""
    for number in range(1, connections + 1):
        yield Fault(
            action=chance.choice(ACTIONS),
            phase=Phase.SPEECH,
            audio_ms=round(chance.uniform(*after_seconds) * 1000),
            connections=(number,),
            times=1,
        )


async def soak(key_file: Path, plan: Plan) -> tuple[Tally, list[float]]:
    """Keep so many calls open for so long; print how the gateway does."""
    chance, tally = random.Random(0), Tally()
    connections = round(plan.seconds * plan.calls / min(4, plan.fails_after_seconds[0])) + plan.calls
    failing = tuple(faults(chance, connections, plan.fails_after_seconds))
    options = EmulatorOptions(recognizer="markers", faults=failing)
    async with (
        running_emulator(options) as vendor,
        gateway_process(
            embedded_workers="0",
            dashscope_url=vendor.url,
            dashscope_api_key_file=str(key_file),
            max_task_starts_per_second=str(plan.starts_per_second),
            upstream_stall_timeout_seconds="8",
            reconnect_pause_seconds="0.1",
            max_streams=str(plan.calls * 2),
        ) as (gateway, stub),
        asyncio.TaskGroup() as tasks,
    ):
        end_at = time.monotonic() + plan.seconds
        for _ in range(plan.calls):
            tasks.create_task(_caller(stub, tally, chance, end_at, plan.longest_seconds))
        tasks.create_task(_watch(gateway, tally, end_at, plan.every_seconds))
    return tally, tally.recoveries_seconds(gateway.lines)


async def _caller(stub: Stub, tally: Tally, chance: random.Random, end_at: float, longest_seconds: float) -> None:
    """Make one call after the other."""
    while time.monotonic() < end_at:
        sentences = max(1, round(chance.uniform(0, longest_seconds) * 100 / _SENTENCE_BLOCKS))
        call = stub.Recognize(timeout=longest_seconds * 2 + 60)
        reading = asyncio.create_task(_read(call, tally))
        model = chance.choice(MODELS)
        late_seconds = await _speak(call, model, sentences)
        words = await reading
        tally.calls += 1
        tally.words += 5 * sentences
        if words != [f"w{number}" for number in range(5 * sentences)]:
            code, details = await call.code(), await call.details()
            heard = f"{len(words)} of {5 * sentences} words, audio up to {late_seconds:.1f} s late"
            tally.wrong[f"{model}, {code.name}: {heard}; {details}"] += 1


async def _speak(call: RecognizeCall, model: str, sentences: int) -> float:
    """Send the sentences at speaking speed; return how late a packet was at most, for the gateway fills such pauses."""
    late_seconds = 0.0
    await call.write(config(model=model, interim_results=True))
    due = time.monotonic()
    for number in range(sentences):
        data = marker_audio(5 * _WORD_BLOCKS * number, 5 * _WORD_BLOCKS) + silent_audio(100)
        size = len(data) * _PACKET_BLOCKS // _SENTENCE_BLOCKS
        for start in range(0, len(data), size):
            try:
                await call.write(audio(data[start : start + size]))
            except (grpc.RpcError, asyncio.InvalidStateError):
                return late_seconds  # How it ended is read elsewhere.
            due += _PACKET_SECONDS
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            late_seconds = max(late_seconds, time.monotonic() - due)
    await call.done_writing()
    return late_seconds


async def _read(call: RecognizeCall, tally: Tally) -> list[str]:
    """Return the words of the final results."""
    words: list[str] = []
    times: list[float] = []
    try:
        while isinstance(response := await call.read(), pb.RecognizeResponse):
            if response.stream_event.event_type in {pb.STREAM_EVENT_TYPE_RECONNECTED, pb.STREAM_EVENT_TYPE_ROLLED_OVER}:
                tally.reconnects += 1
            if response.HasField("started"):
                tally.result_times[response.started.call_id] = times
            if response.HasField("result"):
                times.append(time.time())
                words += response.result.transcript.split() if response.result.is_final else []
    except grpc.RpcError:
        pass  # The words show it.
    return words


async def _watch(gateway: GatewayProcess, tally: Tally, end_at: float, every_seconds: float) -> None:
    """Print a line from time to time, and at the end how late results were."""
    began = time.monotonic()
    while time.monotonic() < end_at:
        await asyncio.sleep(every_seconds)
        metrics = await _metrics(gateway)
        print(  # noqa: T201 a command of the developer's
            f"{time.monotonic() - began:6.0f} s  {_of_process(gateway.process.pid)}  "
            f"{_total(metrics, 'asrgateway_event_loop_tasks'):5.0f} tasks  {tally.calls:6} calls  "
            f"{tally.reconnects:6} takeovers  {tally.wrong.total()} wrong",
            flush=True,
        )
    lags = [f"{share:.0%} within {_result_lag(metrics, share):g} s" for share in (0.5, 0.99)]
    print(f"from the end of an utterance's audio to its final result: {', '.join(lags)}")  # noqa: T201 likewise


async def _metrics(gateway: GatewayProcess) -> list[Sample]:
    async with aiohttp.ClientSession() as session, session.get(await gateway.address("metrics")) as response:
        families = text_string_to_metric_families(await response.text())
        return [sample for family in families for sample in family.samples]


def _total(metrics: Iterable[Sample], name: str) -> float:
    return sum(sample.value for sample in metrics if sample.name == name)


def _result_lag(metrics: Iterable[Sample], share: float) -> float:
    """Return the least bound of the histogram below which so many of the final results were."""
    buckets: Counter[float] = Counter()
    for sample in metrics:
        if sample.name == "asrgateway_result_lag_seconds_bucket":
            buckets[float(sample.labels["le"])] += round(sample.value)
    wanted = share * buckets[math.inf]
    return min((bound for bound, count in buckets.items() if count >= wanted), default=math.nan)


def _of_process(pid: int) -> str:
    """Return what a process uses."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text(encoding="ascii").split()[1])
    files, threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
    memory_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1024**2
    return f"{memory_mb:6.1f} MB  {files:5} files  {threads:3} threads  {len(children(pid))} workers"


def main() -> None:
    """Run it, and print what became of the calls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--calls", type=int, default=100, help="calls at the same time")
    parser.add_argument("--longest-seconds", type=float, default=120.0, help="of a call")
    parser.add_argument(
        "--fails-after", type=float, nargs=2, default=(3.0, 7.0), metavar="SECONDS", help="of a connection's audio"
    )
    parser.add_argument("--starts-per-second", type=float, default=0.0, help="limit of the gateway; 0: none")
    parser.add_argument("--every-seconds", type=float, default=60.0, help="between two lines")
    given = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as key_file:
        key_file.write("sk-test")
        key_file.flush()
        plan = Plan(
            seconds=given.minutes * 60,
            calls=given.calls,
            longest_seconds=given.longest_seconds,
            fails_after_seconds=tuple(given.fails_after),
            starts_per_second=given.starts_per_second,
            every_seconds=given.every_seconds,
        )
        tally, recoveries = asyncio.run(soak(Path(key_file.name), plan))
    middle, late = (recoveries[int(len(recoveries) * share)] if recoveries else math.nan for share in (0.5, 0.99))
    print(  # noqa: T201 likewise
        f"{tally.calls} calls, {tally.words} words, {tally.reconnects} takeovers, "
        f"wrong: {dict(tally.wrong) or 'none'}; {len(recoveries)} recoveries in {middle:.2f} s at the median, "
        f"{late:.2f} s at the 99th percentile"
    )


if __name__ == "__main__":
    main()
