"""A gRPC server with TLS whose certificate is replaced while it runs.

gRPC can request a certificate at each handshake. When it gets a new one, its core frees the old one without a lock
while other handshakes still use it, and the process crashes (grpc/grpc issue 36693). So no server here changes its
certificate: a new one gets a server of its own, which listens on the same port.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import grpc

from asrgateway_server.admission.tls import ServerCertificate
from asrgateway_server.grpc_api.ports import ANOTHER_LISTENER, ONLY_ONE_LISTENER, ListenerOption, bind
from asrgateway_server.settings import Address, SettingsError
from asrgateway_server.watched_files import CHECK_SECONDS, WatchedFiles

log = logging.getLogger(__name__)

# By then the old listener has accepted every connection that the kernel gave to it.
SETTLE_SECONDS: Final = 5.0
# Until its open calls have ended.
_FOR_EVER_SECONDS: Final = 10 * 365 * 24 * 3600.0
_OPEN_FILES: Final = Path("/proc/self/fd")
# Source: linux/bpf_common.h and linux/filter.h: one instruction, which returns a constant.
_RETURN_CONSTANT: Final = 0x06
_ATTACH_REUSEPORT_CBPF: Final = 51
# Source: linux/tcp.h, `struct tcp_info`: the fifth number after eight bytes.
_UNACKED_OFFSET: Final = 24
_ACCEPT_CHECKS: Final = 300
_ACCEPT_CHECK_SECONDS: Final = 0.1

#: Returns a server that is ready to be bound, with this option.
MakeServer = Callable[[ListenerOption], grpc.aio.Server]


class RotatingServer:
    """One server per certificate; the newest takes all new connections, the older ones keep theirs until they close.

    Args:
        make: Returns another server for the same calls.
        certificate: The certificate that new connections get.
        check_seconds: How often its files are checked.
        settle_seconds: How long the old listener stays open beside the new one.
        retire_seconds: How long connections to an older server may last; their open calls go on.
    """

    def __init__(
        self,
        make: MakeServer,
        listen: Address,
        certificate: WatchedFiles[ServerCertificate],
        *,
        check_seconds: float = CHECK_SECONDS,
        settle_seconds: float = SETTLE_SECONDS,
        retire_seconds: float,
    ) -> None:
        self._make = make
        self._certificate = certificate
        self._check_seconds = check_seconds
        self._settle_seconds = settle_seconds
        self._retire_seconds = retire_seconds
        self._shown = certificate.current()
        self._problem = ""
        self._servers = [make(ONLY_ONE_LISTENER)]
        before = set(_listening_names())
        self.address = bind(self._servers[0], listen, self._shown.credentials)
        #: The kernel's addresses: one name may stand for several.
        self._names = set(_listening_names()) - before
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def expires_at(self) -> float:
        """When the chain that new connections get expires, in seconds since 1970."""
        return self._shown.expires_at

    async def start(self) -> None:
        """Accept connections."""
        await self._servers[0].start()
        self._begin(self._watch())

    async def stop(self, grace_seconds: float) -> None:
        """Stop as gRPC's servers do; may be called again with less time."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*(server.stop(grace_seconds) for server in self._servers))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._check_seconds)
            newest = self._certificate.current()
            if newest is self._shown:
                continue
            try:
                await self._replace(newest)
            except (OSError, SettingsError) as error:
                self._report(str(error))
            else:
                self._problem = ""

    def _report(self, problem: str) -> None:
        # The next check tries again.
        if problem != self._problem:
            self._problem = problem
            log.warning("new connections still get the old certificate", extra={"problem": problem})

    async def _replace(self, certificate: ServerCertificate) -> None:
        old = self._servers[-1]
        with _listeners(self._names) as listeners:
            if len(listeners) != len(self._names) or not listeners:
                raise OSError("the listening socket was not found")
            for listener in listeners:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            new = self._make(ANOTHER_LISTENER)
            bind(new, self.address, certificate.credentials)
            self._servers.append(new)
            self._shown = certificate
            with suppress(OSError):  # Without it both get new connections for a moment.
                for listener in listeners:
                    _prefer_second(listener)
            await new.start()
            await asyncio.sleep(self._settle_seconds)
            await _until_accepted(listeners)
            for listener in listeners:
                listener.shutdown(socket.SHUT_RDWR)
        log.info("new connections get the new certificate")
        self._begin(self._retire(old))

    async def _retire(self, server: grpc.aio.Server) -> None:
        """Stop a server after its last call, once its connections have had time to end by themselves."""
        await asyncio.sleep(self._retire_seconds)
        await server.stop(_FOR_EVER_SECONDS)
        self._servers.remove(server)

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _until_accepted(listeners: Collection[socket.socket]) -> None:
    """Wait until a server has accepted what has come; the kernel would reset the rest. Half a minute at most."""
    for _ in range(_ACCEPT_CHECKS):
        if not any(map(waiting_connections, listeners)):
            return
        await asyncio.sleep(_ACCEPT_CHECK_SECONDS)


def waiting_connections(listener: socket.socket) -> int:
    """Return how many connections have come that nobody has accepted yet.

    Source: `tcp_get_info` in linux/net/ipv4/tcp.c: of a listening socket it is what counts as unacknowledged.
    """
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED_OFFSET + 4)
    return int.from_bytes(info[_UNACKED_OFFSET:], sys.byteorder)


def _prefer_second(listener: socket.socket) -> None:
    """Let the kernel give new connections to the second socket that listens on a port.

    As long as there is only one, it gets them all; see `SO_ATTACH_REUSEPORT_CBPF` in socket(7).
    """
    program = ctypes.create_string_buffer(struct.pack("=HBBI", _RETURN_CONSTANT, 0, 0, 1))
    listener.setsockopt(socket.SOL_SOCKET, _ATTACH_REUSEPORT_CBPF, struct.pack("@HP", 1, ctypes.addressof(program)))


def _listening_names() -> Iterator[object]:
    """Yield the addresses on which this process listens."""
    with _listeners() as sockets:
        yield from [listener.getsockname() for listener in sockets]


@contextmanager
def _listeners(names: Collection[object] | None = None) -> Iterator[list[socket.socket]]:
    """Hold this process's listening sockets, which gRPC does not expose; only those with these addresses, if given.

    None on systems other than Linux, which do not show them.
    """
    with ExitStack() as stack:
        found: dict[int, socket.socket] = {}
        for path in _OPEN_FILES.iterdir() if _OPEN_FILES.is_dir() else ():
            if (held := _socket_of(int(path.name))) is None:
                continue
            # A number that was closed after the listing may now be one of our copies.
            inode = os.fstat(held.fileno()).st_ino
            is_wanted = _is_listening(held) and (names is None or held.getsockname() in names)
            if is_wanted and inode not in found:
                found[inode] = stack.enter_context(held)
            else:
                held.close()  # At once: there may be thousands of connections, and few free files.
        yield list(found.values())


def _socket_of(number: int) -> socket.socket | None:
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return None
        return socket.socket(fileno=os.dup(number))
    except OSError:
        return None  # Another thread has just closed it.


def _is_listening(held: socket.socket) -> bool:
    is_tcp = held.family in {socket.AF_INET, socket.AF_INET6} and held.type == socket.SOCK_STREAM
    return is_tcp and bool(held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
