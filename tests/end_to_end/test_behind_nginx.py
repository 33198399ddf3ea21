"""A proxy that cuts what is quiet: nginx, whose limits of 60 s are one second here."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.lifecycle import Gateway
from calls import RECORDINGS, Outcome, audio, config, in_messages, outcome_of, pcm
from gateways import open_gateway
from ports import free_port

BOY = pcm(RECORDINGS / "boy.wav")
LIMIT_SECONDS = 1.0
QUIET_SECONDS = 2.5

CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    client_body_timeout {limit}s;
    server {{
        listen 127.0.0.1:{port} http2;
        location / {{
            grpc_pass grpc://{upstream};
            grpc_read_timeout {limit}s;
            grpc_send_timeout {limit}s;
        }}
    }}
}}
"""


@asynccontextmanager
async def running_nginx(nginx: Path, folder: Path, gateway: Gateway) -> AsyncIterator[int]:
    """Run nginx in front of the gateway; return its port."""
    port = free_port()
    file = folder / "nginx.conf"
    text = CONFIG.format(folder=folder, port=port, upstream=gateway.address, limit=round(LIMIT_SECONDS))
    file.write_text(text, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        nginx, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)
    )
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


async def quiet_call(port: int, *, heartbeat_seconds: float | None) -> Outcome:
    """Speak, keep quiet for longer than the proxy allows, and half-close."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        async with asyncio.timeout(60):
            await channel.channel_ready()
        call = pb_grpc.SpeechRecognitionServiceStub(channel).Recognize(timeout=60)
        await call.write(config(keep_alive=pb.KeepAliveConfig(policy=pb.KEEP_ALIVE_POLICY_OFF)))
        for message in in_messages(BOY):
            await call.write(message)
        speaking = asyncio.create_task(keep_quiet(call, heartbeat_seconds))
        outcome = await outcome_of(call)
        await asyncio.gather(speaking, return_exceptions=True)
        return outcome


async def keep_quiet(
    call: grpc.aio.StreamStreamCall[pb.RecognizeRequest, pb.RecognizeResponse], heartbeat_seconds: float | None
) -> None:
    if heartbeat_seconds is None:
        await asyncio.sleep(QUIET_SECONDS)
    else:
        for _ in range(round(QUIET_SECONDS / heartbeat_seconds)):
            await asyncio.sleep(heartbeat_seconds)
            await call.write(audio(b""))
    await call.done_writing()


@pytest.fixture(scope="module")
def nginx(installed: Callable[[Path], Path]) -> Path:
    return installed(Path(shutil.which("nginx") or "/usr/sbin/nginx"))


@pytest.mark.parametrize("heartbeat_seconds", [0.3, None], ids=["with heartbeats", "without heartbeats"])
async def test_cursors_keep_a_quiet_call_open(nginx: Path, tmp_path: Path, heartbeat_seconds: float | None) -> None:
    async with (
        open_gateway(cursor_interval_seconds=0.3) as (gateway, _),
        running_nginx(nginx, tmp_path, gateway) as port,
    ):
        outcome = await quiet_call(port, heartbeat_seconds=heartbeat_seconds)
    assert (outcome.code, outcome.texts) == (grpc.StatusCode.OK, ["the boy was there when the sun rose"])


async def test_without_cursors_the_proxy_cuts_it(nginx: Path, tmp_path: Path) -> None:
    async with (
        open_gateway(cursor_interval_seconds=60.0) as (gateway, _),
        running_nginx(nginx, tmp_path, gateway) as port,
    ):
        outcome = await quiet_call(port, heartbeat_seconds=0.3)
    assert outcome.code is not grpc.StatusCode.OK
