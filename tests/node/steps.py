"""What is done to the release on its nodes, one function for each step, and the figures of each."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from grpc import StatusCode

from asrgateway import AudioEncoding, DecodingConfig, RecognitionError, StreamingConfig
from calls import RECORDINGS
from cluster.api import Json, RefusedByKubernetes
from node.clients import Target, calling
from node.machines import Machine
from node.release import HOST, KEY_THAT_STAYS, NAMESPACE, PORT, Release, until
from node.report import Report

_CLIENTS: Final = 30
#: Before something happens to gateways, all clients have called.
_LEAD_SECONDS: Final = 5
_PAUSE_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 5
#: For whatever a step waits for.
_WAIT_SECONDS: Final = 300
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
    async with calling(cluster.release.target, _CLIENTS) as tally:
        await asyncio.sleep(_LEAD_SECONDS)
        began = time.monotonic()
        await cluster.release.upgrade(podAnnotations={"example.com/rolled-out": "yes"})
        seconds = time.monotonic() - began
    assert not old & _names(cluster.release.pods())
    assert tally.continued, "no call went on in another one"
    cluster.report.add(f"rollout of {len(old)} pods under {_CLIENTS} clients", f"{seconds:.0f} s; {tally}")


async def killed_pod(cluster: Cluster) -> None:
    """SIGKILL to a gateway's first process."""
    victim = cluster.release.pods()[0]
    process = cluster.machine_of(victim).process_of(_container(victim))
    async with calling(cluster.release.target, _CLIENTS) as tally:
        await asyncio.sleep(_LEAD_SECONDS)
        began = time.monotonic()
        os.kill(process, signal.SIGKILL)
        await until(lambda: _restarts(cluster.release, victim) == 1, within_seconds=_WAIT_SECONDS)
        await cluster.release.settled(within_seconds=_WAIT_SECONDS)
        seconds = time.monotonic() - began
    assert tally.continued, "no call went on in another one"
    slowest = max(tally.continued) - began
    figure = f"its container serves again after {seconds:.0f} s; {tally}, the last of them after {slowest:.1f} s"
    cluster.report.add(f"a gateway killed under {_CLIENTS} clients", figure)


async def drains(cluster: Cluster) -> None:
    """One node after the other is closed, and its gateways are evicted, as `kubectl drain` does it with all pods."""
    refusals = 0
    async with calling(cluster.release.target, _CLIENTS) as tally:
        await asyncio.sleep(_LEAD_SECONDS)
        for machine in cluster.machines:
            began = time.monotonic()
            evicted, refused = await _drain(cluster.release, machine)
            refusals += refused
            seconds = time.monotonic() - began
            figure = f"{evicted} evicted, {refused} evictions refused by the budget, empty after {seconds:.0f} s"
            cluster.report.add(f"drain of {machine.name}", figure)
            await cluster.release.settled(within_seconds=_WAIT_SECONDS)
            _cordon(cluster.release, machine, is_closed=False)
    assert refusals, "the budget refused no eviction"
    cluster.report.add(f"both drains under {_CLIENTS} clients", str(tally))


async def autoscaling(cluster: Cluster) -> None:
    """Open calls scale up, their end scales down."""
    down = {"stabilizationWindowSeconds": 15, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}
    target = {"activeStreams": {"target": 8}, "cpu": {"targetUtilization": None}}
    scaled = {"enabled": True, "maxReplicas": 5, "behavior": {"scaleDown": down}}
    await cluster.release.upgrade(autoscaling=scaled | target)
    began = time.monotonic()
    async with calling(cluster.release.target, _CLIENTS) as tally:
        await until(lambda: _ready(cluster.release) == 4, within_seconds=_WAIT_SECONDS)
        up = time.monotonic() - began
    began = time.monotonic()
    await until(lambda: _ready(cluster.release) == 2, within_seconds=_WAIT_SECONDS)
    await cluster.release.settled(within_seconds=_WAIT_SECONDS)
    figure = f"2 to 4 pods after {up:.0f} s, back to 2 {time.monotonic() - began:.0f} s after their end; {tally}"
    cluster.report.add(f"autoscaling by {_CLIENTS} open calls, 8 for each pod", figure)


async def rotation(cluster: Cluster) -> None:
    """Another key and another certificate in the Secrets, and no restart."""
    release = cluster.release
    before, restarts = release.target, _processes(release)
    async with calling(replace(before, key=KEY_THAT_STAYS), _CLIENTS) as tally:
        await asyncio.sleep(_LEAD_SECONDS)
        began = time.monotonic()
        release.write_secrets("the-second-key-of-a-team")
        await _in_every_pod(release, lambda address: _is_trusted(address, release.authority))
        await _in_every_pod(release, lambda address: _answers(release.target, address, StatusCode.OK))
        new = time.monotonic() - began
        old_key = replace(release.target, key=before.key)
        await _in_every_pod(release, lambda address: _answers(old_key, address, StatusCode.UNAUTHENTICATED))
        await _in_every_pod(release, lambda address: _is_replaced(address, before.authority, release.authority))
        old = time.monotonic() - began
    assert _processes(release) == restarts, "a pod was restarted"
    figure = f"new key and certificate serve in all pods after {new:.0f} s, the old ones in none after {old:.0f} s"
    cluster.report.add(f"rotated Secrets, {_CLIENTS} clients with a key that stays, no restart", f"{figure}; {tally}")


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


async def _in_every_pod(release: Release, condition: Callable[[str], Awaitable[bool]]) -> None:
    """Wait until a condition holds at the address of each pod."""
    for pod in release.pods():
        address, end = pod["status"]["podIP"], time.monotonic() + _WAIT_SECONDS
        while not await condition(address):
            assert time.monotonic() < end, f"{address} is not so after {_WAIT_SECONDS} s"
            await asyncio.sleep(_PAUSE_SECONDS)


async def _answers(target: Target, address: str, code: StatusCode) -> bool:
    """Whether a pod ends a call of this client with this status; one that is not reached may be reached later."""
    target = replace(target, address=f"{address}:{PORT}")
    async with target.client(("grpc.ssl_target_name_override", HOST)) as client:
        try:
            await client.list_models(timeout=_ANSWER_SECONDS)
        except RecognitionError as error:
            if error.code not in (StatusCode.UNAUTHENTICATED, StatusCode.UNAVAILABLE):
                raise
            return error.code is code
    return code is StatusCode.OK


async def _is_replaced(address: str, old: bytes, new: bytes) -> bool:
    """Whether who trusts the old certificate only does not get in, and who trusts the new one does."""
    return not await _is_trusted(address, old) and await _is_trusted(address, new)


async def _is_trusted(address: str, authority: bytes) -> bool:
    """Whether a pod shows a certificate that this one vouches for."""
    context = ssl.create_default_context(cadata=authority.decode("ascii"))
    context.set_alpn_protocols(["h2"])
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(address, PORT, ssl=context, server_hostname=HOST)
    except ssl.SSLCertVerificationError:
        return False
    writer.close()
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
    pods = [pod for pod in release.pods() if pod["spec"]["nodeName"] == machine.name]
    refused = [await _evict_at_last(release, pod) for pod in pods]
    await until(
        lambda: not [pod for pod in release.pods() if pod["spec"].get("nodeName") == machine.name],
        within_seconds=_WAIT_SECONDS,
    )
    return len(pods), sum(refused)


async def _evict_at_last(release: Release, pod: Json) -> int:
    """Evict a pod; return how often the budget refused it before."""
    refused, end = 0, time.monotonic() + _WAIT_SECONDS
    while not _evict(release, pod):
        refused += 1
        assert time.monotonic() < end, f"the budget has refused {refused} evictions of {pod['metadata']['name']}"
        await asyncio.sleep(1)
    return refused


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


#: In the order in which they are done; autoscaling changes how many pods there are.
STEPS: Final = (helm_test, recordings, rollout, killed_pod, drains, rotation, memory, autoscaling)
