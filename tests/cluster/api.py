"""What the tests ask an API server of Kubernetes."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import helm_python

# Any: JSON values.
Json = dict[str, Any]

TOKEN: Final = "of-the-tests"  # noqa: S105 for a server on loopback that ends with the tests
_ANSWER_SECONDS: Final = 60
#: Pods are refused that Pod Security `restricted` forbids, and what would make such pods brings a warning.
RESTRICTED: Final = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


class RefusedByKubernetes(Exception):
    """The API server does not take an object; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API server says.

    Attributes:
        body: The object, as it keeps it.
        warnings: What it has to say against it.
    """

    body: Json
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class Api:
    """A running API server.

    Attributes:
        version: Of Kubernetes, such as `v1.30.14`.
        port: On 127.0.0.1.
        authority: The file that its certificate is checked with.
    """

    version: str
    port: int
    authority: Path

    def ask(self, method: str, path: str, body: Json | None = None) -> Answer:
        """Send one request.

        Raises:
            RefusedByKubernetes: The answer is an error.
            OSError: There is no answer.
        """
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS, context=self._tls)
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 300:
            raise RefusedByKubernetes(text)
        content = json.loads(text) if text.startswith("{") else {}
        return Answer(body=content, warnings=response.headers.get_all("Warning") or [])

    def create(self, manifest: Json, namespace: str = "") -> Json:
        """Create an object."""
        return self.ask("POST", self._folder(manifest, namespace), manifest).body

    def warnings(self, manifest: Json, namespace: str = "") -> list[str]:
        """What creating an object would bring, without doing it; an unknown field refuses it."""
        query = "?dryRun=All&fieldValidation=Strict"
        return self.ask("POST", self._folder(manifest, namespace) + query, manifest).warnings

    def make_namespace(self, name: str) -> None:
        """Make a namespace with enforced Pod Security, and the account that its pods have by default."""
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
        self.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}, name)

    def helm(self, namespace: str) -> helm_python.Config:
        """Helm, at work in a namespace."""
        text = self.kubeconfig()
        return helm_python.Config(kubeconfig_content=text, namespace=namespace, qps=500, burst_limit=500)

    def kubeconfig(self) -> str:
        """How programs of Kubernetes find this server."""
        server = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": str(self.authority)}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": server}],
            "users": [{"name": "tests", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        }
        return json.dumps(kubeconfig)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def _folder(self, manifest: Json, namespace: str) -> str:
        """The path under which objects of this kind are made."""
        group = manifest["apiVersion"]
        base = f"/apis/{group}" if "/" in group else f"/api/{group}"
        found = self.ask("GET", base).body["resources"]
        kind = next(one for one in found if one["kind"] == manifest["kind"] and "/" not in one["name"])
        if not kind["namespaced"]:
            return f"{base}/{kind['name']}"
        return f"{base}/namespaces/{manifest['metadata'].get('namespace', namespace)}/{kind['name']}"
