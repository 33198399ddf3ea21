"""What is done to the release on its nodes, one function for each step, and the figures of each."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from asrgateway import AudioEncoding, DecodingConfig, RecognitionError, StreamingConfig
from calls import RECORDINGS
from cluster.api import Json, RefusedByKubernetes
from node.callers import Target, calling
from node.machines import Machine
from node.release import HOST, KEY_THAT_STAYS, NAMESPACE, Release, until
from node.report import Report

_CALLERS: Final = 30
#: Before something happens to gateways, all callers have called.
_LEAD_SECONDS: Final = 5
_PAUSE_SECONDS: Final = 0.5
_MINUTES: Final = 300
_TEXTS: Final = {
    "mother.wav": "please call my mother tomorrow morning",
    "boy.wav": "the boy was there when the sun rose",
}
_EMBEDDED: Final = StreamingConfig(
    model="embedded", decoding_config=DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_WAV)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What the steps work on."""

    release: Release
    machines: Sequence[Machine]
    report: Report

    def machine_of(self, pod: Json) -> Machine:
        return next(machine for machine in self.machines if machine.name == pod["spec"]["nodeName"])


async def helm_test(cluster: Cluster) -> None:
    log = await cluster.release.test()
    cluster.report.add("`helm test`", ", ".join(log.split("\n")[1:]).strip(", "))


async def recordings(cluster: Cluster) -> None:
    """Recordings to the embedded recogniser, through the Service."""
    for name, expected in _TEXTS.items():
        text = await _text_of(cluster.release.target, (RECORDINGS / name).read_bytes())
        assert text == expected, f"{name}: {text!r}"
    cluster.report.add("recordings through the Service", f"{len(_TEXTS)} of {len(_TEXTS)} word for word")


async def rollout(cluster: Cluster) -> None:
    """An upgrade that replaces all pods."""
    old = _names(cluster.release.pods())
    async with calling(cluster.release.target, _CALLERS) as tally:
        await asyncio.sleep(_LEAD_SECONDS)
        began = time.monotonic()
        await cluster.release.upgrade(podAnnotations={"example.com/rolled-out": "yes"})
        seconds = time.monotonic() - began
    assert not old & _names(cluster.release.pods())
    cluster.report.add(f"rollout of {len(old)} pods under {_CALLERS} callers", f"{seconds:.0f} s; {tally}")


async def killed_pod(cluster: Cluster) -> None:
    """SIGKILL to a gateway's first process."""
    victim = cluster.release.pods()[0]
    process = cluster.machine_of(victim).process_of(_container(victim))
    async with calling(cluster.release.target, _CALLERS) as tally:
        await asyncio.sleep(_LEAD_SECONDS)
        began = time.monotonic()
        os.kill(process, signal.SIGKILL)
        await until(lambda: _restarts(cluster.release, victim) == 1, within_seconds=_MINUTES)
        await cluster.release.settled(within_seconds=_MINUTES)
        seconds = time.monotonic() - began
    slowest = max(tally.continued, default=began) - began
    figure = f"its container serves again after {seconds:.0f} s; {tally}, the last of them after {slowest:.1f} s"
    cluster.report.add(f"a gateway killed under {_CALLERS} callers", figure)


async def drains(cluster: Cluster) -> None:
    """One node after the other is emptied, as `kubectl drain` does it."""
    async with calling(cluster.release.target, _CALLERS) as tally:
        await asyncio.sleep(_LEAD_SECONDS)
        for machine in cluster.machines:
            began = time.monotonic()
            evicted, refused = await _drain(cluster.release, machine)
            seconds = time.monotonic() - began
            figure = f"{evicted} evicted, {refused} evictions refused by the budget, empty after {seconds:.0f} s"
            cluster.report.add(f"drain of {machine.name}", figure)
            await cluster.release.settled(within_seconds=_MINUTES)
            _cordon(cluster.release, machine, is_closed=False)
    cluster.report.add(f"both drains under {_CALLERS} callers", str(tally))


async def autoscaling(cluster: Cluster) -> None:
    """Open calls scale up, their end scales down."""
    down = {"stabilizationWindowSeconds": 15, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}
    target = {"activeStreams": {"target": 8}, "cpu": {"targetUtilization": None}}
    scaled = {"enabled": True, "maxReplicas": 5, "behavior": {"scaleDown": down}}
    await cluster.release.upgrade(autoscaling=scaled | target)
    began = time.monotonic()
    async with calling(cluster.release.target, _CALLERS) as tally:
        await until(lambda: _ready(cluster.release) == 4, within_seconds=_MINUTES)
        up = time.monotonic() - began
    began = time.monotonic()
    await until(lambda: _ready(cluster.release) == 2, within_seconds=_MINUTES)
    await cluster.release.settled(within_seconds=_MINUTES)
    figure = f"2 to 4 pods after {up:.0f} s, back to 2 {time.monotonic() - began:.0f} s after their end; {tally}"
    cluster.report.add(f"autoscaling by {_CALLERS} open calls, 8 for each pod", figure)


async def rotation(cluster: Cluster) -> None:
    """Another key and another certificate in the Secrets, and no restart."""
    release = cluster.release
    before, restarts = release.target, _processes(release)
    async with calling(replace(before, key=KEY_THAT_STAYS), _CALLERS) as tally:
        await asyncio.sleep(_LEAD_SECONDS)
        began = time.monotonic()
        release.write_secrets("the-second-key-of-a-team")
        new = await _seconds_until(release, release.target, began, is_let_in=True)
        old_key = replace(release.target, key=before.key)
        await _seconds_until(release, old_key, began, is_let_in=False)
        old_certificate = replace(release.target, authority=before.authority)
        old = await _seconds_until(release, old_certificate, began, is_let_in=False)
    assert _processes(release) == restarts, "a pod was restarted"
    figure = f"new key and certificate serve in all pods after {new:.0f} s, the old ones in none after {old:.0f} s"
    cluster.report.add(f"rotated Secrets, {_CALLERS} callers with a key that stays, no restart", f"{figure}; {tally}")


async def memory(cluster: Cluster) -> None:
    """What the gateways needed, of what the chart gives them."""
    groups = [_memory_group(container) for container in _processes(cluster.release)]
    needed = max(_megabytes(group / "memory.max_usage_in_bytes") for group in groups)
    limit = _megabytes(groups[0] / "memory.limit_in_bytes")
    cluster.report.add("memory of a gateway at most", f"{needed} of {limit} MiB")


def _memory_group(container: str) -> Path:
    return next(Path("/sys/fs/cgroup/memory").rglob(container))


def _megabytes(file: Path) -> int:
    return int(file.read_text(encoding="ascii")) // 2**20


async def _seconds_until(release: Release, target: Target, began: float, *, is_let_in: bool) -> float:
    """How long it takes until every pod lets this client in, or none does."""
    async with asyncio.timeout(_MINUTES):
        for pod in release.pods():
            while await _is_let_in(replace(target, address=f"{pod['status']['podIP']}:50051")) is not is_let_in:  # noqa: ASYNC110 kubelets signal nobody
                await asyncio.sleep(_PAUSE_SECONDS)
    return time.monotonic() - began


async def _is_let_in(target: Target) -> bool:
    async with target.client(("grpc.ssl_target_name_override", HOST)) as client:
        try:
            await client.list_models(timeout=5)
        except RecognitionError:
            return False
        return True


async def _text_of(target: Target, audio: bytes) -> str:
    async with target.client() as client, aclosing(client.recognize(_EMBEDDED, [audio], timeout=60)) as responses:
        texts = [one.result.transcript async for one in responses if one.HasField("result") and one.result.is_final]
    return " ".join(texts)


def _names(pods: list[Json]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def _restarts(release: Release, pod: Json) -> int:
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}"
    count: int = release.api.ask("GET", path).body["status"]["containerStatuses"][0]["restartCount"]
    return count


def _ready(release: Release) -> int:
    ready: int = release.deployment()["status"].get("readyReplicas", 0)
    return ready


def _processes(release: Release) -> set[str]:
    """What changes when a gateway is started anew."""
    return set(map(_container, release.pods()))


def _container(pod: Json) -> str:
    """The id of a gateway's container."""
    return str(pod["status"]["containerStatuses"][0]["containerID"]).removeprefix("containerd://")


async def _drain(release: Release, machine: Machine) -> tuple[int, int]:
    """Empty a node; return how many pods were evicted, and how many evictions were refused before."""
    _cordon(release, machine, is_closed=True)
    evicted, refused = 0, 0
    for pod in [pod for pod in release.pods() if pod["spec"]["nodeName"] == machine.name]:
        while not _evict(release, pod):
            refused += 1
            await asyncio.sleep(1)
        evicted += 1
    await until(
        lambda: not [pod for pod in release.pods() if pod["spec"].get("nodeName") == machine.name],
        within_seconds=_MINUTES,
    )
    return evicted, refused


def _evict(release: Release, pod: Json) -> bool:
    name = {"name": pod["metadata"]["name"], "namespace": NAMESPACE}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name['name']}/eviction"
    try:
        release.api.ask("POST", path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": name})
    except RefusedByKubernetes as refusal:
        if "TooManyRequests" not in str(refusal):
            raise
        return False
    return True


def _cordon(release: Release, machine: Machine, *, is_closed: bool) -> None:
    release.api.ask("PATCH", f"/api/v1/nodes/{machine.name}", {"spec": {"unschedulable": is_closed}})
