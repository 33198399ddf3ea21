"""A server with TLS in a process of its own, which a test may try to crash.

Run as `python rotating_server.py FOLDER`, with certificate.pem and key.pem in there. It prints its port, and a line
each time that new connections see a new certificate. It looks at the files ten times a second.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2_grpc

from asrgateway_server.admission.tls import CertificateFiles
from asrgateway_server.grpc_api.ports import ListenerOption
from asrgateway_server.grpc_api.rotation import RotatingServer
from asrgateway_server.settings import Address
from asrgateway_server.watched_files import WatchedFiles

CHECK_SECONDS = 0.05


def make_server(option: ListenerOption) -> grpc.aio.Server:
    server = grpc.aio.server(options=[option])
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    return server


class PrintMessages(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), *filter(None, [vars(record).get("problem")]), flush=True)  # noqa: T201 what the test reads


async def main(folder: Path) -> None:
    log = logging.getLogger("asrgateway_server.grpc_api.rotation")
    log.setLevel(logging.INFO)
    log.addHandler(PrintMessages())
    files = CertificateFiles(folder / "certificate.pem", folder / "key.pem", None)
    server = RotatingServer(
        make_server,
        Address("127.0.0.1", 0),
        WatchedFiles(files.paths, files.read, CHECK_SECONDS),
        check_seconds=CHECK_SECONDS,
        settle_seconds=1.0,
        retire_seconds=3.0,
    )
    await server.start()
    print(server.address.port, flush=True)  # noqa: T201 what the test reads
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
