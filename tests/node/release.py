"""The release of the chart, what it needs beside it, and what becomes of both."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from asrgateway_server.admission.keys import hashed_line
from certificates import make_certificate
from charts import Values, chart
from cluster.api import RESTRICTED, Api, Json, RefusedByKubernetes
from node import network
from node.clients import Target
from node.images import NAME

T = TypeVar("T")

NAMESPACE: Final = "speech"
RELEASE: Final = "asr-gateway"
PORT: Final = 50051
HOST: Final = f"{RELEASE}.{NAMESPACE}.svc.{network.DOMAIN}"
KEY_THAT_STAYS: Final = "the-only-key-of-another-team"
_KEYS: Final = "asr-gateway-callers"
_CERTIFICATE: Final = "asr-gateway-tls"
_VENDOR: Final = "vendor"
_VENDOR_KEY: Final = "model-studio"
_HELM_SECONDS: Final = 300
_PAUSE_SECONDS: Final = 0.2

#: Every other value is the chart's own.
VALUES: Final[Values] = {
    "auth": {"existingSecret": _KEYS},
    "tls": {"enabled": True, "existingSecret": _CERTIFICATE},
    "dashscope": {"existingSecret": _VENDOR_KEY},
    "config": {"dashscope_url": f"ws://{_VENDOR}.{NAMESPACE}.svc.{network.DOMAIN}:8765"},
    "embeddedWorkers": 1,
}


@dataclass(slots=True, kw_only=True)
class Release:
    """The chart, installed in a cluster.

    Attributes:
        api: Of the cluster.
        folder: For certificates; it is made.
        key: What clients show; the Secret has another one too, which stays.
        authority: What clients trust, in PEM.
    """

    api: Api
    folder: Path
    key: str = "the-first-key-of-a-team"
    authority: bytes = b""
    _values: Values = field(default_factory=lambda: dict(VALUES))

    @property
    def target(self) -> Target:
        return Target(address=f"{HOST}:{PORT}", authority=self.authority, key=self.key)

    async def install(self) -> None:
        """Make the namespace, the Secrets and the vendor, and install the chart."""
        labels = {"name": NAMESPACE, "labels": RESTRICTED}
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": labels})
        self.folder.mkdir()
        await until(lambda: self._ask(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), within_seconds=60)
        self.write_secrets(self.key)
        self._secret(_VENDOR_KEY, {"api-key": "sk-emulated"})
        for manifest in _vendor():
            self.api.create(manifest, NAMESPACE)
        with self.api.helm(NAMESPACE) as helm:
            await asyncio.to_thread(
                helm.install, chart(), RELEASE, self._values, namespace=NAMESPACE, timeout=_HELM_SECONDS, wait="watcher"
            )

    async def upgrade(self, **values: Any) -> None:  # Any: values of YAML
        """Change values, and wait until only pods with the new ones are left."""
        self._values |= values
        with self.api.helm(NAMESPACE) as helm:
            await asyncio.to_thread(
                helm.upgrade, chart(), RELEASE, self._values, namespace=NAMESPACE, timeout=_HELM_SECONDS
            )
        await self.settled(within_seconds=_HELM_SECONDS)

    async def test(self) -> str:
        """`helm test`; return what its pod has logged."""
        with self.api.helm(NAMESPACE) as helm:
            result = await asyncio.to_thread(helm.test, RELEASE, timeout=_HELM_SECONDS, logs=True)
        return str(result["logs"])

    async def settled(self, *, within_seconds: float) -> None:
        """Wait until as many pods as wanted are ready, and no other is there."""
        await until(self._is_settled, within_seconds=within_seconds)

    def _is_settled(self) -> bool:
        deployment = self.deployment()
        status, wanted = deployment["status"], deployment["spec"]["replicas"]
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
        is_seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
        return is_seen and counts == {wanted} and len(self.pods()) == wanted

    def deployment(self) -> Json:
        return self.api.ask("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}").body

    def pods(self) -> list[Json]:
        """The gateways, those that end among them."""
        selector = quote(f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=gateway")
        found: list[Json] = self.api.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={selector}").body[
            "items"
        ]
        return found

    def write_secrets(self, key: str) -> None:
        """Let in this key and the one that stays, with a new certificate."""
        certificate = make_certificate(self.folder, host=HOST)
        self.key, self.authority = key, certificate.chain.read_bytes()
        lines = (hashed_line(key, "a-team"), hashed_line(KEY_THAT_STAYS, "another-team"))
        self._secret(_KEYS, {"api-keys": "\n".join(lines)})
        pair = {"tls.crt": self.authority.decode(), "tls.key": certificate.key.read_text(encoding="utf-8")}
        self._secret(_CERTIFICATE, pair, kind="kubernetes.io/tls")

    def _secret(self, name: str, content: Mapping[str, str], kind: str = "Opaque") -> None:
        data = {key: base64.b64encode(text.encode()).decode() for key, text in content.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data}
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"
        if self._ask(path) is None:
            self.api.create(secret, NAMESPACE)
        else:
            self.api.ask("PUT", path, secret)

    def _ask(self, path: str) -> Json | None:
        try:
            return self.api.ask("GET", path).body
        except RefusedByKubernetes:
            return None


def _vendor() -> tuple[Json, Json]:
    """The emulator of the vendor, which reads marked audio; it stands for a service outside of the cluster."""
    labels = {"app": _VENDOR}
    container = {
        "name": _VENDOR,
        "image": NAME,
        "args": ["emulator", "--host=0.0.0.0", "--recognizer=markers"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "readinessProbe": {"tcpSocket": {"port": 8765}},
    }
    spec = {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    metadata = {"name": _VENDOR, "labels": labels}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    ports = {"selector": labels, "ports": [{"port": 8765}]}
    return pod, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": ports}


async def until(condition: Callable[[], T], *, within_seconds: float) -> T:
    """Ask again and again until the answer is something; raise TimeoutError if it is not in time."""
    end = time.monotonic() + within_seconds
    while not (answer := await asyncio.to_thread(condition)):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_seconds} s")
        await asyncio.sleep(_PAUSE_SECONDS)
    return answer
