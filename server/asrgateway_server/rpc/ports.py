"""Opens the ports of gRPC servers."""

from __future__ import annotations

from typing import Final

import grpc

from asrgateway_server.settings import Address, SettingsError

ListenerOption = tuple[str, int]

#: Without it a second server could open the same port, and callers would reach either.
ONLY_ONE_LISTENER: Final[ListenerOption] = ("grpc.so_reuseport", 0)
#: For a server that takes over the port of another one in this process.
ANOTHER_LISTENER: Final[ListenerOption] = ("grpc.so_reuseport", 1)


def bind(server: grpc.aio.Server, listen: Address, credentials: grpc.ServerCredentials | None = None) -> Address:
    """Open a port, plaintext without credentials; return where it is, also when port 0 asked for any free one.

    Raises:
        SettingsError: It cannot be opened.
    """
    try:
        if credentials is None:
            return Address(listen.host, server.add_insecure_port(str(listen)))
        return Address(listen.host, server.add_secure_port(str(listen), credentials))
    except RuntimeError:
        raise SettingsError(f"cannot listen on {listen}: is it taken, or no address of this machine?") from None
