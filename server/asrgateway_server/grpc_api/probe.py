"""Checks whether a gateway on this machine accepts calls: the health check of the image.

    python -m asrgateway_server.grpc_api.probe [HOST:PORT]

It imports nothing of the gateway, because it runs every half minute.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

#: As in ``settings.Settings``.
DEFAULT_ADDRESS: Final = "127.0.0.1:50052"
_LISTEN_VARIABLE: Final = "ASRGATEWAY_HEALTH_LISTEN"
_OFFSET_VARIABLE: Final = "ASRGATEWAY_LISTEN_OFFSET"
_ALL_ADDRESSES: Final[Mapping[str, str]] = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 replaced, not listened on
_TIMEOUT_SECONDS: Final = 5.0


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return 0 if the gateway accepts calls, 1 if it does not or does not answer."""
    address = reachable(arguments[0] if arguments else _listen(environ))
    # A proxy in the environment is for connections to the vendor.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="readiness"), timeout=_TIMEOUT_SECONDS
            )
        except grpc.RpcError as error:
            print(f"no answer from {address}: {error.code().name}", file=sys.stderr)  # noqa: T201 what a health check says
            return 1
    print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))  # noqa: T201 what a health check says
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


def _listen(environ: Mapping[str, str]) -> str:
    host, _, port = (environ.get(_LISTEN_VARIABLE) or DEFAULT_ADDRESS).rpartition(":")
    return f"{host}:{int(port) + int(environ.get(_OFFSET_VARIABLE) or 0)}"


def reachable(listen: str) -> str:
    """Return the address at which this machine reaches a listener."""
    host, _, port = listen.rpartition(":")
    return f"{_ALL_ADDRESSES.get(host, host)}:{port}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
