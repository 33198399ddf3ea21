"""Calls as a browser makes them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp

from asrgateway_server.lifecycle import Gateway

SUBPROTOCOL = "asrgateway.v1.json"
#: A first frame for 16 kHz mono audio.
CONFIG: dict[str, Any] = {"decodingConfig": {"sampleRateHertz": 16_000}}
FINISH: dict[str, Any] = {"finish": {}}
COMMIT: dict[str, Any] = {"commit": {}}

Connection: TypeAlias = "aiohttp.ClientWebSocketResponse[bool]"
Frame: TypeAlias = "bytes | str | dict[str, Any]"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOutcome:
    """What a browser saw.

    Attributes:
        responses: Every response, in JSON.
        status: How the call ended; empty without a status.
        close_code: How the connection ended.
    """

    responses: tuple[dict[str, Any], ...]
    status: dict[str, Any]
    close_code: int | None

    @property
    def code(self) -> int | None:
        return self.status.get("code")

    @property
    def kinds(self) -> list[str]:
        """What each response carried, runs of the same kind once, without cursors."""
        kinds = [kind for response in self.responses for kind in response if kind != "cursor"]
        return [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]

    @property
    def texts(self) -> list[str]:
        results = [response["result"] for response in self.responses if "result" in response]
        return [result["transcript"] for result in results if result.get("isFinal")]

    @property
    def reason(self) -> str:
        return str(self._detail("ErrorInfo").get("reason", ""))

    @property
    def field(self) -> str:
        violations = self._detail("BadRequest").get("fieldViolations", [{}])
        return str(violations[0].get("field", ""))

    @property
    def retry_delay(self) -> str:
        return str(self._detail("RetryInfo").get("retryDelay", ""))

    def _detail(self, name: str) -> dict[str, Any]:
        details = self.status.get("details", [])
        return next((detail for detail in details if detail["@type"].endswith(f"google.rpc.{name}")), {})


def url_of(gateway: Gateway, path: str = "/v1/recognize") -> str:
    assert gateway.web_address is not None
    return f"http://{gateway.web_address}{path}"


def key_protocol(key: str) -> str:
    return "asrgateway.key." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


@asynccontextmanager
async def connected(gateway: Gateway, *, key: str = "", url: str = "", **options: Any) -> AsyncIterator[Connection]:
    """A WebSocket to the gateway; the options are those of aiohttp."""
    options.setdefault("protocols", (SUBPROTOCOL, *([key_protocol(key)] if key else [])))
    async with aiohttp.ClientSession() as session, session.ws_connect(url or url_of(gateway), **options) as connection:
        yield connection


async def recognize(gateway: Gateway, frames: Iterable[Frame], **options: Any) -> WebOutcome:
    """Send every frame, and read to the end."""
    async with connected(gateway, **options) as connection:
        for frame in frames:
            await send(connection, frame)
        return await outcome_of(connection)


async def send(connection: Connection, frame: Frame) -> None:
    if isinstance(frame, bytes):
        await connection.send_bytes(frame)
    else:
        await connection.send_str(frame if isinstance(frame, str) else json.dumps(frame))


async def outcome_of(connection: Connection) -> WebOutcome:
    """Read a call to its end."""
    found = [json.loads(message.data) async for message in connection if message.type is aiohttp.WSMsgType.TEXT]
    status = found.pop()["status"] if found and "status" in found[-1] else {}
    return WebOutcome(responses=tuple(found), status=status, close_code=connection.close_code)


def in_frames(data: bytes, size: int = 3200) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
