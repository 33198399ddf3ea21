"""An API of custom metrics with the open calls of each pod, read from the pods' own /metrics.

It stands in for prometheus-adapter, which needs a Prometheus: the API server asks it as it would ask that one, by an
APIService, and a HorizontalPodAutoscaler asks the API server.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlsplit
from urllib.request import urlopen

from certificates import make_certificate
from cluster.api import Api, Json
from node import network

METRIC: Final = "asrgateway_streams_active"
_GROUP: Final = "custom.metrics.k8s.io"
_PATH: Final = f"/apis/{_GROUP}/v1beta1"
_NAMESPACE: Final = "monitoring"
_SERVICE: Final = "custom-metrics"
_PORT: Final = 6443
_SECONDS: Final = 5


@contextmanager
def open_calls(api: Api, folder: Path) -> Iterator[None]:
    """Serve it, and register it."""
    folder.mkdir()
    with serving(api, folder, network.NODES[0], _PORT):
        for manifest in _registration():
            api.create(manifest)
        yield


@contextmanager
def serving(api: Api, folder: Path, host: str, port: int) -> Iterator[int]:
    """Serve it with a certificate in a folder; give the port."""
    server = _Server((host, port), partial(_Handler, api))
    certificate = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    # A handler's thread shakes hands, with its timeout: nobody keeps the server from the next connection.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, name="custom metrics")
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(_SECONDS)
        server.server_close()


def _registration() -> Iterator[Json]:
    service = {"name": _SERVICE, "namespace": _NAMESPACE}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": service, "spec": {"ports": [{"port": 443}]}}
    addresses = {"addresses": [{"ip": network.NODES[0]}], "ports": [{"port": _PORT}]}
    yield {"apiVersion": "v1", "kind": "Endpoints", "metadata": service, "subsets": [addresses]}
    yield {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta1.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "version": "v1beta1",
            "service": service,
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }


class _Server(ThreadingHTTPServer):
    """One whose clients may leave before its answer: the API server only looks whether somebody listens."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # those of the server


class _Handler(BaseHTTPRequestHandler):
    """Answers what an API server and an autoscaler ask."""

    timeout = _SECONDS

    def __init__(self, api: Api, *arguments: object) -> None:
        self._api = api
        super().__init__(*arguments)  # type: ignore[arg-type] # those of the server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = re.fullmatch(rf"{_PATH}/namespaces/([^/]+)/pods/\*/{METRIC}", unquote(url.path))
        if asked is not None:
            selector = parse_qs(url.query).get("labelSelector", [""])[0]
            self._answer({"kind": "MetricValueList", "items": list(self._values(asked[1], selector))})
        elif url.path == _PATH:
            resource = {"name": f"pods/{METRIC}", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]}
            self._answer({"kind": "APIResourceList", "groupVersion": f"{_GROUP}/v1beta1", "resources": [resource]})
        else:
            self.send_error(404)

    def log_message(self, *arguments: object) -> None:
        """Nothing: a request is no news."""

    def _values(self, namespace: str, selector: str) -> Iterator[Json]:
        """The metric of each pod that answers."""
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(selector)}"
        for pod in self._api.ask("GET", path).body["items"]:
            value = _open_calls(pod["status"].get("podIP"))
            if value is not None:
                yield {
                    "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod["metadata"]["name"]},
                    "metric": {"name": METRIC},
                    "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "value": str(value),
                }

    def _answer(self, body: Json) -> None:
        content = json.dumps({"apiVersion": f"{_GROUP}/v1beta1"} | body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _open_calls(address: str | None) -> int | None:
    """What a pod says; None: it does not answer."""
    try:
        with urlopen(f"http://{address}:9464/metrics", timeout=_SECONDS) as answer:
            return counted(answer.read().decode())
    except OSError:
        return None


def counted(exposition: str) -> int:
    """The open calls of all models."""
    return sum(int(float(one)) for one in re.findall(rf"^{METRIC}(?:{{.*}})? (\S+)$", exposition, re.MULTILINE))
