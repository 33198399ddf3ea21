"""Opens the ports of gRPC servers."""

from __future__ import annotations

from typing import Final

import grpc

from asrgateway_server.settings import Address, SettingsError

#: Without it a second server could open the same port, and callers would reach either.
ONLY_ONE_LISTENER: Final = ("grpc.so_reuseport", 0)


def bind(server: grpc.aio.Server, listen: Address) -> Address:
    """Open a plaintext port; return where it is, also when port 0 asked for any free one.

    Raises:
        SettingsError: It cannot be opened.
    """
    try:
        return Address(listen.host, server.add_insecure_port(str(listen)))
    except RuntimeError:
        raise SettingsError(f"cannot listen on {listen}: is it taken, or no address of this machine?") from None
