"""Opens the ports of gRPC servers."""

from __future__ import annotations

from typing import Final

import grpc

from asrgateway_server.settings import Address, CannotListen

#: Further connections are closed as soon as they are accepted.
MAX_CONNECTIONS: Final = "grpc.max_allowed_incoming_connections"
ListenerOption = tuple[str, int]

#: Without it a second server could open the same port, and clients would reach either.
ONLY_ONE_LISTENER: Final[ListenerOption] = ("grpc.so_reuseport", 0)
#: For a server that takes over the port of another one in this process.
ANOTHER_LISTENER: Final[ListenerOption] = ("grpc.so_reuseport", 1)


def handshake_options(seconds: float) -> list[tuple[str, int]]:
    """Return how long new connections may take.

    A client that does not acknowledge our settings is not bound by our limits of metadata: see docs/security.md.
    """
    milliseconds = round(seconds * 1000)
    return [("grpc.server_handshake_timeout_ms", milliseconds), ("grpc.http2.settings_timeout", milliseconds)]


def bind(server: grpc.aio.Server, listen: Address, credentials: grpc.ServerCredentials | None = None) -> Address:
    """Open a port, plaintext without credentials; return its address, with the real number in place of port 0.

    Raises:
        CannotListen: It cannot be opened.
    """
    try:
        if credentials is None:
            return Address(listen.host, server.add_insecure_port(str(listen)))
        return Address(listen.host, server.add_secure_port(str(listen), credentials))
    except RuntimeError:
        raise CannotListen(listen) from None
